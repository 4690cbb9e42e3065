//! Pages against a server of a few lines that knows three patients: what is right passes, and what is wrong fails.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::run;
use crate::client::Subject;
use crate::page::Page;

const RUN: &str = "r1";

/// How often `r1-late` was asked for.
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// Listens as long as the test process lives.
fn serve() -> Subject {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Subject::new(&format!("http://{address}/fhir"))
}

fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let (mut length, mut host) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            match name.to_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "host" => host = value.to_owned(),
                _ => {}
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (status, body) = route(method, target, &host);
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/fhir+json\r\netag: W/\"1\"\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }
}

fn route(method: &str, target: &str, host: &str) -> (u16, String) {
    let patient =
        |id: &str| format!(r#"{{"resourceType":"Patient","id":"{RUN}-{id}","multipleBirthInteger":1.0}}"#);
    let entry = |id: &str| {
        format!(
            r#"{{"fullUrl":"http://x/Patient/{RUN}-{id}","search":{{"mode":"match"}},"resource":{}}}"#,
            patient(id)
        )
    };
    let page = |ids: &[&str], next: &str| {
        let entries: Vec<String> = ids.iter().map(|id| entry(id)).collect();
        let next = match next {
            "" => String::new(),
            next => format!(r#",{{"relation":"next","url":"http://{host}{next}"}}"#),
        };
        format!(
            r#"{{"resourceType":"Bundle","type":"searchset","total":3,
                "link":[{{"relation":"self","url":"x"}}{next}],"entry":[{}]}}"#,
            entries.join(",")
        )
    };
    let outcome = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found"}]}"#;
    match (method, target) {
        ("PUT" | "POST", _) => (201, patient("a")),
        ("GET", "/fhir/Patient/r1-a") => (200, patient("a")),
        // Not there before it was asked for some times.
        ("GET", "/fhir/Patient/r1-late") if ASKED.fetch_add(1, Ordering::Relaxed) >= 2 => {
            (200, patient("late"))
        }
        ("GET", "/fhir/Patient?page=2") => (200, page(&["c"], "")),
        ("GET", "/fhir/Patient?twice=1") => (200, page(&["a", "b"], "/fhir/Patient?page=3")),
        ("GET", "/fhir/Patient?page=3") => (200, page(&["b"], "")),
        ("GET", "/fhir/Patient?endless=1") => (200, page(&["a"], "/fhir/Patient?endless=1")),
        ("GET", "/fhir/Patient?broken=1") => (404, "{}".to_owned()),
        ("GET", search) if search.starts_with("/fhir/Patient?") => {
            (200, page(&["a", "b"], "/fhir/Patient?page=2"))
        }
        _ => (404, outcome.to_owned()),
    }
}

/// Runs one case and says whether it passed.
fn passes(blocks: &str) -> bool {
    let page = Page::parse("p", &format!("# P\n\n## Case\n\n{blocks}\n")).unwrap();
    let outcomes = run(&serve(), &page, RUN);
    assert_eq!(outcomes.len(), 1, "{blocks}: {outcomes:?}");
    outcomes[0].failure.is_none()
}

#[test]
fn requests() {
    let http = |request: &str, expect: &str| format!("```http\n{request}\n```\n```expect\n{expect}\n```");
    let rows = [
        (http("GET /Patient/{{run}}-a", "200\nPatient.id = \"{{run}}-a\"\nheader ETag = W/\"1\""), true),
        (http("GET /Patient/{{run}}-a", "404"), false),
        (http("GET /Patient/{{run}}-a", "200\nPatient.id = \"b\""), false),
        (http("GET /Patient/{{run}}-a", "200\nPatient.multipleBirthInteger = 1.0"), true),
        (http("GET /Patient/{{run}}-a", "200\nPatient.multipleBirthInteger = 1"), false),
        (http("GET /Patient/b", "404\noutcome error not-found"), true),
        (http("GET /Patient/b", "404\noutcome error deleted"), false),
        // An answer that breaks a law fails, although nothing in the page is about it.
        (http("GET /Patient?broken=1", "404"), false),
        (http("POST /Patient\n\n{\"resourceType\": \"Patient\"}", "201"), true),
        (http("GET /Patient/{{never-set}}", "200"), false),
    ];
    for (blocks, expected) in rows {
        assert_eq!(passes(&blocks), expected, "{blocks}");
    }
}

#[test]
fn what_comes_in_time_is_waited_for() {
    let until = |ms: u64, id: &str| {
        format!("```http until={ms}\nGET /Patient/{{{{run}}}}-{id}\n```\n```expect\n200\n```")
    };
    assert!(passes(&until(20_000, "late")));
    assert!(ASKED.load(Ordering::Relaxed) >= 3);
    assert!(!passes(&until(300, "never")));
}

#[test]
fn searches_and_walks() {
    let rows = [
        ("```search\nGET /Patient\nname=x -> a b c\n```", true),
        ("```search\nGET /Patient\nname=x -> a b\n```", false),
        ("```search\nGET /Patient\nname=x => a b c\n```", true),
        ("```search\nGET /Patient\nname=x => c b a\n```", false),
        ("```search\nGET /Patient\nname=x -> none\n```", false),
        ("```search\nGET /Patient\nname=x -> 200\n```", true),
        ("```search\nGET /Patient\nname=x -> 400\n```", false),
        ("```search\nGET /Nothing\nname=x -> a\n```", false),
        // The same match on two pages, and pages without an end.
        ("```search\nGET /Patient\ntwice=1 -> a b b\n```", false),
        ("```search\nGET /Patient\nendless=1 -> a\n```", false),
        (
            "```walk\nGET /Patient?name=x\n```\n```expect\nWalk.pages = 2\nWalk.size = [2, 1]\nfound a b c\n```",
            true,
        ),
        ("```walk\nGET /Patient?name=x\n```\n```expect\nWalk.pages = 1\n```", false),
        ("```walk\nGET /Patient?name=x\n\nPOST /Patient\n\n{}\n```\n```expect\nWalk.pages = 2\n```", true),
        ("```walk\nGET /Patient?name=x\n\nGET /Nothing\n```\n```expect\nWalk.pages = 2\n```", false),
    ];
    for (blocks, expected) in rows {
        assert_eq!(passes(blocks), expected, "{blocks}");
    }
}

#[test]
fn a_set_up_that_fails_fails_every_case() {
    let text = "# P\n```http\nGET /Patient/b\n```\n```expect\n200\n```\n## A\n```search\nGET /Patient\nx=1 -> a b c\n```\n";
    let outcomes = run(&serve(), &Page::parse("p", text).unwrap(), RUN);
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes.iter().all(|outcome| outcome.failure.is_some()));
}

#[test]
fn given_resources_are_stored() {
    assert!(passes(
        "```given\n{\"resourceType\": \"Patient\", \"id\": \"x\"}\n{\"resourceType\": \"Patient\"}\n```\n\
         ```http\nGET /Patient/{{run}}-a\n```\n```expect\n200\n```"
    ));
    let page = Page::parse("p", "# P\n```given\n{\"id\": \"no type\"}\n```\n").unwrap();
    assert!(run(&serve(), &page, RUN)[0].failure.is_some());
}
