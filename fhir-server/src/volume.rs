//! Whether what is stored is encrypted at rest, as far as the machine tells: whether the volume is one of dm-crypt.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Volumes upon volumes.
const DEPTH_MAX: usize = 8;

/// True for a directory, or the nearest that exists above it, on an encrypted volume. Returns `None` where the machine does not tell.
pub(crate) fn is_encrypted(directory: &Path) -> Option<bool> {
    let whole = std::path::absolute(directory).ok()?;
    let device = whole.ancestors().find_map(|path| fs::metadata(path).ok())?.dev();
    let (major, minor) =
        (device >> 8 & 0xfff | device >> 32 & !0xfff, device & 0xff | device >> 12 & 0xffff_ff00);
    let block = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    block.exists().then(|| is_crypt(&block, DEPTH_MAX))
}

/// True for a volume of dm-crypt, and for one that lies on such volumes alone.
fn is_crypt(block: &Path, depth: usize) -> bool {
    let is_own = fs::read_to_string(block.join("dm/uuid")).is_ok_and(|uuid| uuid.starts_with("CRYPT-"));
    if is_own || depth == 0 {
        return is_own;
    }
    // A partition's disk, where it has no volumes below.
    let below: Vec<PathBuf> = fs::read_dir(block.join("slaves"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    !below.is_empty() && below.iter().all(|volume| is_crypt(volume, depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Volumes as the kernel shows them: a name, what it is, what it lies on.
    fn volumes(list: &[(&str, &str, &[&str])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, uuid, below) in list {
            let dir = root.path().join(name);
            fs::create_dir_all(dir.join("slaves")).unwrap();
            if !uuid.is_empty() {
                fs::create_dir_all(dir.join("dm")).unwrap();
                fs::write(dir.join("dm/uuid"), uuid).unwrap();
            }
            for other in *below {
                std::os::unix::fs::symlink(root.path().join(other), dir.join("slaves").join(other)).unwrap();
            }
        }
        root
    }

    #[test]
    fn a_volume_is_encrypted_when_all_below_it_is() {
        let root = volumes(&[
            ("disk", "", &[]),
            ("crypt", "CRYPT-LUKS2-aa", &["disk"]),
            ("logical", "LVM-bb", &["crypt"]),
            ("half", "LVM-cc", &["crypt", "disk"]),
            ("loop", "LVM-dd", &["loop"]),
        ]);
        for (name, wanted) in
            [("disk", false), ("crypt", true), ("logical", true), ("half", false), ("loop", false)]
        {
            assert_eq!(is_crypt(&root.path().join(name), DEPTH_MAX), wanted, "{name}");
        }
        assert_eq!(is_encrypted(Path::new("/proc")), None, "no volume at all");
    }
}
