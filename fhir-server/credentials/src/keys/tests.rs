use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;

use crate::Claims;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn cause(error: Error) -> String {
    error.source.unwrap().to_string()
}

fn verifies(keys: &KeyDirectory, token: &str) -> bool {
    keys.token_keys().verify(token, "fhir", "me", 0).is_ok()
}

fn sign(keys: &KeyDirectory) -> String {
    keys.token_keys().sign(&Claims::new("me", "you", "fhir", 0, 1_000_000)).unwrap()
}

#[test]
fn a_new_directory_has_a_key_of_each_kind() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/keys");
    let keys = KeyDirectory::open(&path).unwrap();
    assert_eq!(names(&path), ["seal-1.key", "token-1.key"]);
    assert_eq!(mode(&path), 0o700);
    for name in names(&path) {
        assert_eq!(mode(&path.join(name)), 0o600);
    }
    assert!(fs::read_to_string(path.join("token-1.key")).unwrap().starts_with("k4.secret."));
    let again = KeyDirectory::open(&path).unwrap();
    assert!(verifies(&again, &sign(&keys)));
    let sealed = keys.seal_keys().seal("totp", b"x").unwrap();
    assert_eq!(again.seal_keys().open("totp", &sealed).unwrap().as_slice(), b"x");
    assert!(!again.reload().unwrap());
}

#[test]
fn many_that_start_at_once_have_the_same_keys() {
    for _ in 0..20 {
        let parent = tempfile::tempdir().unwrap();
        let (path, barrier) = (parent.path().join("keys"), Barrier::new(8));
        let opened: Vec<KeyDirectory> = std::thread::scope(|scope| {
            let open = || {
                barrier.wait();
                KeyDirectory::open(&path).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(names(&path), ["seal-1.key", "token-1.key"]);
        let sealed = opened[0].seal_keys().seal("totp", b"x").unwrap();
        for keys in &opened {
            assert_eq!(keys.token_keys().public_keys(), opened[0].token_keys().public_keys());
            assert!(keys.seal_keys().open("totp", &sealed).is_ok());
        }
    }
}

#[test]
fn rotation_and_deletion() {
    let parent = tempfile::tempdir().unwrap();
    let keys = KeyDirectory::open(parent.path()).unwrap();
    let other = KeyDirectory::open(parent.path()).unwrap();
    let (first, sealed) = (sign(&keys), keys.seal_keys().seal("totp", b"x").unwrap());
    assert_eq!((keys.rotate_token_key().unwrap(), keys.rotate_seal_key().unwrap()), (2, 2));
    let second = sign(&keys);
    assert!(verifies(&keys, &first) && verifies(&keys, &second));
    assert!(keys.seal_keys().open("totp", &sealed).is_ok() && !keys.seal_keys().is_current(&sealed));
    assert!(!verifies(&other, &second));
    assert!(other.reload().unwrap());
    assert!(verifies(&other, &first) && verifies(&other, &second));

    fs::remove_file(parent.path().join("token-1.key")).unwrap();
    assert!(keys.reload().unwrap());
    assert!(!verifies(&keys, &first) && verifies(&keys, &second));
    fs::remove_file(parent.path().join("seal-1.key")).unwrap();
    assert!(keys.reload().unwrap());
    let missing = cause(keys.seal_keys().open("totp", &sealed).unwrap_err());
    assert!(missing.contains("sealing key 1 is missing"), "{missing}");

    // The last of its kind: there is another with the next number, and the deleted one does not come back.
    fs::remove_file(parent.path().join("token-2.key")).unwrap();
    assert!(keys.reload().unwrap());
    assert!(!verifies(&keys, &second));
    assert_eq!(names(parent.path()), ["seal-2.key", "token-3.key"]);
}

#[test]
fn rotations_at_once_take_numbers_of_their_own() {
    let parent = tempfile::tempdir().unwrap();
    KeyDirectory::open(parent.path()).unwrap();
    let mut numbers: Vec<u32> = std::thread::scope(|scope| {
        let rotate = || KeyDirectory::open(parent.path()).unwrap().rotate_token_key().unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(rotate)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn what_others_can_read_or_write_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let keys = KeyDirectory::open(parent.path()).unwrap();
    for name in ["token-1.key", "seal-1.key"] {
        let path = parent.path().join(name);
        for mode in [0o640, 0o620, 0o604, 0o602] {
            set_mode(&path, mode);
            for error in [KeyDirectory::open(parent.path()).unwrap_err(), keys.reload().unwrap_err()] {
                let why = cause(error);
                assert!(why.contains(name) && why.contains(&format!("mode {mode:04o}")), "{why}");
            }
        }
        set_mode(&path, 0o400);
        assert!(KeyDirectory::open(parent.path()).is_ok());
        set_mode(&path, 0o600);
    }
    for mode in [0o770, 0o707] {
        set_mode(parent.path(), mode);
        let why = cause(KeyDirectory::open(parent.path()).unwrap_err());
        assert!(why.contains(&format!("mode {mode:04o}")), "{why}");
    }
}

#[test]
fn files_that_are_no_keys() {
    let parent = tempfile::tempdir().unwrap();
    let keys = KeyDirectory::open(parent.path()).unwrap();
    let token = sign(&keys);
    for other in
        ["token-02.key", "token-.key", "token-2.key.bak", "seal--1.key", "token-99999999999.key", "README"]
    {
        fs::write(parent.path().join(other), "x").unwrap();
    }
    assert!(!keys.reload().unwrap());
    for (name, text) in [("token-2.key", ""), ("token-2.key", "k4.secret.x"), ("seal-2.key", "\u{0}\u{0}")] {
        let path = parent.path().join(name);
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        let why = cause(KeyDirectory::open(parent.path()).unwrap_err());
        assert!(why.contains(name) && why.contains("is not a"), "{why}");
        assert!(keys.reload().is_err() && verifies(&keys, &token), "the former keys stay");
        fs::remove_file(&path).unwrap();
    }
}
