//! Domains: claimed by a record in the DNS, which is a fake one here.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::server::{Answer, ClinicServer, Person, SUPERADMIN};

/// What the DNS says of a name.
#[derive(Clone)]
enum Said {
    Texts(Vec<String>),
    /// There is no such name.
    Nothing,
    /// It cannot answer.
    Failure,
    /// It does not answer.
    Silence,
}

/// A resolver that knows what a test tells it, and no other name.
#[derive(Clone, Default)]
struct FakeDns(Arc<Mutex<HashMap<String, Said>>>);

impl FakeDns {
    /// Starts it. Returns where it listens.
    fn start(&self) -> String {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let names = self.0.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let query = &buffer[..length];
                let (name, end) = name(query);
                let said = names.lock().unwrap().get(&name).cloned().unwrap_or(Said::Nothing);
                if let Some(answer) = answer(query, end, &said) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        address
    }

    /// The settings of a server that asks it.
    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        Box::leak(Box::new([("CARI_CLINIC__DNS_SERVER", &*Box::leak(self.start().into_boxed_str()))]))
    }

    fn say(&self, name: &str, said: Said) {
        self.0.lock().unwrap().insert(name.to_owned(), said);
    }
}

/// The name that a query asks for, and where the question ends.
fn name(query: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..=at + length]).to_lowercase());
        at += length + 1;
    }
    (labels.join("."), at + 5)
}

/// <https://www.rfc-editor.org/rfc/rfc1035#section-4>
fn answer(query: &[u8], end: usize, said: &Said) -> Option<Vec<u8>> {
    let (code, texts) = match said {
        Said::Silence => return None,
        Said::Failure => (2, &[][..]),
        Said::Nothing => (3, &[][..]),
        Said::Texts(texts) => (0, &texts[..]),
    };
    let mut message = query[..2].to_vec();
    message.extend([0x81, 0x80 | code, 0, 1, 0, texts.len() as u8, 0, 0, 0, 0]);
    message.extend(&query[12..end]);
    for text in texts {
        // In two parts, as longer ones are.
        let (one, other) = text.split_at(text.len() / 2);
        let length = text.len() as u16 + 2;
        message.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
        message.extend(length.to_be_bytes());
        for part in [one, other] {
            message.push(part.len() as u8);
            message.extend(part.as_bytes());
        }
    }
    Some(message)
}

async fn add(server: &ClinicServer, who: &Person, path: &str, domain: &str) -> Value {
    let added = server.post(path, who, json!({ "domain": domain })).await;
    assert_eq!((added.status, &added.data()["status"]), (201, &json!("pending")), "{}", added.body);
    added.data().clone()
}

async fn verify(server: &ClinicServer, who: &Person, path: &str, domain: &Value) -> Answer {
    server.post(&format!("{path}/{}/verify", domain["id"].as_str().unwrap()), who, json!({})).await
}

fn record(domain: &Value) -> (&str, Vec<String>) {
    let record = &domain["dns_record"];
    assert_eq!(record["type"], "TXT");
    (
        record["name"].as_str().unwrap(),
        vec!["v=spf1 -all".to_owned(), record["value"].as_str().unwrap().to_owned()],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn claimed_and_verified() {
    let dns = FakeDns::default();
    let server = ClinicServer::with(dns.settings()).await;
    let (ours, other) = (server.organization("ours").await, server.organization("other").await);
    let chief = server.member("chief", &ours, "ADMIN").await;
    let path = format!("/v1/organizations/{}/domains", ours.id);
    let domain = add(&server, &chief, &path, "Clinic.Example.ORG").await;
    assert_eq!((&domain["domain"], &domain["verified_at"]), (&json!("clinic.example.org"), &Value::Null));
    let (name, texts) = record(&domain);
    assert_eq!(name, "_cari.clinic.example.org");
    assert!(texts[1].starts_with("cari-verification="), "{texts:?}");
    let again = server.post(&path, &chief, json!({ "domain": "clinic.example.org" })).await;
    assert_eq!(again.error(), (409, "conflict"));
    assert_eq!(server.post(&path, &chief, json!({ "domain": "10.0.0.1" })).await.fields(), ["domain"]);
    let resolve = "/v1/public/organizations/resolve?domain=clinic.example.org";

    // No such name, other texts, no answer: nothing is verified by these.
    assert_eq!(verify(&server, &chief, &path, &domain).await.fields(), ["domain"]);
    dns.say(name, Said::Texts(vec!["cari-verification=other".to_owned(), format!("{}x", texts[1])]));
    assert_eq!(verify(&server, &chief, &path, &domain).await.fields(), ["domain"]);
    dns.say(name, Said::Failure);
    assert_eq!(verify(&server, &chief, &path, &domain).await.error(), (503, "unavailable"));
    dns.say(name, Said::Silence);
    assert_eq!(verify(&server, &chief, &path, &domain).await.error(), (504, "timeout"));
    assert_eq!(server.get(resolve, None).await.error(), (404, "not_found"));
    // What was not there is looked for again.
    dns.say(name, Said::Texts(texts.clone()));
    let verified = verify(&server, &chief, &path, &domain).await;
    assert_eq!(verified.data()["status"], "verified", "{}", verified.body);
    assert_eq!(server.get(resolve, None).await.data()["id"], json!(ours.id));
    assert_eq!(server.get(&resolve.replace("clinic", "CLINIC"), None).await.status, 200);
    let since = verified.data()["verified_at"].clone();
    assert_eq!(verify(&server, &chief, &path, &domain).await.data()["verified_at"], since);

    // Nobody else can claim it.
    let theirs = format!("/v1/organizations/{}/domains", other.id);
    let admin = server.person("admin", &[SUPERADMIN]).await;
    let claimed = server.post(&theirs, &admin, json!({ "domain": "clinic.example.org" })).await;
    assert_eq!(claimed.error(), (409, "conflict"));
    // Another's domain is none of ours.
    let id = domain["id"].as_str().unwrap();
    assert_eq!(verify(&server, &admin, &theirs, &domain).await.error(), (404, "not_found"));
    for (path, status) in [(&theirs, 404), (&path, 204), (&path, 404)] {
        let removed = server.send("DELETE", &format!("{path}/{id}"), Some(&admin), None, &[]).await;
        assert_eq!(removed.status, status, "{path}");
    }
    assert_eq!(server.get(resolve, None).await.error(), (404, "not_found"));
    server.stop().await;
}

/// Two organisations claim a domain before either has proved it: the first that does has it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_claims_one_is_verified() {
    let dns = FakeDns::default();
    let server = ClinicServer::with(dns.settings()).await;
    let admin = server.person("admin", &[SUPERADMIN]).await;
    let (one, other) = (server.organization("one").await, server.organization("other").await);
    let paths = [one.id, other.id].map(|id| format!("/v1/organizations/{id}/domains"));
    let [first, second] = &paths;
    let mine = add(&server, &admin, first, "shared.example.org").await;
    let theirs = add(&server, &admin, second, "shared.example.org").await;
    let (name, mut texts) = record(&mine);
    texts.extend(record(&theirs).1);
    dns.say(name, Said::Texts(texts));
    let (a, b) =
        tokio::join!(verify(&server, &admin, first, &mine), verify(&server, &admin, second, &theirs));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", a.body, b.body);
    let listed = server.get(&format!("{first}?sort=-domain"), Some(&admin)).await;
    assert_eq!(listed.body["pagination"]["total"], 1);
    server.stop().await;
}
