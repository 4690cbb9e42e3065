//! Where PostgreSQL's programs are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, MAJOR_MIN, Result};

/// A directory with usable programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) dir: PathBuf,
    pub(crate) major: u32,
}

/// The directories binaries are looked for in, best first.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// A directory the operator named (`CARI_PG_BIN`): it is used, or the start fails.
    pub named: Option<PathBuf>,
    /// Directories that may hold `postgres`, or a link to it.
    pub path: Vec<PathBuf>,
    /// A directory of versions, as Debian has it: `<root>/15/bin`.
    pub versions: Option<PathBuf>,
    /// Last resorts.
    pub others: Vec<PathBuf>,
}

impl Search {
    /// What this machine has: `CARI_PG_BIN`, `PATH`, `/usr/lib/postgresql/*/bin` newest first, `/usr/local/pgsql/bin`.
    pub fn machine() -> Search {
        Search {
            named: std::env::var_os("CARI_PG_BIN").filter(|dir| !dir.is_empty()).map(PathBuf::from),
            path: std::env::var_os("PATH")
                .map(|path| std::env::split_paths(&path).collect())
                .unwrap_or_default(),
            versions: Some(PathBuf::from("/usr/lib/postgresql")),
            others: vec![PathBuf::from("/usr/local/pgsql/bin")],
        }
    }

    /// Nowhere at all.
    pub fn nowhere() -> Search {
        Search::default()
    }

    /// The best directory; of version `major`, if a cluster of that version waits to be started.
    pub(crate) fn find(&self, major: Option<u32>) -> Result<Option<Binaries>> {
        let fits =
            |found: &Binaries| major.is_none_or(|major| found.major == major) && found.major >= MAJOR_MIN;
        if let Some(dir) = &self.named {
            let found = inspect(dir).map_err(|why| Error::Binaries { dir: dir.clone(), why })?;
            if !fits(&found) {
                let why = format!("holds PostgreSQL {}, but {} is needed", found.major, wanted(major));
                return Err(Error::Binaries { dir: dir.clone(), why });
            }
            return Ok(Some(found));
        }
        Ok(self.candidates().iter().filter_map(|dir| inspect(dir).ok()).find(fits))
    }

    /// The newest programs, wherever they are.
    pub(crate) fn newest(&self) -> Option<Binaries> {
        let usable = self.candidates().into_iter().filter_map(|dir| inspect(&dir).ok());
        usable.filter(|found| found.major >= MAJOR_MIN).max_by_key(|found| found.major)
    }

    /// The directories, for the message that nothing was found in them.
    pub(crate) fn looked(&self) -> String {
        let mut places = vec!["PATH".to_owned()];
        places.extend(self.versions.iter().map(|dir| format!("{}/*/bin", dir.display())));
        places.extend(self.others.iter().map(|dir| dir.display().to_string()));
        places.join(", ")
    }

    fn candidates(&self) -> Vec<PathBuf> {
        // Debian and others link single programs into the PATH; what they need lies beside the linked file.
        let linked = self
            .path
            .iter()
            .filter_map(|dir| fs::canonicalize(dir.join("postgres")).ok()?.parent().map(Path::to_path_buf));
        let mut versions: Vec<(u32, PathBuf)> = self
            .versions
            .iter()
            .filter_map(|root| fs::read_dir(root).ok())
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
            })
            .collect();
        versions.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
        linked.chain(versions.into_iter().map(|(_, dir)| dir)).chain(self.others.iter().cloned()).collect()
    }
}

/// What is asked for, in words.
pub(crate) fn wanted(major: Option<u32>) -> String {
    match major {
        Some(major) => format!("{major} (the version that made the data directory)"),
        None => format!("{MAJOR_MIN} or newer"),
    }
}

/// Looks whether `dir` holds what we need, by running it.
pub(crate) fn inspect(dir: &Path) -> std::result::Result<Binaries, String> {
    for program in ["postgres", "initdb"] {
        if !dir.join(program).is_file() {
            return Err(format!("holds no `{program}`"));
        }
    }
    let dir = fs::canonicalize(dir).map_err(|error| error.to_string())?;
    let output = std::process::Command::new(dir.join("postgres"))
        .arg("--version")
        .output()
        .map_err(|error| format!("`postgres --version` cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match major_of(&text) {
        Some(major) if output.status.success() => Ok(Binaries { dir, major }),
        _ => Err(format!(
            "`postgres --version` says `{text}{}`",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` is 15.
fn major_of(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A directory with two programs that say they are of `version`.
    fn programs(dir: &Path, version: &str) {
        fs::create_dir_all(dir).unwrap();
        for name in ["postgres", "initdb"] {
            let path = dir.join(name);
            fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn versions_are_read() {
        for (text, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15)),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("postgres (PostgreSQL) 9.6.24", Some(9)),
            ("postgres (EnterpriseDB)", None),
            ("", None),
        ] {
            assert_eq!(major_of(text), major, "{text}");
        }
    }

    #[test]
    fn named_then_path_then_newest_version_then_others() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| fs::canonicalize(root.path()).unwrap().join(name);
        programs(&at("named"), "14.1");
        programs(&at("linked"), "16.2");
        programs(&at("versions/9/bin"), "9.6.1");
        programs(&at("versions/14/bin"), "14.9");
        programs(&at("versions/17/bin"), "17.1");
        programs(&at("other"), "15.1");
        fs::create_dir(at("path")).unwrap();
        symlink(at("linked/postgres"), at("path/postgres")).unwrap();
        let mut search = Search {
            named: Some(at("named")),
            path: vec![at("nothing"), at("path")],
            versions: Some(at("versions")),
            others: vec![at("other")],
        };
        let found = |search: &Search, major| search.find(major).unwrap().map(|found| found.dir);
        assert_eq!(found(&search, None), Some(at("named")));
        search.named = None;
        assert_eq!(found(&search, None), Some(at("linked")));
        assert_eq!(found(&search, Some(14)), Some(at("versions/14/bin")), "the cluster's own version");
        assert_eq!(found(&search, Some(9)), None, "too old even then");
        search.path.clear();
        assert_eq!(found(&search, None), Some(at("versions/17/bin")));
        search.versions = None;
        assert_eq!(found(&search, None), Some(at("other")));
        search.others.clear();
        assert_eq!(found(&search, None), None);
    }

    #[test]
    fn a_named_directory_is_used_or_refused() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        programs(&at("old"), "13.4");
        programs(&at("new"), "17.4");
        programs(&at("odd"), "what");
        for (dir, major, why) in [
            ("none", None, "holds no `postgres`"),
            ("old", None, "holds PostgreSQL 13, but 14 or newer is needed"),
            (
                "new",
                Some(15),
                "holds PostgreSQL 17, but 15 (the version that made the data directory) is needed",
            ),
            ("odd", None, "`postgres --version` says"),
        ] {
            let search = Search { named: Some(at(dir)), ..Search::machine() };
            let error = search.find(major).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(dir), "{error}");
        }
    }
}
