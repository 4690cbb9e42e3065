//! The law of access under the conformance pages: beside everything that a page writes, hidden noise is written, and every page
//! passes as it does without.
//!
//! The server is the one that `serve` makes, on a PostgreSQL and over HTTP, but for its guard: it hides what has a label, and
//! Patients of a list with all that is theirs. Noise are copies of what is written, with the same identifiers, names, codes and
//! references, and resources that refer to what is written; in several versions, of which the first may be seen until the next is
//! written; some are deleted again. Part of it is written before what it stands beside, the rest before the answer goes out.
//!
//! A PUT by id sees everything, as who does not see all of a type creates nothing by PUT; what the law says of those is asked by
//! `law.rs`. What else is made different on purpose is listed in `noise/known-failures.txt`, with the reason; what is listed must fail.
//!
//! `CARI_SEED` repeats a run that failed, `CARI_NOISE_PAGES` names pages by parts of their names.

mod copies;
mod guard;
mod server;
mod writer;

use std::time::UNIX_EPOCH;

use fhir_conformance::{Pages, run_pages};

use self::server::NoisyServer;

#[tokio::test(flavor = "multi_thread")]
async fn the_conformance_pages_pass_beside_hidden_noise() {
    // Other noise each time.
    let seed = match std::env::var("CARI_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => UNIX_EPOCH.elapsed().unwrap().as_millis() as u64,
    };
    println!("CARI_SEED={seed}");
    let filters = std::env::var("CARI_NOISE_PAGES").unwrap_or_default();
    let pages = Pages {
        filters: filters.split_whitespace().map(str::to_owned).collect(),
        known_failures: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/noise/known-failures.txt").into(),
        // Of the seed: noise is chosen by what is written, and that has the name of the run in it.
        run: format!("n{:x}", seed % 0x1_0000_0000),
        ..Pages::default()
    };
    let server = NoisyServer::start(seed).await;
    let base = server.base();
    let tally = tokio::task::spawn_blocking(move || run_pages(&base, &pages)).await.unwrap().unwrap();
    let (versions, writes) = server.noise.counts();
    println!("{tally:?}, {versions} hidden versions beside {writes} writes");
    assert_eq!(tally.failed, 0, "CARI_SEED={seed} repeats it");
    assert!(!filters.is_empty() || (writes > 400 && versions > 2 * writes), "there is too little noise");
    server.stop_and_check().await;
}
