//! Which module defines what another one names.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Item, ItemUse, Macro, Path, UseTree, Visibility};

use super::source::ModulePath;

/// What each module needs: the modules that define what it names.
pub(super) fn needs(modules: &BTreeMap<ModulePath, Vec<Item>>) -> BTreeMap<String, BTreeSet<String>> {
    let names: BTreeMap<&ModulePath, Names> =
        modules.iter().map(|(path, items)| (path, Names::of(items))).collect();
    let crate_names = Crate { names };
    let one = |(path, items): (&ModulePath, &Vec<Item>)| {
        let mut found = Mentioned::default();
        items.iter().for_each(|item| found.visit_item(item));
        let needed = found.paths.iter().filter_map(|named| crate_names.definer(path, named, 0));
        let needed = needed.filter(|needed| *needed != path).map(name).collect();
        (name(path), needed)
    };
    modules.iter().map(one).collect()
}

fn name(path: &ModulePath) -> String {
    if path.is_empty() { "crate".to_owned() } else { path.join("::") }
}

/// What a module has names for.
struct Names {
    defined: BTreeSet<String>,
    /// Name here -> path as it is written.
    imported: BTreeMap<String, Vec<String>>,
    /// Modules of which everything is imported.
    all_of: Vec<Vec<String>>,
}

impl Names {
    fn of(items: &[Item]) -> Names {
        let mut names = Names { defined: BTreeSet::new(), imported: BTreeMap::new(), all_of: Vec::new() };
        for item in items {
            match item {
                Item::Const(item) => names.define(&item.ident),
                Item::Enum(item) => names.define(&item.ident),
                Item::Fn(item) => names.define(&item.sig.ident),
                Item::Macro(item) => item.ident.iter().for_each(|ident| names.define(ident)),
                Item::Static(item) => names.define(&item.ident),
                Item::Struct(item) => names.define(&item.ident),
                Item::Trait(item) => names.define(&item.ident),
                Item::Type(item) => names.define(&item.ident),
                Item::Union(item) => names.define(&item.ident),
                Item::Use(item) => leaves(&item.tree, Vec::new(), &mut |path, alias| match alias {
                    Some(alias) => {
                        names.imported.insert(alias, path);
                    }
                    None => names.all_of.push(path),
                }),
                _ => {}
            }
        }
        names
    }

    fn define(&mut self, ident: &syn::Ident) {
        self.defined.insert(ident.to_string());
    }
}

/// Each path of an import, with the name it gets; no name: everything below the path.
fn leaves(tree: &UseTree, before: Vec<String>, each: &mut impl FnMut(Vec<String>, Option<String>)) {
    let with = |ident: &syn::Ident| [before.clone(), vec![ident.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, with(&path.ident), each),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before.clone(), each)),
        UseTree::Glob(_) => each(before, None),
        UseTree::Name(name) if name.ident == "self" => each(before.clone(), before.last().cloned()),
        UseTree::Name(name) => each(with(&name.ident), Some(name.ident.to_string())),
        UseTree::Rename(rename) if rename.ident == "self" => each(before, Some(rename.rename.to_string())),
        UseTree::Rename(rename) => each(with(&rename.ident), Some(rename.rename.to_string())),
    }
}

struct Crate<'a> {
    names: BTreeMap<&'a ModulePath, Names>,
}

/// Imports of imports; more are a circle of imports.
const IMPORTS_MAX: usize = 16;

impl<'a> Crate<'a> {
    /// The module that defines what `at` calls `path`. Returns `None` for what is of another crate.
    fn definer(&self, at: &ModulePath, path: &[String], depth: usize) -> Option<&'a ModulePath> {
        let (first, rest) = path.split_first()?;
        if depth > IMPORTS_MAX {
            return None;
        }
        match first.as_str() {
            "crate" => self.below(Vec::new(), rest, depth),
            "self" => self.below(at.clone(), rest, depth),
            "super" => {
                let (_, parent) = at.split_last()?;
                match rest.first().map(String::as_str) {
                    Some("super") => self.definer(&parent.to_vec(), rest, depth),
                    _ => self.below(parent.to_vec(), rest, depth),
                }
            }
            _ => self.below(at.clone(), path, depth),
        }
    }

    /// The module that defines `rest`, as seen in module `at`.
    fn below(&self, at: ModulePath, rest: &[String], depth: usize) -> Option<&'a ModulePath> {
        let (module, names) = self.names.get_key_value(&at)?;
        // A module that is named for itself is a start of paths, and a variable may have its name.
        let (first, after) = rest.split_first()?;
        let child = [at.clone(), vec![first.clone()]].concat();
        if self.names.contains_key(&child) {
            return self.below(child, after, depth);
        }
        if names.defined.contains(first) {
            return Some(module);
        }
        if let Some(import) = names.imported.get(first) {
            // An import may have the name of its crate: `use bytes;` is not itself.
            let path = [import.as_slice(), after].concat();
            return if path == rest { None } else { self.definer(&at, &path, depth + 1) };
        }
        names.all_of.iter().find_map(|all| self.definer(&at, &[all.as_slice(), rest].concat(), depth + 1))
    }
}

/// The paths that stand in a module's code. What a module passes on, it does not need for itself.
#[derive(Default)]
struct Mentioned {
    paths: BTreeSet<Vec<String>>,
}

impl<'ast> Visit<'ast> for Mentioned {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if matches!(item.vis, Visibility::Inherited) {
            leaves(&item.tree, Vec::new(), &mut |path, _| {
                self.paths.insert(path);
            });
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }
}

impl Mentioned {
    /// What looks like a path within a macro's call.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 && !path.is_empty() {
                        self.paths.insert(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.paths.insert(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.paths.insert(path);
    }
}
