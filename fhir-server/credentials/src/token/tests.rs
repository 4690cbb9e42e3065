use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000_000_000;
const SECOND: i64 = 1_000_000;
const ISSUER: &str = "https://cari.example.org";

fn keys(numbers: &[u32]) -> TokenKeys {
    TokenKeys::new(numbers.iter().map(|number| TokenKey::generate(*number).unwrap()).collect()).unwrap()
}

fn claims() -> Claims {
    let mut claims = Claims::new(ISSUER, "Practitioner/1", "fhir", NOW, NOW + 300 * SECOND);
    claims.session = Some(uuid::Uuid::new_v4());
    claims.client = Some("app".into());
    claims.scope = Some("openid patient/*.rs".into());
    claims.extra = json!({"patient": "1", "n": 1.50, "deep": [{"a": null}]}).as_object().unwrap().clone();
    claims
}

/// A token with these bytes as its payload, signed with the newest key.
fn signed(keys: &TokenKeys, payload: &str, footer: Option<&str>) -> String {
    let secret = &keys.keys.last().unwrap().secret;
    PublicToken::sign(secret, payload.as_bytes(), footer.map(str::as_bytes), None).unwrap()
}

fn refused(keys: &TokenKeys, token: &str, what: &str) {
    let error = keys.verify(token, "fhir", ISSUER, NOW).expect_err(what);
    assert_eq!((error.kind, &*error.text), (Kind::Unauthorized, "Invalid or expired token"), "{what}");
    assert!(error.source.is_none() && error.expression.is_empty(), "{what}");
}

#[test]
fn what_is_signed_is_verified() {
    let keys = keys(&[1]);
    let (full, least) = (claims(), Claims::new(ISSUER, "", "fhir", NOW, NOW + SECOND));
    for claims in [full, least] {
        let token = keys.sign(&claims).unwrap();
        assert!(token.starts_with("v4.public."));
        assert_eq!(keys.verify(&token, "fhir", ISSUER, NOW).unwrap(), claims);
    }
}

