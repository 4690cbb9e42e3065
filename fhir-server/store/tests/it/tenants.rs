//! Organisations on one database: resources of the same ids, identifiers and names never meet.

use std::sync::Arc;

use fhir_model::Key;
use fhir_search::condition::Condition;
use fhir_search::{Query, TenantId};
use fhir_store::{
    Commit, EverythingFilter, FeedPosition, HistoryPage, HistoryTarget, Method, Options, Precondition,
    ResourceState, Rule, Rules, Scope, Store, Write,
};

use super::parameters::until;
use super::{doc, query};

async fn two_clinics() -> (Arc<Store>, [Scope; 3]) {
    let organizations = vec!["north".to_owned(), "south".to_owned()];
    let store =
        fhir_store::testing::fresh_with(Options { organizations, ..Options::default() }).await.unwrap();
    let of = Scope::everything_of;
    let tenant = async |slug| of(store.tenant(slug).await.unwrap().unwrap());
    let scopes = [of(TenantId::DEFAULT), tenant("north").await, tenant("south").await];
    assert_eq!(store.tenant("east").await.unwrap(), None);
    (store, scopes)
}

async fn write(store: &Store, scope: &Scope, key: &Key, method: Method, body: Option<&str>) {
    let before = store.read(scope, key).await.unwrap();
    let version = before.last_version() + 1;
    let doc = body.map(|body| doc(body, key, version));
    let write = Write { key: key.clone(), before, version, method, doc, preconditions: Vec::new() };
    let timestamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(scope, &timestamp, &[write]).await.unwrap(), Commit::Done, "{key}");
}

async fn ids(store: &Arc<Store>, scope: &Scope, text: &str) -> String {
    let asked: Query = query(store, text);
    let page = store.search(scope, &asked).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let count = store.count(scope, &asked).await.unwrap();
    assert_eq!(count.n, page.matches.len() as u64, "{text}");
    let name = |v: &fhir_store::Version| v.key.to_string();
    let mut all: Vec<String> = page.matches.iter().map(name).collect();
    all.extend(page.included.iter().map(|v| format!("+{}", name(v))));
    all.sort();
    all.join(" ")
}

