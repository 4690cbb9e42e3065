use std::io::Write;

use super::*;

/// Small enough for an unoptimised build.
fn quick() -> PasswordOptions {
    PasswordOptions { memory_kib: 64, iterations: 1, parallel_max: 2, ..PasswordOptions::default() }
}

fn passwords() -> Passwords {
    Passwords::new(quick()).unwrap()
}

#[test]
fn what_a_password_may_be() {
    let passwords = passwords();
    let personal = ["Chidi Okafor", "chidi.okafor@example.org", "Ann", "", "Zoë"];
    let (longest, longer) = ("ab c".repeat(256), "ab c".repeat(256) + "d");
    // password, and a word of the reason when it is refused
    let rows = [
        ("short", "10 characters"),
        ("123456789", "10 characters"),
        ("tv-oi-ra-y", ""),
        ("ääääöööö-ü", ""),
        ("ä̈ä̈ä̈", "10 characters"), // letters and marks are put together, then counted
        ("          ", ""),
        (&*longest, ""),
        (&*longer, "1024 bytes"),
        ("1234567890", "guess"),
        ("QWERTYuiop", "guess"),
        ("ｑｗｅｒｔｙｕｉｏｐ", "guess"), // wide letters are the same letters
        ("correct horse battery staple", ""),
        ("Chidi Okafor", "name"),
        ("CHIDIOKAFOR", "name"),
        ("chidi-okafor", "name"),
        ("chidi okafor 1990", "name"),
        ("chidiokafor2024", "name"),
        ("Chidi.Okafor@Example.org", "name"),
        ("okafor2024", "name"),
        ("okafor20242024", "name"),
        ("example12345", "name"),
        ("ann1234567", "name"),
        ("ann1234567x", ""),
        ("zoe\u{308}1234567", "name"),
        ("my okafor 2024", ""),
        ("okafor likes tea", ""),
        ("98765432109", ""),
    ];
    for (password, reason) in rows {
        match passwords.check(password, &personal) {
            Ok(()) => assert!(reason.is_empty(), "{password} was taken"),
            Err(error) => {
                assert!(!reason.is_empty() && error.text.contains(reason), "{password}: {error}");
                assert_eq!((error.kind, error.expression), (Kind::Value, vec!["password".to_owned()]));
                assert!(!error.text.contains(password));
            }
        }
    }
}

#[tokio::test]
async fn a_hash_is_of_one_password() {
    let passwords = passwords();
    let hash = passwords.hash("tvoi ra y 99").await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
    assert_ne!(hash, passwords.hash("tvoi ra y 99").await.unwrap(), "salts are random");
    let right = Verified { is_right: true, wants_new_hash: false };
    let wrong = Verified { is_right: false, wants_new_hash: false };
    let rows = [("tvoi ra y 99", right), ("tvoi ra y 9", wrong), ("Tvoi ra y 99", wrong), ("", wrong)];
    for (password, verified) in rows {
        assert_eq!(passwords.verify(password, Some(&hash)).await.unwrap(), verified, "{password}");
        assert_eq!(passwords.verify(password, None).await.unwrap(), wrong, "{password}");
    }
    let composed = passwords.hash("Zo\u{eb} and the sea").await.unwrap();
    assert_eq!(passwords.verify("Zoe\u{308} and the sea", Some(&composed)).await.unwrap(), right);

    let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
    assert_eq!(passwords.hash(&long).await.unwrap_err().kind, Kind::Value);
    assert_eq!(passwords.verify(&long, Some(&hash)).await.unwrap(), wrong);
    for bad in ["", "x", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuu"] {
        assert_eq!(
            passwords.verify("tvoi ra y 99", Some(bad)).await.unwrap_err().kind,
            Kind::Internal,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn hashes_of_former_options_are_right_and_old() {
    let old = Passwords::new(PasswordOptions { memory_kib: 32, ..quick() }).unwrap();
    let hash = old.hash("tvoi ra y 99").await.unwrap();
    let verified = passwords().verify("tvoi ra y 99", Some(&hash)).await.unwrap();
    assert_eq!(verified, Verified { is_right: true, wants_new_hash: true });
    let verified = passwords().verify("another one", Some(&hash)).await.unwrap();
    assert_eq!(verified, Verified { is_right: false, wants_new_hash: false });
}

/// A name that nobody has takes the way of all others, over a hash of the same parameters; `verify` has no other.
#[tokio::test]
async fn an_unknown_name_costs_what_a_known_one_costs() {
    for options in
        [quick(), PasswordOptions::default(), PasswordOptions { iterations: 3, lanes: 2, ..quick() }]
    {
        let passwords = Passwords::new(options).unwrap();
        let known = PasswordHash::new(&passwords.hash("tvoi ra y 99").await.unwrap()).unwrap();
        let dummy = PasswordHash::new(&passwords.dummy).unwrap();
        assert_eq!(
            (&dummy.algorithm, &dummy.version, &dummy.params),
            (&known.algorithm, &known.version, &known.params)
        );
        assert_eq!(dummy.salt.unwrap().len(), known.salt.unwrap().len());
        assert_eq!(dummy.hash.unwrap().len(), known.hash.unwrap().len());
        assert!(!passwords.is_old(&dummy));
        let of_dummy = passwords.verify("tvoi ra y 99", Some(&passwords.dummy)).await.unwrap();
        assert_eq!(of_dummy, passwords.verify("tvoi ra y 99", None).await.unwrap());
        assert!(!of_dummy.is_right);
    }
}

#[tokio::test]
async fn too_many_at_once_are_turned_away() {
    let options = PasswordOptions { parallel_max: 1, waiting_max: 2, ..quick() };
    let passwords = Arc::new(Passwords::new(options).unwrap());
    let held = passwords.turn().await.unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.verify("x", None).await })
        })
        .collect();
    while passwords.waiting.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        assert_eq!(passwords.hash("x").await.unwrap_err().kind, Kind::Throttled);
        assert_eq!(passwords.verify("x", None).await.unwrap_err().kind, Kind::Throttled);
    }
    // Whoever gives up makes room.
    let mut waiting = waiting.into_iter();
    let (gone, stays) = (waiting.next().unwrap(), waiting.next().unwrap());
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    assert_eq!(passwords.waiting.load(Ordering::Relaxed), 1);
    drop(held);
    assert!(!stays.await.unwrap().unwrap().is_right);
    assert!(passwords.hash("x").await.is_ok());
    assert_eq!(passwords.waiting.load(Ordering::Relaxed), 0);
}

