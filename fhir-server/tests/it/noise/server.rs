//! The server that the pages are run against.

use std::sync::Arc;

use fhir_access::Open;
use fhir_app::App;
use fhir_config::{Config, Sources};
use fhir_http::{Metrics, Server, Stop};
use fhir_interactions::Cx;
use fhir_server::{modules, wiring};
use fhir_work::Working;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::guard::HidingGuard;
use super::writer::{NoiseRule, NoiseWriter};
use crate::app::{json, outbound};
use crate::process;

/// Of what is hidden, so many are asked for in the end.
const ASKED: usize = 300;

/// A server as `serve --auth none` makes it, but with noise, and a guard that hides it.
pub(super) struct NoisyServer {
    origin: String,
    pub(super) noise: Arc<NoiseWriter>,
    stop: Stop,
    work: Working,
    _directory: TempDir,
}

impl NoisyServer {
    pub(super) async fn start(seed: u64) -> NoisyServer {
        let directory = process::directory();
        let modules = modules::list().unwrap();
        let sources = Sources::default()
            .modules(modules.settings())
            .flag("--auth", "auth", Some("none"))
            .flag("--data-dir", "data_dir", directory.path().to_str());
        let config = Config::load(sources).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hosts = wiring::hosts(&config, address);
        let url = fhir_store::testing::database().await.unwrap();
        let registry = fhir_store::testing::registry().await.unwrap();
        let definitions = (registry.definitions().clone(), registry);
        let core =
            wiring::cx(&config, &modules, &url, wiring::Index::Served(&hosts), definitions).await.unwrap();
        let cx = Arc::into_inner(core.cx).unwrap();
        let noise = NoiseWriter::new(seed, Cx::new(cx.store.clone(), Arc::new(Open)));
        let cx = Arc::new(Cx {
            guard: Arc::new(HidingGuard::new(&cx.store)),
            rules: cx.rules.with(vec![Box::new(NoiseRule(noise.clone()))]),
            observers: vec![noise.clone()],
            ..cx
        });
        let app = Arc::new(App::new(cx.clone(), config.modules.clone(), outbound()));
        let metrics = Arc::new(Metrics::new().unwrap());
        wiring::observe(&cx, &metrics, None).unwrap();
        let edge = wiring::edge(&config, &app, &modules, metrics, hosts).unwrap();
        let (server, stop) = Server::new(listener, edge);
        let work = wiring::work(&config, &app, &modules).unwrap();
        tokio::spawn(server.run());
        NoisyServer { origin: format!("http://{address}"), noise, stop, work, _directory: directory }
    }

    pub(super) fn base(&self) -> String {
        format!("{}/fhir/R4", self.origin)
    }

    /// Nothing of the noise is seen, and nothing panicked.
    pub(super) async fn stop_and_check(self) {
        let client = process::client();
        let get = async |url: &str| client.get(url).send().await.unwrap();
        let keys = self.noise.keys();
        assert!(!keys.is_empty(), "no noise");
        for key in keys.iter().step_by(keys.len().div_ceil(ASKED)) {
            for path in [key.clone(), format!("{key}/_history"), format!("{key}/_history/1")] {
                assert_eq!(get(&format!("{}/{path}", self.base())).await.status(), 404, "{path}");
            }
        }
        for path in ["_history?_count=1000", "?_count=1000"] {
            let mut next = Some(format!("{}/{path}", self.base()));
            let mut seen = 0;
            while let Some(url) = next {
                let (status, page) = json(get(&url).await).await;
                assert_eq!(status, 200, "{page}");
                for entry in page["entry"].as_array().into_iter().flatten() {
                    let url = entry["fullUrl"].as_str().unwrap();
                    let key = url.rsplitn(3, '/').take(2).collect::<Vec<_>>();
                    let key = format!("{}/{}", key[1], key[0]);
                    assert!(!self.noise.is_noise(&key), "{path} shows {key}");
                    seen += 1;
                }
                let links = page["link"].as_array().unwrap();
                let link = links.iter().find(|link| link["relation"] == "next");
                next = link.map(|link| link["url"].as_str().unwrap().to_owned());
            }
            assert!(seen > 0, "{path} shows nothing");
        }
        let metrics = get(&format!("{}/metrics", self.origin)).await.text().await.unwrap();
        assert!(metrics.lines().any(|line| line == "fhir_panics_total 0"), "{metrics}");
        self.stop.now();
        self.work.stop().await;
    }
}
