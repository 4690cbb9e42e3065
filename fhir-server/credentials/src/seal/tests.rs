use super::*;

const OLD: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
const NEW: &str = "IB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE";

fn cause(error: Error) -> String {
    error.source.map(|source| source.to_string()).unwrap_or_default()
}

#[test]
fn what_is_sealed_opens_for_its_purpose_alone() {
    let keys = SealKeys::from_text(OLD).unwrap();
    for plain in [&b""[..], b"secret", &[7; 5000]] {
        let sealed = keys.seal("totp", plain).unwrap();
        assert_eq!(keys.open("totp", &sealed).unwrap().as_slice(), plain);
        assert!(keys.is_current(&sealed));
        assert_ne!(sealed, keys.seal("totp", plain).unwrap(), "nonces are random");
        let why = cause(keys.open("oidc", &sealed).unwrap_err());
        assert!(why.contains("cannot be opened with the keys of this server"), "{why}");
    }
}

#[test]
fn every_changed_bit_and_every_cut_is_refused() {
    let keys = SealKeys::from_text(OLD).unwrap();
    let sealed = keys.seal("totp", b"secret").unwrap();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            assert!(keys.open("totp", &changed).is_err(), "byte {at}, bit {bit}");
        }
        assert!(keys.open("totp", &sealed[..at]).is_err(), "cut at {at}");
    }
    assert!(!keys.is_current(b"") && !keys.is_current(&sealed[1..]));
}

#[test]
fn old_keys_open_and_the_newest_seals() {
    let old = SealKeys::from_text(OLD).unwrap();
    let both = SealKeys::from_text(&format!("2:{NEW}, 1:{OLD}")).unwrap();
    let sealed = old.seal("totp", b"secret").unwrap();
    assert_eq!(both.open("totp", &sealed).unwrap().as_slice(), b"secret");
    assert!(!both.is_current(&sealed));
    let again = both.seal("totp", b"secret").unwrap();
    assert!(both.is_current(&again));
    let error = old.open("totp", &again).unwrap_err();
    assert!(!error.text.contains("sealing"), "{}", error.text);
    assert!(cause(error).contains("sealing key 2 is missing"));
}

#[test]
fn texts_of_keys() {
    let zeros = "A".repeat(43);
    let (twice, unnumbered) = (format!("1:{OLD},1:{NEW}"), format!("{OLD} {NEW}"));
    for text in ["", " ", "short", &zeros, &OLD[1..], "x:AQID", &twice, &unnumbered] {
        let error = SealKeys::from_text(text).unwrap_err();
        assert!(!error.text.contains(OLD) && !error.text.contains(NEW), "{text}");
    }
    let keys = SealKeys::from_text(&format!("{OLD}=\n")).unwrap();
    assert_eq!(format!("{keys:?}"), "SealKeys [1]");
}

/// The vector of the draft's appendix A.3.1: it is the cipher that the comments say it is.
#[test]
fn the_cipher_is_xchacha20_poly1305() {
    let key = SealKey { number: 1, key: Zeroizing::new(counted(0x80)) };
    let plain =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
        sunscreen would be it.";
    let aad = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
    let payload = Payload { msg: plain, aad: &aad };
    let sealed = key.cipher().encrypt(&XNonce::from(counted::<24>(0x40)), payload).unwrap();
    let tag = 0xc087_5924_c1c7_9879_47de_afd8_780a_cf49_u128.to_be_bytes();
    assert_eq!(sealed[..8], 0xbd6d_179d_3e83_d43b_u64.to_be_bytes());
    assert_eq!(sealed[plain.len()..], tag);
}

fn counted<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|at| first + u8::try_from(at).unwrap())
}
