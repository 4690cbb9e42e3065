//! The public test vectors: <https://github.com/paseto-standard/test-vectors>. Their claims are not those of our tokens, so
//! they are of the layer below.

use std::path::PathBuf;

use pasetors::keys::{AsymmetricPublicKey, AsymmetricSecretKey};
use pasetors::version4::{PublicToken, V4};
use serde_json::Value;

use super::{TokenKey, TokenKeys, verify_raw};

/// `v4.public`: verified, and signed to the same bytes, as Ed25519 has no randomness.
#[test]
fn signed_tokens() {
    let Some(vectors) = vectors("v4.json") else { return };
    let signed: Vec<&Value> =
        vectors.iter().filter(|vector| text(vector, "name").starts_with("4-S")).collect();
    assert_eq!(signed.len(), 3);
    for vector in signed {
        let (name, token, payload) = (text(vector, "name"), text(vector, "token"), text(vector, "payload"));
        let implicit = text(vector, "implicit-assertion").as_bytes();
        let public = AsymmetricPublicKey::<V4>::from(&bytes(text(vector, "public-key"))).unwrap();
        assert_eq!(verify_raw(&public, token, implicit).as_deref(), Some(payload), "{name}");
        assert_eq!(verify_raw(&public, token, b"other"), None, "{name}");

        let secret = AsymmetricSecretKey::<V4>::from(&bytes(text(vector, "secret-key"))).unwrap();
        let footer = Some(text(vector, "footer").as_bytes());
        let again = PublicToken::sign(&secret, payload.as_bytes(), footer, Some(implicit)).unwrap();
        assert_eq!(again, token, "{name}");
    }
}

/// What must fail, and what is of another purpose or version, is refused on both layers.
#[test]
fn everything_else_is_refused() {
    let (Some(v4), Some(v3)) = (vectors("v4.json"), vectors("v3.json")) else { return };
    let signed = v4.iter().find(|vector| text(vector, "name") == "4-S-1").unwrap();
    let public = AsymmetricPublicKey::<V4>::from(&bytes(text(signed, "public-key"))).unwrap();
    let secret = AsymmetricSecretKey::<V4>::from(&bytes(text(signed, "secret-key"))).unwrap();
    let keys = TokenKeys::new(vec![TokenKey::of(1, secret, public.clone())]).unwrap();
    for vector in v4.iter().chain(&v3) {
        let (name, token) = (text(vector, "name"), text(vector, "token"));
        let implicit = text(vector, "implicit-assertion").as_bytes();
        if !name.starts_with("4-S") {
            assert_eq!(verify_raw(&public, token, implicit), None, "{name}");
        }
        assert!(keys.verify(token, "", "", 0).is_err(), "{name}");
    }
}

fn vectors(file: &str) -> Option<Vec<Value>> {
    let data = std::env::var_os("CARI_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(data.join("crypto/paseto").join(file)) else {
        std::io::Write::write_all(&mut std::io::stdout(), b"skipped: no shared data\n").unwrap();
        return None;
    };
    let json: Value = serde_json::from_str(&text).unwrap();
    Some(json["tests"].as_array().unwrap().clone())
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_default()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
