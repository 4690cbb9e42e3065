//! Addresses and accounts against their figures, without HTTP.

use std::collections::HashMap;

use super::*;

fn limits(options: RateLimitOptions) -> RateLimits {
    RateLimits::new(options, &[7; 16], || 1_700_000_000_000_000, Arc::new(Metrics::new().unwrap())).unwrap()
}

fn client(address: &str) -> Client {
    Client::new(address.parse().unwrap())
}

#[tokio::test]
async fn mounts_addresses_and_accounts_have_counters_of_their_own() {
    let limits = limits(RateLimitOptions {
        per_minute: MountFigures { auth: 2, api: 3, ..MountFigures::default() },
        account_per_minute: 4,
        accounts: HashMap::from([("analyser".to_owned(), 5), ("backup".to_owned(), 0)]),
        ..RateLimitOptions::default()
    });
    let admitted = async |address: &str, path: &str| {
        let mut count = 0;
        while limits.admit_address(&client(address), path).await.is_ok() && count < 100 {
            count += 1;
        }
        count
    };
    for (address, path, wanted) in [
        ("192.0.2.1", "/api/auth/login", 2),
        ("192.0.2.1", "/api/auth/token", 0),
        ("192.0.2.1", "/api/visits", 3),
        ("192.0.2.1", "/v1/me", 0),
        ("192.0.2.2", "/api/auth/login", 2),
        ("2001:db8::1", "/api/auth/login", 2),
        ("2001:db8::2", "/api/auth/login", 0),
        ("192.0.2.1", "/fhir/R4/Patient", 100),
        ("192.0.2.1", "/admin/dlq", 100),
    ] {
        assert_eq!(admitted(address, path).await, wanted, "{address} {path}");
    }
    let of_account = async |name: &str| {
        let mut count = 0;
        while limits.admit_account(&client("192.0.2.1"), name).await.is_ok() && count < 100 {
            count += 1;
        }
        count
    };
    for (name, wanted) in [("ada", 4), ("ada", 0), ("ben", 4), ("analyser", 5), ("backup", 100), ("", 100)] {
        assert_eq!(of_account(name).await, wanted, "{name}");
    }
    let anonymous = limits.admit_principal(&client("192.0.2.1"), Principal::Anonymous).await;
    assert_eq!(anonymous.unwrap(), Principal::Anonymous);
    let error = limits.admit_account(&client("192.0.2.1"), "ada").await.unwrap_err();
    assert!(error.kind == Kind::Throttled && error.text.starts_with("too many requests of this account:"));
    let text = limits.metrics.text().unwrap();
    for line in ["limit=\"account\"} 5", "limit=\"api\"} 2", "limit=\"auth\"} 5"] {
        assert!(text.contains(&format!("cari_rate_limited_requests_total{{{line}")), "{line}\n{text}");
    }
    assert!(text.contains("cari_rate_limit_counters 7"), "{text}");
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_done_without_or_not() {
    for (is_required, wanted) in [(false, Kind::Throttled), (true, Kind::Unavailable)] {
        let limits = limits(RateLimitOptions {
            per_minute: MountFigures { auth: 1, ..MountFigures::default() },
            redis: Some(RedisOptions { url: "redis://127.0.0.1:1".to_owned(), is_required }),
            ..RateLimitOptions::default()
        });
        let ask = || async { limits.admit_address(&client("192.0.2.1"), "/api/auth").await };
        assert_eq!(ask().await.is_ok(), !is_required);
        assert_eq!(ask().await.unwrap_err().kind, wanted);
        assert!(limits.metrics.rate_limit_redis_failures.get() >= 1);
    }
}
