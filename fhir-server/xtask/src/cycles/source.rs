//! The modules of a crate, read from their files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::{Attribute, Item, Meta};

/// The place of a module in its crate: `["search", "page"]`; the root is empty.
pub(super) type ModulePath = Vec<String>;

/// The items of each module, without its modules and without what is for tests alone.
pub(super) fn modules(root: &Path) -> Result<BTreeMap<ModulePath, Vec<Item>>> {
    let mut modules = BTreeMap::new();
    let folder = root.parent().context("a source file in a folder")?;
    read(root, folder, Vec::new(), &mut modules)?;
    Ok(modules)
}

/// Reads a file; `folder` has those of its child modules.
fn read(
    file: &Path,
    folder: &Path,
    path: ModulePath,
    modules: &mut BTreeMap<ModulePath, Vec<Item>>,
) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
    sort(parsed.items, folder, path, modules)
}

fn sort(
    items: Vec<Item>,
    folder: &Path,
    path: ModulePath,
    modules: &mut BTreeMap<ModulePath, Vec<Item>>,
) -> Result<()> {
    let mut own = Vec::new();
    for item in items {
        match item {
            Item::Mod(module) if is_for_tests(&module.attrs) => {}
            Item::Mod(module) => {
                let name = module.ident.to_string();
                let (path, below) = ([path.clone(), vec![name.clone()]].concat(), folder.join(&name));
                match module.content {
                    Some((_, items)) => sort(items, &below, path, modules)?,
                    None => read(&file_of(folder, &name), &below, path, modules)?,
                }
            }
            Item::Fn(function) if is_for_tests(&function.attrs) => {}
            Item::Impl(item) if is_for_tests(&item.attrs) => {}
            Item::Use(item) if is_for_tests(&item.attrs) => {}
            item => own.push(item),
        }
    }
    modules.insert(path, own);
    Ok(())
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(format!("{name}.rs"));
    if file.exists() { file } else { folder.join(name).join("mod.rs") }
}

/// `#[cfg(test)]`, also among others: `#[cfg(any(test, feature = "testing"))]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.tokens.to_string().split(|c: char| !c.is_alphanumeric()).any(|word| word == "test")
        }
        _ => false,
    })
}
