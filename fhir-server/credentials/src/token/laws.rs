//! Laws of tokens, over claims at random.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Claims, TokenKey, TokenKeys};

const SECOND: i64 = 1_000_000;

/// Within the years 0 to 9999.
const SECONDS_MAX: u64 = 250_000_000_000;

/// Random numbers, the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    /// Texts with what JSON and tokens could stumble over.
    fn text(&mut self) -> Box<str> {
        const LETTERS: [char; 12] =
            ['a', 'Z', '0', '"', '\\', '.', '\0', '\n', 'é', '\u{2028}', '\u{1f600}', ' '];
        let length = self.below(20);
        (0..length).map(|_| LETTERS[usize::try_from(self.below(12)).unwrap()]).collect::<String>().into()
    }

    fn claims(&mut self) -> Claims {
        let now = i64::try_from(self.below(SECONDS_MAX)).unwrap() * SECOND;
        let mut claims = Claims::new(&self.text(), &self.text(), &self.text(), now, now + 300 * SECOND);
        claims.not_before = now - i64::try_from(self.below(60)).unwrap() * SECOND;
        claims.session = (self.below(2) == 0).then(Uuid::new_v4);
        claims.client = (self.below(2) == 0).then(|| self.text());
        claims.scope = (self.below(2) == 0).then(|| self.text());
        let values =
            [json!(self.text()), json!(self.below(u64::MAX)), json!([null, {"a": self.text()}]), Value::Null];
        let names = (0..self.below(4)).map(|at| format!("x{at}{}", self.text()));
        claims.extra = names.collect::<Vec<_>>().into_iter().zip(values).collect::<Map<String, Value>>();
        claims
    }
}

#[test]
fn what_is_signed_is_what_is_verified_and_by_nobody_else() {
    let keys = TokenKeys::new(vec![TokenKey::generate(1).unwrap()]).unwrap();
    let others = TokenKeys::new(vec![TokenKey::generate(1).unwrap()]).unwrap();
    let mut random = Random(1);
    for _ in 0..500 {
        let claims = random.claims();
        let (audience, issuer, now) = (&claims.audience, &claims.issuer, claims.issued_at);
        let token = keys.sign(&claims).unwrap();
        assert_eq!(keys.verify(&token, audience, issuer, now).unwrap(), claims);
        assert!(others.verify(&token, audience, issuer, now).is_err());
        assert!(keys.verify(&token, audience, issuer, now + 360 * SECOND).is_err());
        assert!(keys.verify(&token, audience, &format!("{issuer}x"), now).is_err());
        assert_ne!(token, others.sign(&claims).unwrap());
        // The claims of one token under the signature of another.
        let other = keys.sign(&random.claims()).unwrap();
        let payload = &token[..token.len() / 2];
        if let Some(rest) = other.get(payload.len()..) {
            assert!(keys.verify(&format!("{payload}{rest}"), audience, issuer, now).is_err());
        }
    }
}