#[tokio::test]
async fn tenants_never_meet() {
    let (store, scopes) = two_clinics().await;
    let server_given = Key::new("Patient", store.new_id());
    let patient = |n: usize| {
        format!(
            r#"{{"identifier":[{{"system":"http://s","value":"1"}}],"name":[{{"family":"Wanjiku"}}],"birthDate":"200{n}"}}"#
        )
    };
    for (n, scope) in scopes.iter().enumerate() {
        write(&store, scope, &Key::new("Patient", "same"), Method::Put, Some(&patient(n))).await;
        // Of the third alone it is not known.
        if n < 2 {
            write(&store, scope, &Key::new("Observation", "o"), Method::Put, Some(&observation("same")))
                .await;
        }
    }
    // The id that the server gave in the first is referred to in the second, where it is nothing.
    write(&store, &scopes[0], &server_given, Method::Post, Some(&patient(9))).await;
    let body = observation(&server_given.id);
    write(&store, &scopes[1], &Key::new("Observation", "stray"), Method::Put, Some(&body)).await;
    let list = format!(
        r#"{{"status":"current","mode":"working","entry":[{{"item":{{"reference":"{server_given}"}}}},{{"item":{{"reference":"Patient/same"}}}}]}}"#
    );
    write(&store, &scopes[1], &Key::new("List", "l"), Method::Put, Some(&list)).await;

    let given = &server_given.id;
    let rows: &[(&str, [String; 3])] = &[
        (
            "Patient?identifier=http://s|1",
            [format!("Patient/{given} Patient/same"), "Patient/same".into(), "Patient/same".into()],
        ),
        ("Patient?name=wanj&birthdate=2000", ["Patient/same".into(), String::new(), String::new()]),
        (
            "Observation?subject.name=wanjiku&_include=Observation:subject",
            ["+Patient/same Observation/o".into(), "+Patient/same Observation/o".into(), String::new()],
        ),
        (
            "Observation?_id=stray&_include=Observation:subject",
            [String::new(), "Observation/stray".into(), String::new()],
        ),
        (
            "Patient?_has:Observation:patient:code=c",
            ["Patient/same".into(), "Patient/same".into(), String::new()],
        ),
        (
            "Patient?_id=same&_revinclude=Observation:subject",
            [
                "+Observation/o Patient/same".into(),
                "+Observation/o Patient/same".into(),
                "Patient/same".into(),
            ],
        ),
        ("Patient?_list=l", [String::new(), "Patient/same".into(), String::new()]),
        (
            "Patient?_sort=birthdate",
            [format!("Patient/{given} Patient/same"), "Patient/same".into(), "Patient/same".into()],
        ),
        ("Observation?patient=same", ["Observation/o".into(), "Observation/o".into(), String::new()]),
    ];
    for (text, wanted) in rows {
        for (scope, wanted) in scopes.iter().zip(wanted) {
            assert_eq!(ids(&store, scope, text).await, *wanted, "{text} of {:?}", scope.tenant());
        }
    }
    let text = format!("Patient?_id={given}&_revinclude=Observation:subject");
    assert_eq!(
        ids(&store, &scopes[0], &text).await,
        format!("Patient/{given}"),
        "of the second nothing leads here"
    );
    assert_eq!(ids(&store, &scopes[1], &text).await, "");

    let is = |state: &ResourceState| matches!(state, ResourceState::Current(_));
    assert!(is(&store.read(&scopes[0], &server_given).await.unwrap()));
    for scope in &scopes[1..] {
        assert!(matches!(store.read(scope, &server_given).await.unwrap(), ResourceState::Absent));
        assert!(matches!(store.vread(scope, &server_given, 1).await.unwrap(), ResourceState::Absent));
        assert!(store.current(scope, std::slice::from_ref(&server_given)).await.unwrap().is_empty());
        let page = HistoryPage { count: 10, ..HistoryPage::default() };
        assert!(store.history(scope, &HistoryTarget::Instance(server_given.clone()), &page).await.is_err());
    }
    let members = async |scope: &Scope, key: &Key| {
        let all = store.compartment(scope, key, &EverythingFilter::default(), None, 10).await.unwrap();
        all.iter().map(|member| member.version.key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(members(&scopes[0], &server_given).await, Vec::<String>::new());
    assert_eq!(members(&scopes[0], &Key::new("Patient", "same")).await, ["Observation/o"]);
    assert_eq!(members(&scopes[2], &Key::new("Patient", "same")).await, Vec::<String>::new());

    // What one deletes stays with the others; what one claims is free for the others.
    write(&store, &scopes[1], &Key::new("Patient", "same"), Method::Delete, None).await;
    for (scope, wanted) in scopes.iter().zip([2, 2, 1]) {
        let page = HistoryPage { count: 10, ..HistoryPage::default() };
        let history = store.history(scope, &HistoryTarget::Type("Patient".into()), &page).await.unwrap();
        assert_eq!(history.versions.len(), wanted, "{:?}", scope.tenant());
        let there = is(&store.read(scope, &Key::new("Patient", "same")).await.unwrap());
        assert_eq!(there, scope.tenant() != scopes[1].tenant());
    }
    assert_ne!(
        store.claim(&scopes[0], "Patient?identifier=1").await.unwrap(),
        store.claim(&scopes[1], "Patient?identifier=1").await.unwrap()
    );
}

/// Two who see different resources of an organisation write under the same criteria: the second is stale. What another organisation
/// writes under them is none of theirs.
#[tokio::test]
async fn claims_are_of_a_tenant_whoever_sees_what() {
    let (store, [_, north, south]) = two_clinics().await;
    let hidden = store.condition(north.tenant(), &query(&store, "Patient?_id=nobody"));
    let rule = Rule { filter: Condition::Not(Box::new(hidden)), ..Rule::all() };
    let rules = Rules::by_type([("Patient".into(), rule)].into()).unwrap();
    let some = Scope::new(north.tenant(), vec![(north.tenant(), rules)]);
    let criteria = "Patient?identifier=1";
    for round in ["nobody claims it yet", "it was claimed before"] {
        let mut claims = Vec::new();
        for scope in [&north, &some, &south] {
            claims.push((scope, store.claim(scope, criteria).await.unwrap()));
        }
        for ((scope, claim), wanted) in claims.into_iter().zip([Commit::Done, Commit::Stale, Commit::Done]) {
            let key = Key::new("Patient", store.new_id());
            let doc = Some(doc("{}", &key, 1));
            let (before, method) = (ResourceState::Absent, Method::Post);
            let preconditions = vec![Precondition::Claim(claim)];
            let write = Write { key, before, version: 1, method, doc, preconditions };
            let timestamp = store.commit_timestamp().unwrap();
            assert_eq!(store.commit(scope, &timestamp, &[write]).await.unwrap(), wanted, "{round}");
        }
    }
}

fn observation(patient: &str) -> String {
    format!(
        r#"{{"status":"final","code":{{"coding":[{{"system":"http://c","code":"c"}}]}},"subject":{{"reference":"Patient/{patient}"}}}}"#
    )
}

/// The rows of an organisation are indexed anew as those of the default one are, under its own keys.
#[tokio::test]
async fn an_index_made_anew_is_that_of_each_tenant() {
    let (store, scopes) = two_clinics().await;
    let body = r#"{"name":[{"family":"Achieng"}]}"#;
    write(&store, &scopes[1], &Key::new("Patient", "p"), Method::Put, Some(body)).await;
    assert!(store.reindex_jobs(&scopes[2]).await.unwrap().is_empty());
    // What it is found by is lost.
    let client = store.connections().client().await.unwrap();
    client
        .batch_execute("update resource set keys = '{}', beginnings = null; delete from string_entry")
        .await
        .unwrap();
    assert_eq!(ids(&store, &scopes[1], "Patient?name=achieng").await, "");
    store.reindex(&scopes[1], &["Patient"]).await.unwrap();
    assert!(
        store.reindex_jobs(&scopes[2]).await.unwrap().is_empty(),
        "what the first does is none of the second's"
    );
    until("the index is made anew", async || {
        let jobs = store.reindex_jobs(&scopes[1]).await.unwrap();
        jobs.iter().any(|job| &*job.type_name == "Patient" && job.state == fhir_store::ReindexState::Done)
    })
    .await;
    for (scope, wanted) in scopes.iter().zip(["", "Patient/p", ""]) {
        assert_eq!(ids(&store, scope, "Patient?name=achieng").await, wanted);
    }
}

/// A process that began before another one added an organisation leaves nothing of it out, and serves it when it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn another_process_may_add_an_organisation() {
    let url = fhir_store::testing::database().await.unwrap();
    let registry = async || fhir_store::testing::registry().await.unwrap();
    let open = async |organizations: Vec<String>| {
        let options = Options { organizations, connections_max: 4, ..Options::default() };
        Store::open(&url, options, registry().await).await.unwrap()
    };
    let first = open(Vec::new()).await;
    assert_eq!(first.tenant("east").await.unwrap(), None);
    let second = open(vec!["east".to_owned()]).await;
    let east = Scope::everything_of(second.tenant("east").await.unwrap().unwrap());
    let body = r#"{"name":[{"family":"Otieno"}]}"#;
    write(&second, &east, &Key::new("Patient", "p"), Method::Put, Some(body)).await;
    until("the feed has it", async || {
        let before = *first.low_watermark().borrow();
        let changes = first.changes_before(FeedPosition::default(), before, &["Patient"], 10).await.unwrap();
        changes.iter().any(|change| change.tenant == east.tenant())
    })
    .await;
    // A search parameter that the first takes in is ready when the rows of the second's organisation are indexed by it.
    let definition = r#"{"url":"http://example.org/clan","name":"clan","status":"active","description":"d","code":"clan",
        "base":["Patient"],"type":"string","expression":"Patient.name.family"}"#;
    super::put(&first, "SearchParameter", "clan", definition).await;
    until("it is found", async || match super::parse(&second, "Patient?clan=otieno") {
        Ok(asked) => second.search(&east, &asked).await.unwrap().matches.len() == 1,
        Err(_) => false,
    })
    .await;
    until("the first serves it", async || first.tenant("east").await.unwrap() == Some(east.tenant())).await;
    assert!(first.bases_of(east.tenant()) == second.bases_of(east.tenant()));
    for store in [first, second] {
        store.leave().await;
    }
}