#[test]
fn the_payload_is_as_paseto_has_it() {
    let keys = keys(&[7]);
    let claims = Claims { extra: Map::new(), session: None, ..claims() };
    let token = keys.sign(&Claims { expires_at: NOW + 999_999, ..claims.clone() }).unwrap();
    let payload = keys.payload(&token).unwrap();
    let expected = format!(
        r#"{{"iss":"{ISSUER}","sub":"Practitioner/1","aud":"fhir","exp":"2027-01-15T08:00:00Z","nbf":"2027-01-15T08:00:00Z","iat":"2027-01-15T08:00:00Z","jti":"{}","client_id":"app","scope":"openid patient/*.rs"}}"#,
        claims.id
    );
    assert_eq!(payload, expected);
    let (id, public) = keys.public_keys().remove(0);
    assert!(id.starts_with("k4.pid.") && public.starts_with("k4.public."));
    let footer = URL_SAFE_NO_PAD.decode(token.rsplit_once('.').unwrap().1).unwrap();
    assert_eq!(footer, format!(r#"{{"kid":"{id}"}}"#).as_bytes());
}

/// Law: no other text than the token itself is accepted for it.
#[test]
fn every_changed_bit_is_refused() {
    let keys = keys(&[1]);
    let token = keys.sign(&claims()).unwrap();
    for at in 0..token.len() {
        // Bits of ASCII: a token with the eighth set is no text.
        for bit in 0..7 {
            let mut changed = token.clone().into_bytes();
            changed[at] ^= 1 << bit;
            refused(&keys, &String::from_utf8(changed).unwrap(), &format!("byte {at}, bit {bit}"));
        }
        refused(&keys, &token[..at], &format!("cut at {at}"));
    }
    for (before, after) in [("", "="), ("", "."), ("", " "), ("", "\n"), (" ", ""), ("", "A"), ("", ".e30")] {
        refused(&keys, &format!("{before}{token}{after}"), &format!("{before:?} {after:?}"));
    }
}

#[test]
fn times() {
    let keys = keys(&[1]);
    let minute = 60 * SECOND;
    // exp, nbf, iat, all relative to now; does it hold?
    let rows = [
        (300 * SECOND, 0, 0, true),
        (SECOND, -minute, -minute, true),
        (-59 * SECOND, -300 * SECOND, -300 * SECOND, true),
        (-minute, -300 * SECOND, -300 * SECOND, false),
        (300 * SECOND, minute, minute, true),
        (300 * SECOND, 61 * SECOND, 0, false),
        (300 * SECOND, 0, 61 * SECOND, false),
    ];
    for (exp, nbf, iat, holds) in rows {
        let claims =
            Claims { expires_at: NOW + exp, not_before: NOW + nbf, issued_at: NOW + iat, ..claims() };
        let token = keys.sign(&claims).unwrap();
        assert_eq!(keys.verify(&token, "fhir", ISSUER, NOW).is_ok(), holds, "{exp} {nbf} {iat}");
    }
    let token = keys.sign(&claims()).unwrap();
    for now in [i64::MIN, 0, i64::MAX] {
        assert!(keys.verify(&token, "fhir", ISSUER, now).is_err(), "{now}");
    }
}

#[test]
fn for_another_or_of_another() {
    let keys = keys(&[1]);
    let token = keys.sign(&claims()).unwrap();
    for (audience, issuer) in
        [("", ISSUER), ("fhir2", ISSUER), ("FHIR", ISSUER), ("fhir", ""), ("fhir", "https://x")]
    {
        assert!(keys.verify(&token, audience, issuer, NOW).is_err(), "{audience} {issuer}");
    }
}

#[test]
fn claims_that_are_missing_or_no_claims() {
    let keys = keys(&[1]);
    let footer = footer(&keys.public_keys()[0].0);
    let whole: Map<String, Value> = serde_json::from_str(&claims().to_json().unwrap()).unwrap();
    let token =
        |claims: &Map<String, Value>| signed(&keys, &serde_json::to_string(claims).unwrap(), Some(&footer));
    assert!(keys.verify(&token(&whole), "fhir", ISSUER, NOW).is_ok());
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"] {
        let mut claims = whole.clone();
        claims.shift_remove(name);
        refused(&keys, &token(&claims), name);
    }
    for name in NAMES_OF_TEXTS {
        for wrong in [json!(1), json!(null), json!(["fhir"]), json!({})] {
            let mut claims = whole.clone();
            claims.insert((*name).to_owned(), wrong.clone());
            refused(&keys, &token(&claims), &format!("{name}: {wrong}"));
        }
    }
    for (name, wrong) in [
        ("exp", "2027-01-15T09:00:00+00:00"),
        ("exp", "2027-01-15T09:00:00.0Z"),
        ("exp", "2027-13-15T09:00:00Z"),
        ("exp", "1800003600"),
        ("jti", "x"),
        ("sid", ""),
    ] {
        let mut claims = whole.clone();
        claims.insert(name.to_owned(), json!(wrong));
        refused(&keys, &token(&claims), &format!("{name}: {wrong}"));
    }
    for payload in ["[]", "1", "null", "{", "x"] {
        refused(&keys, &signed(&keys, payload, Some(&footer)), payload);
    }
}

const NAMES_OF_TEXTS: &[&str] =
    &["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "client_id", "scope"];

#[test]
fn footers() {
    let keys = keys(&[1]);
    let payload = claims().to_json().unwrap();
    let id = keys.public_keys()[0].0.clone();
    refused(&keys, &signed(&keys, &payload, None), "none");
    let padded = format!(r#"{{"kid":"{id}","pad":"{}"}}"#, "x".repeat(256));
    let nested = format!(r#"{{"kid":"{id}","more":{{}}}}"#);
    let deep = "[".repeat(200);
    let unknown = json!({"kid": self::keys(&[1]).public_keys()[0].0}).to_string();
    let listed = format!(r#"{{"kid":["{id}"]}}"#);
    for wrong in
        ["x", "{}", "[]", r#"{"kid":1}"#, r#"{"kid":""}"#, &id, &padded, &nested, &deep, &unknown, &listed]
    {
        refused(&keys, &signed(&keys, &payload, Some(wrong)), wrong);
    }
    let more = format!(r#"{{"kid":"{id}","more":"x"}}"#);
    assert!(keys.verify(&signed(&keys, &payload, Some(&more)), "fhir", ISSUER, NOW).is_ok());
}

#[test]
fn other_kinds_of_token() {
    let keys = keys(&[1]);
    let token = keys.sign(&claims()).unwrap();
    let rest = token.strip_prefix("v4.public.").unwrap();
    for header in
        ["v3.public.", "v2.public.", "v4.local.", "V4.public.", "v4.public", "Bearer v4.public.", ""]
    {
        refused(&keys, &format!("{header}{rest}"), header);
    }
    let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.";
    for other in
        ["", ".", "...", "v4.public.", "v4.public..", "v4.public.e30.e30", jwt, "\u{0}", "v4.public.ä.ö"]
    {
        refused(&keys, other, other);
    }
}

#[test]
fn long_tokens() {
    let keys = keys(&[1]);
    let with = |bytes: usize| {
        let extra = json!({"long": "x".repeat(bytes)}).as_object().unwrap().clone();
        Claims { extra, ..claims() }
    };
    assert!(keys.sign(&with(2000)).is_ok());
    assert_eq!(keys.sign(&with(4000)).unwrap_err().kind, Kind::Internal);
    let footer = footer(&keys.public_keys()[0].0);
    refused(&keys, &signed(&keys, &with(4000).to_json().unwrap(), Some(&footer)), "long");
}

#[test]
fn claims_that_are_not_signed() {
    let keys = keys(&[1]);
    for name in NAMES_OF_TEXTS {
        let extra = json!({*name: "x"}).as_object().unwrap().clone();
        assert_eq!(keys.sign(&Claims { extra, ..claims() }).unwrap_err().kind, Kind::Internal, "{name}");
    }
    for expires_at in [i64::MIN, i64::MAX, -99_999_999_999 * SECOND] {
        assert!(keys.sign(&Claims { expires_at, ..claims() }).is_err(), "{expires_at}");
    }
}

#[test]
fn the_newest_key_signs_and_all_verify() {
    let old = keys(&[1]);
    let token = old.sign(&claims()).unwrap();
    let both = TokenKeys::new([keys(&[3]).keys, old.keys.clone()].concat()).unwrap();
    assert!(both.verify(&token, "fhir", ISSUER, NOW).is_ok());
    let newer = both.sign(&claims()).unwrap();
    assert!(both.verify(&newer, "fhir", ISSUER, NOW).is_ok());
    refused(&old, &newer, "a key it has not heard of");
    let without = TokenKeys::new(both.keys[1..].to_vec()).unwrap();
    refused(&without, &token, "a key that was deleted");
    assert_eq!(both.public_keys()[0], old.public_keys()[0]);
}

#[test]
fn no_secret_is_shown() {
    let keys = keys(&[1]);
    let secret = keys.keys[0].to_text();
    let shown = format!("{keys:?}");
    assert!(shown.contains("k4.pid.") && !shown.contains(&secret[20..]), "{shown}");
    let again = TokenKey::from_text(1, &secret).unwrap();
    assert_eq!(again.id, keys.keys[0].id);
    let zeros = format!("k4.secret.{}", "A".repeat(86));
    for wrong in
        ["", "k4.secret.", &zeros, &secret[1..], &secret[..secret.len() - 2], &keys.public_keys()[0].1]
    {
        assert!(TokenKey::from_text(1, wrong).is_none(), "{wrong}");
    }
}