#[test]
fn options_that_make_no_sense() {
    for options in [
        PasswordOptions { memory_kib: 0, ..quick() },
        PasswordOptions { iterations: 0, ..quick() },
        PasswordOptions { lanes: 0, ..quick() },
        PasswordOptions { breached: Some("/nowhere/list.txt".into()), ..quick() },
    ] {
        assert!(Passwords::new(options).is_err());
    }
    assert!(Passwords::new(PasswordOptions { parallel_max: 0, ..quick() }).is_ok());
}

fn sha1(password: &str) -> String {
    use sha1::Digest;
    sha1::Sha1::digest(password).iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The file, as Have I Been Pwned writes it and with variations of it.
fn list(hashes: &[String], end: &str, counted: bool) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for (count, hash) in hashes.iter().enumerate() {
        let count = if counted {
            format!(":{}", 7_usize.pow(u32::try_from(count % 9).unwrap()))
        } else {
            String::new()
        };
        write!(file, "{hash}{count}{end}").unwrap();
    }
    file
}

#[test]
fn breached_passwords_are_found_in_lists_of_every_length() {
    let known: Vec<String> = (0..70).map(|at| format!("breached password {at}")).collect();
    for length in 1..=known.len() {
        let mut hashes: Vec<String> = known[..length].iter().map(|password| sha1(password)).collect();
        hashes.sort();
        for (end, counted) in [("\n", true), ("\r\n", true), ("\n", false)] {
            let file = list(&hashes, end, counted);
            let options = PasswordOptions { breached: Some(file.path().to_owned()), ..quick() };
            let passwords = Passwords::new(options).unwrap();
            for (at, password) in known.iter().enumerate() {
                assert_eq!(passwords.check(password, &[]).is_err(), at < length, "{password} of {length}");
            }
            assert!(passwords.check(&known[0].to_uppercase(), &[]).is_err(), "in lower case too");
        }
    }
}

#[test]
fn lists_that_are_none() {
    for text in ["", "\n", "password\n", &"A".repeat(40_000), &format!("{}x:1\n", "A".repeat(40))] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let options = PasswordOptions { breached: Some(file.path().to_owned()), ..quick() };
        let why = Passwords::new(options).unwrap_err().source.unwrap().to_string();
        assert!(why.contains(&*file.path().to_string_lossy()), "{why}");
    }
    // What goes bad later is an error, not a password that is taken.
    let file = list(&[sha1("one of them")], "\n", true);
    let passwords =
        Passwords::new(PasswordOptions { breached: Some(file.path().to_owned()), ..quick() }).unwrap();
    std::fs::write(file.path(), "gone bad").unwrap();
    assert_eq!(passwords.check("tvoi ra y 99", &[]).unwrap_err().kind, Kind::Internal);
}