/// Urls below an organisation's base are its own; those below the base of another one are foreign.
#[tokio::test]
async fn bases_are_those_of_the_tenant() {
    use fhir_search::{Bases, IndexSettings};
    let settings =
        IndexSettings { bases: Bases::new(["http://h/fhir/R4", "http://h/fhir"]), ..Default::default() };
    let organizations = vec!["north".to_owned(), "south".to_owned()];
    let options = Options { organizations, settings, ..Options::default() };
    let store = fhir_store::testing::fresh_with(options).await.unwrap();
    let north = store.tenant("north").await.unwrap().unwrap();
    let scope = Scope::everything_of(north);
    for (id, base) in [
        ("own", "http://h/o/north/fhir/R4/"),
        ("bare", "http://h/fhir/R4/"),
        ("other", "http://h/o/south/fhir/R4/"),
    ] {
        let body = format!(
            r#"{{"status":"final","code":{{"text":"c"}},"subject":{{"reference":"{base}Patient/p"}}}}"#
        );
        write(&store, &scope, &Key::new("Observation", id), Method::Put, Some(&body)).await;
    }
    assert_eq!(
        ids(&store, &scope, "Observation?subject=Patient/p").await,
        "Observation/bare Observation/own"
    );
    let all = "Observation?subject=http://h/o/south/fhir/R4/Patient/p";
    assert_eq!(ids(&store, &scope, all).await, "Observation/other");
}

