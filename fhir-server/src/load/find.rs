//! Files, found: those that can be loaded, those of another kind, and what cannot be looked at.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::file::{Kind, Source};

/// What stands in the paths that were given.
#[derive(Debug, Default)]
pub(super) struct FoundFiles {
    /// In the order in which they are loaded: paths as they were given, folders by the names of what is in them.
    pub(super) sources: Vec<Source>,
    /// What cannot be looked at, and why.
    pub(super) errors: Vec<(String, String)>,
    /// Files in folders that hold something else.
    pub(super) skipped: Vec<PathBuf>,
}

/// Looks for files: files as named, folders with all that is below them but what is hidden. What cannot be looked at is an
/// error of its own, and the rest is found.
pub(super) fn find(paths: &[PathBuf]) -> FoundFiles {
    let mut walk = FileFinder { found: FoundFiles::default(), open: Vec::new() };
    for path in paths {
        walk.path(path, true);
    }
    walk.found
}

struct FileFinder {
    found: FoundFiles,
    /// The folders around what is looked at, by device and inode: links may lead back into one of them.
    open: Vec<(u64, u64)>,
}

impl FileFinder {
    fn path(&mut self, path: &Path, named: bool) {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return self.fail(path, &why(path, &error)),
        };
        if metadata.is_dir() {
            return self.folder(path, &metadata);
        }
        let kind = Kind::from_name(path);
        match (metadata.is_file(), kind, named) {
            (false, ..) => self.fail(path, &format!("{} cannot be loaded; name a file", special(&metadata))),
            (true, Some(kind), _) => self.add(path, kind, metadata.len()),
            (true, None, true) => self.add(path, Kind::Json, metadata.len()),
            (true, None, false) => self.found.skipped.push(path.to_path_buf()),
        }
    }

    fn folder(&mut self, folder: &Path, metadata: &Metadata) {
        let id = (metadata.dev(), metadata.ino());
        if self.open.contains(&id) {
            return self.fail(folder, "a link that leads back into a folder around it");
        }
        let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.fail(folder, &why(folder, &error)),
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        self.open.push(id);
        for entry in entries {
            if !entry.file_name().to_string_lossy().starts_with('.') {
                self.path(&entry.path(), false);
            }
        }
        self.open.pop();
    }

    fn add(&mut self, path: &Path, kind: Kind, bytes: u64) {
        let number = self.found.sources.len() as u64;
        self.found.sources.push(Source::new(path.to_path_buf(), kind, bytes, number));
    }

    fn fail(&mut self, path: &Path, why: &str) {
        self.found.errors.push((path.display().to_string(), why.to_owned()));
    }
}

/// Why a path cannot be looked at.
fn why(path: &Path, error: &io::Error) -> String {
    match (error.kind(), std::fs::read_link(path)) {
        (io::ErrorKind::NotFound, Ok(target)) => {
            format!("a symbolic link to {}, which does not exist", target.display())
        }
        (io::ErrorKind::NotFound, Err(_)) => "does not exist".to_owned(),
        (_, Ok(target)) => {
            format!("a symbolic link to {}, which cannot be followed: {error}", target.display())
        }
        (_, Err(_)) => format!("cannot be read: {error}"),
    }
}

/// What a path is that is neither file nor folder.
fn special(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(found: &FoundFiles, dir: &Path) -> Vec<(String, bool)> {
        let name = |source: &Source| source.path().strip_prefix(dir).unwrap().display().to_string();
        found.sources.iter().map(|source| (name(source), source.goes_first)).collect()
    }

    #[test]
    fn folders_are_read_with_all_below_them_and_nothing_hidden() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("b/.git")).unwrap();
        for name in [
            "z.json",
            "a.ndjson.gz",
            "b/practitionerInformation1.JSON",
            "b/.git/x.json",
            "readme.md",
            ".x.json",
            "x.xml.gz",
        ] {
            std::fs::write(dir.path().join(name), "{}").unwrap();
        }
        let found = find(&[dir.path().to_path_buf()]);
        let wanted = [
            ("a.ndjson.gz", false),
            ("b/practitionerInformation1.JSON", true),
            ("x.xml.gz", false),
            ("z.json", false),
        ];
        assert_eq!(names(&found, dir.path()), wanted.map(|(name, first)| (name.to_owned(), first)));
        assert!(found.errors.is_empty());
        assert_eq!(found.skipped, [dir.path().join("readme.md")]);
        let named = find(&[dir.path().join("readme.md"), dir.path().join("missing")]);
        assert_eq!(
            (named.sources.len(), named.skipped.len()),
            (1, 0),
            "what is named is read, whatever its name"
        );
        assert_eq!(named.errors[0].1, "does not exist");
    }

    #[test]
    fn what_cannot_be_looked_at_is_named_and_the_rest_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("sub/deep")).unwrap();
        std::fs::write(at("sub/deep/good.json"), "{}").unwrap();
        std::fs::write(at("z.json"), "{}").unwrap();
        symlink(at("nowhere"), at("broken.json")).unwrap();
        symlink(at("loop.json"), at("loop.json")).unwrap();
        symlink(at("sub"), at("sub/deep/back")).unwrap();
        symlink(at("z.json"), at("fine.json")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("pipe.json")).status().unwrap().success());
        let found = find(&[dir.path().to_path_buf(), PathBuf::from("/dev/null")]);
        let loaded: Vec<String> = names(&found, dir.path()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(loaded, ["fine.json", "sub/deep/good.json", "z.json"]);
        let errors: Vec<(&str, &str)> = found
            .errors
            .iter()
            .map(|(path, why)| (path.rsplit('/').next().unwrap(), why.split([' ', ';']).nth(1).unwrap()))
            .collect();
        let wanted = [
            ("broken.json", "symbolic"),
            ("loop.json", "symbolic"),
            ("pipe.json", "named"),
            ("back", "link"),
            ("null", "device"),
        ];
        assert_eq!(errors, wanted, "{:?}", found.errors);
    }
}
