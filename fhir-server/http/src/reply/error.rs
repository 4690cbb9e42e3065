//! An error as a response: <https://hl7.org/fhir/R4/http.html#Status-Codes>

use bytes::Bytes;
use fhir_interactions::Method;
use fhir_model::types::Types;
use fhir_model::{Error, Kind};
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};

use super::body::{Answer, whole, with_body};
use crate::media::Format;
use crate::shape::Shape;

/// `Retry-After` of a 503, in seconds.
const RETRY_AFTER_SECONDS: u16 = 1;

/// What went wrong, as a response. It is JSON when the wanted format cannot be had.
pub async fn from_error(error: &Error, allowed: &[Method], shape: &Shape, types: &impl Types) -> Answer {
    let outcome = Bytes::from(error.outcome().to_string());
    let plain = Shape { format: Format::Json, ..shape.clone() };
    let made = match with_body(outcome.clone(), shape, types).await {
        Ok(answer) => Ok(answer),
        Err(_) => with_body(outcome, &plain, types).await,
    };
    let mut answer = made.unwrap_or_else(|_| Response::new(whole(Bytes::new())));
    *answer.status_mut() =
        StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    if matches!(error.kind, Kind::Unavailable | Kind::Throttled) {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
    }
    if error.kind == Kind::Unauthorized {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fhir\""));
    }
    if error.kind == Kind::MethodNotAllowed {
        let names: Vec<&str> = allowed.iter().map(|method| method.as_str()).collect();
        if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
            headers.insert(ALLOW, names);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use fhir_profiles::Definitions;

    use super::*;

    #[tokio::test]
    async fn who_must_say_who_it_is_is_told_how() {
        let types = Definitions::load().unwrap();
        for (kind, wanted) in [(Kind::Unauthorized, true), (Kind::Forbidden, false), (Kind::NotFound, false)]
        {
            let answer = from_error(&Error::new(kind, "no"), &[], &Shape::PLAIN, &types).await;
            let challenge = answer.headers().get(WWW_AUTHENTICATE);
            assert_eq!(challenge.map(|c| c.to_str().unwrap()), wanted.then_some("Bearer realm=\"fhir\""));
        }
    }
}