/// The feed says whose each change is; an export is of one organisation, and of what its caller sees.
#[tokio::test]
async fn feeds_and_exports_know_the_tenant() {
    let (store, scopes) = two_clinics().await;
    for scope in &scopes {
        for id in ["p", "q"] {
            write(&store, scope, &Key::new("Patient", id), Method::Put, Some("{}")).await;
        }
    }
    let changes = store.changes(FeedPosition::default(), 10).await.unwrap();
    let tenants: Vec<TenantId> = changes.iter().map(|change| change.tenant).collect();
    let wanted: Vec<TenantId> = scopes.iter().flat_map(|scope| [scope.tenant(); 2]).collect();
    assert_eq!(tenants, wanted);

    let hidden =
        Condition::Not(Box::new(store.condition(scopes[1].tenant(), &query(&store, "Patient?_id=p"))));
    let rules = Rules::by_type([("Patient".into(), Rule { filter: hidden, ..Rule::all() })].into()).unwrap();
    let some = Scope::new(scopes[1].tenant(), vec![(scopes[1].tenant(), rules)]);
    let exported = async |scope: &Scope| {
        let mut all = Vec::new();
        let each = |version: fhir_store::Version| {
            all.push(version.key.to_string());
            Ok(())
        };
        store.export(scope, each).await.unwrap();
        all.sort();
        all
    };
    assert_eq!(exported(&scopes[1]).await, ["Patient/p", "Patient/q"]);
    assert_eq!(exported(&some).await, ["Patient/q"]);
    assert_eq!(exported(&Scope::nothing()).await, Vec::<String>::new());
}
