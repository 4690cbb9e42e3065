//! What a token says: <https://github.com/paseto-standard/paseto-spec/blob/master/docs/02-Implementation-Guide/04-Claims.md>

use fhir_model::{Error, Result};
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

/// By how much the clocks of those who sign and those who verify may differ.
const LEEWAY: i64 = 60 * SECOND;

/// In microseconds.
const SECOND: i64 = 1_000_000;

/// The claims with a meaning of their own, which `extra` may not hold.
const NAMES: [&str; 10] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "client_id", "scope"];

/// What an access token says. Times are microseconds since 1970; a token keeps whole seconds of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// `iss`: who gave it out, a base url.
    pub issuer: Box<str>,
    /// `sub`: whom it speaks of.
    pub subject: Box<str>,
    /// `aud`: whom it is for.
    pub audience: Box<str>,
    /// `exp`: from when on it holds no more.
    pub expires_at: i64,
    /// `nbf`: from when on it holds.
    pub not_before: i64,
    /// `iat`: when it was given out.
    pub issued_at: i64,
    /// `jti`: the token's own id.
    pub id: Uuid,
    /// `sid`: the session it belongs to, which may be ended before the token expires.
    pub session: Option<Uuid>,
    /// `client_id`: the application it was given to.
    pub client: Option<Box<str>>,
    /// `scope`: what it allows, in words with spaces between.
    pub scope: Option<Box<str>>,
    /// Further claims.
    pub extra: Map<String, Value>,
}

impl Claims {
    /// Claims of a new token with a random id, that holds from `now` until `expires_at`.
    pub fn new(issuer: &str, subject: &str, audience: &str, now: i64, expires_at: i64) -> Claims {
        Claims {
            issuer: issuer.into(),
            subject: subject.into(),
            audience: audience.into(),
            expires_at,
            not_before: now,
            issued_at: now,
            id: Uuid::new_v4(),
            session: None,
            client: None,
            scope: None,
            extra: Map::new(),
        }
    }

    /// Does it hold now? Times in the future are as wrong as those in the past: they are of a clock that cannot be trusted.
    pub(super) fn hold(&self, now: i64) -> bool {
        let latest = now.saturating_add(LEEWAY);
        let earliest = now.saturating_sub(LEEWAY);
        self.not_before <= latest && self.issued_at <= latest && earliest < self.expires_at
    }

    pub(super) fn to_json(&self) -> Result<String> {
        if let Some(name) = NAMES.iter().find(|name| self.extra.contains_key(**name)) {
            return Err(Error::internal(format!("`{name}` is no extra claim")));
        }
        let mut json = Map::new();
        let mut set = |name: &str, value: String| json.insert(name.to_owned(), Value::String(value));
        set("iss", self.issuer.to_string());
        set("sub", self.subject.to_string());
        set("aud", self.audience.to_string());
        set("exp", written(self.expires_at)?);
        set("nbf", written(self.not_before)?);
        set("iat", written(self.issued_at)?);
        set("jti", self.id.to_string());
        for (name, value) in [
            ("sid", self.session.map(|session| session.to_string())),
            ("client_id", self.client.as_deref().map(str::to_owned)),
            ("scope", self.scope.as_deref().map(str::to_owned)),
        ] {
            if let Some(value) = value {
                set(name, value);
            }
        }
        json.extend(self.extra.clone());
        Ok(Value::Object(json).to_string())
    }

    /// Returns `None` when a claim is missing or is not what it should be.
    pub(super) fn from_json(text: &str) -> Option<Claims> {
        let mut json: Map<String, Value> = serde_json::from_str(text).ok()?;
        let mut take = |name: &str| match json.shift_remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.into_boxed_str())),
            Some(_) => Err(()),
        };
        let mut required = |name: &str| take(name).ok()?;
        let (issuer, subject, audience) = (required("iss")?, required("sub")?, required("aud")?);
        let (expires_at, not_before) = (read(&required("exp")?)?, read(&required("nbf")?)?);
        let (issued_at, id) = (read(&required("iat")?)?, Uuid::try_parse(&required("jti")?).ok()?);
        let session = match take("sid").ok()? {
            Some(text) => Some(Uuid::try_parse(&text).ok()?),
            None => None,
        };
        let (client, scope) = (take("client_id").ok()?, take("scope").ok()?);
        Some(Claims {
            issuer,
            subject,
            audience,
            expires_at,
            not_before,
            issued_at,
            id,
            session,
            client,
            scope,
            extra: json,
        })
    }
}

/// `2026-03-01T12:00:00Z`
fn written(time: i64) -> Result<String> {
    let time = Timestamp::from_second(time.div_euclid(SECOND)).map_err(Error::internal)?;
    let text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    if read(&text).is_none() {
        return Err(Error::internal(format!("{text} is no time of a token")));
    }
    Ok(text)
}

/// Exactly what [`written`] writes, and no other way to say the same.
fn read(text: &str) -> Option<i64> {
    if text.len() != 20 || !text.ends_with('Z') {
        return None;
    }
    Some(text.parse::<Timestamp>().ok()?.as_second() * SECOND)
}
