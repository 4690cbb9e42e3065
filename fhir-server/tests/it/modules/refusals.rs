//! What a module may not bring: the start says so.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use fhir_app::{
    Access, App, ColumnType, Consumer, Effect, EffectTable, EffectValue, JobType, MigrationFile, Module,
    ModuleSetting, Modules, Operation, Result, Routes, SettingKind, WriteChange, async_trait, routes, utoipa,
};
use fhir_http::{
    CorsOrigins, Edge, EdgeOptions, Hosts, HttpLimits, Metrics, RateLimitOptions, TrustedProxies,
};
use fhir_interactions::{Call, Cx, Operations, Reply};
use fhir_work::{Cron, Schedule, Work};
use serde_json::Value;

use crate::app::{TestApp, outbound};

/// A module with what one test gives it.
#[derive(Default)]
struct Some {
    name: &'static str,
    settings: &'static [ModuleSetting],
    migrations: &'static [MigrationFile],
    table: Option<&'static EffectTable>,
    root: Option<fn() -> Routes>,
    below: Option<fn() -> Routes>,
    code: Option<&'static str>,
    job: Option<&'static str>,
    consumer: Option<&'static str>,
    schedule: Option<&'static str>,
}

struct Named(&'static str);

#[async_trait]
impl JobType for Named {
    fn name(&self) -> &str {
        self.0
    }
}

#[async_trait]
impl Consumer for Named {
    fn name(&self) -> &str {
        self.0
    }
}

#[async_trait]
impl Operation for Named {
    fn definition(&self) -> &'static str {
        self.0
    }
    async fn run(&self, _: &Cx, _: Call) -> Result<Reply> {
        Ok(Reply::empty(200))
    }
}

struct Into(&'static EffectTable);

impl Effect for Into {
    fn table(&self) -> &'static EffectTable {
        self.0
    }
    fn rows(&self, _: &WriteChange<'_>) -> Result<Vec<Vec<EffectValue>>> {
        Ok(Vec::new())
    }
}

impl Module for Some {
    fn name(&self) -> &'static str {
        self.name
    }
    fn settings(&self) -> &'static [ModuleSetting] {
        self.settings
    }
    fn migrations(&self) -> &'static [MigrationFile] {
        self.migrations
    }
    fn effects(&self) -> Vec<Arc<dyn Effect>> {
        self.table.into_iter().map(|table| Arc::new(Into(table)) as Arc<dyn Effect>).collect()
    }
    fn routes(&self, _: &Arc<App>) -> Routes {
        self.root.map_or_else(Routes::new, |routes| routes())
    }
    fn below_fhir(&self, _: &Arc<App>) -> Routes {
        self.below.map_or_else(Routes::new, |routes| routes())
    }
    fn operations(&self) -> Vec<Box<dyn Operation>> {
        self.code.into_iter().map(|code| Box::new(Named(code)) as Box<dyn Operation>).collect()
    }
    fn jobs(&self, _: &Arc<App>) -> Vec<Arc<dyn JobType>> {
        self.job.into_iter().map(|name| Arc::new(Named(name)) as Arc<dyn JobType>).collect()
    }
    fn consumers(&self, _: &Arc<App>) -> Vec<Arc<dyn Consumer>> {
        self.consumer.into_iter().map(|name| Arc::new(Named(name)) as Arc<dyn Consumer>).collect()
    }
    fn schedules(&self, _: &Arc<App>) -> Vec<Schedule> {
        let schedule = |name| Schedule::new(name, Cron::parse("0 * * * *").unwrap(), "a.job", Value::Null);
        self.schedule.into_iter().map(schedule).collect()
    }
}

fn some(name: &'static str) -> Some {
    Some { name, ..Some::default() }
}

fn modules(list: Vec<Some>) -> Result<Modules> {
    Modules::new(list.into_iter().map(|one| Box::new(one) as Box<dyn Module>).collect())
}

#[test]
fn names_settings_and_tables_that_are_not_its_own() {
    const LINE: EffectTable = EffectTable { name: "a_line", columns: &[("at", ColumnType::Int8)] };
    const OTHERS: EffectTable = EffectTable { name: "resource", columns: &[("at", ColumnType::Int8)] };
    const SQL: EffectTable = EffectTable { name: "a_line (x) --", columns: &[("at", ColumnType::Int8)] };
    const SQL_COLUMN: EffectTable = EffectTable { name: "a_line", columns: &[("at) --", ColumnType::Int8)] };
    const NOTHING: EffectTable = EffectTable { name: "a_line", columns: &[] };
    let setting = |key: &'static str| -> &'static [ModuleSetting] {
        Vec::leak(vec![ModuleSetting::new(key, SettingKind::Text, "", "")])
    };
    let migrations = |sql: &'static str| -> &'static [MigrationFile] { Vec::leak(vec![(1, "first", sql)]) };
    assert!(modules(vec![]).unwrap().is_empty());
    let fits = Some {
        settings: setting("a.b"),
        migrations: migrations("create table a_line (at int8);\ncreate index a_line_at on a_line (at);\n"),
        table: Option::Some(&LINE),
        ..some("a")
    };
    assert!(modules(vec![fits, some("b-2")]).is_ok());
    let rows: Vec<(Vec<Some>, &str)> = vec![
        (vec![some("a"), some("a")], "`a` is the name of two modules"),
        (vec![some("")], "`` cannot be the name of a module"),
        (vec![some("A")], "`A` cannot be the name of a module"),
        (vec![some("2a")], "`2a` cannot be the name of a module"),
        (vec![some("a_b")], "`a_b` cannot be the name of a module"),
        (vec![some("a'b")], "`a'b` cannot be the name of a module"),
        (vec![some("dead")], "`dead` cannot be the name of a module"),
        (vec![some("auth")], "`auth` cannot be the name of a module"),
        (vec![some("consumer")], "`consumer` cannot be the name of a module"),
        (vec![some("lab-order"), some("lab")], "tables of `lab-order` would have the prefix of `lab`"),
        (vec![some("limits")], "`limits` cannot be the name of a module"),
        (
            vec![Some { settings: setting("b.c"), ..some("a") }],
            "brings the setting `b.c`, which is not its own",
        ),
        (
            vec![Some { settings: setting("ab.c"), ..some("a") }],
            "brings the setting `ab.c`, which is not its own",
        ),
        (vec![Some { settings: setting("a"), ..some("a") }], "brings the setting `a`, which is not its own"),
        (
            vec![Some { migrations: migrations("create table line (at int8);\n"), ..some("a") }],
            "makes `line`, whose name does not begin with `a_`",
        ),
        (
            vec![Some { migrations: migrations("create index line_at on a_line (at);\n"), ..some("a") }],
            "makes `line_at`, whose name does not begin with `a_`",
        ),
        (vec![Some { table: Option::Some(&OTHERS), ..some("a") }], "has effects on `resource`"),
        (vec![Some { table: Option::Some(&SQL), ..some("a") }], "has effects on `a_line (x) --`"),
        (vec![Some { table: Option::Some(&SQL_COLUMN), ..some("a") }], "has effects on `a_line`"),
        (vec![Some { table: Option::Some(&NOTHING), ..some("a") }], "has effects on `a_line`"),
    ];
    for (list, wanted) in rows {
        let error = modules(list).unwrap_err();
        let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

async fn answer() -> Response {
    "here".into_response()
}

/// A handler of each path, as each path has a documentation of its own.
macro_rules! at {
    ($name:ident, $path:literal) => {
        fn $name() -> Routes {
            #[utoipa::path(get, path = $path, responses((status = 200, description = "Here.")))]
            async fn here() -> Response {
                answer().await
            }
            Routes::new().add(Access::Public, routes!(here))
        }
    };
}

at!(api, "/api/a/{id}");
at!(api_too, "/api/a/{name}");
at!(under_fhir, "/fhir/R4/x");
at!(organization, "/o/x");
at!(health, "/health");
at!(description, "/openapi.json");
at!(root, "/");
at!(anything, "/{anything}");
at!(relative, "x");
at!(well_known, "/.well-known/x");
at!(a_type, "/Patient/x");
at!(history, "/_history");
at!(metadata, "/metadata");
at!(parameter, "/{type}/x");
at!(shadow, "/$hold");
at!(once, "/api/twice");

fn twice() -> Routes {
    #[utoipa::path(get, path = "/api/twice", responses((status = 200, description = "Here.")))]
    async fn here() -> Response {
        answer().await
    }
    once().add(Access::Public, routes!(here))
}

#[tokio::test]
async fn paths_operations_and_work_that_are_somebody_elses() {
    let app = TestApp::start().await;
    let given = Arc::new(App::new(app.cx.clone(), fhir_app::ModuleSettings::default(), outbound()));
    let served = |list: Vec<Some>| -> std::result::Result<(), String> {
        let modules = modules(list).unwrap();
        let cause = |error: fhir_app::Error| {
            std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
        };
        modules.routes(&given).map_err(cause)?;
        Operations::new(modules.operations(), &**app.cx.registry.definitions()).map_err(cause)?;
        let work = modules.work(&given, Work::new(app.cx.store.clone())).map_err(cause)?;
        drop(work);
        Ok(())
    };
    const OPERATION: &str = r#"{"resourceType":"OperationDefinition","name":"X","code":"x","url":"u","kind":"operation","status":"active","system":true,"type":false,"instance":false}"#;
    let fits = || Some {
        root: Option::Some(api),
        below: Option::Some(well_known),
        code: Option::Some(OPERATION),
        job: Option::Some("a.job"),
        consumer: Option::Some("a.consumer"),
        schedule: Option::Some("a.schedule"),
        ..some("a")
    };
    assert_eq!(served(vec![fits()]), Ok(()));
    let rows: Vec<(Vec<Some>, &str)> = vec![
        (
            vec![fits(), Some { root: Option::Some(api), ..some("b") }],
            "the module b wants /api/a/{id}, which is taken",
        ),
        (
            vec![fits(), Some { root: Option::Some(api_too), ..some("b") }],
            "the module b wants /api/a/{name}, which is taken",
        ),
        (
            vec![fits(), Some { below: Option::Some(well_known), ..some("b") }],
            "the module b wants /.well-known/x, which is taken",
        ),
        (
            vec![Some { root: Option::Some(under_fhir), ..some("a") }],
            "the module a may not answer /fhir/R4/x",
        ),
        (vec![Some { root: Option::Some(organization), ..some("a") }], "the module a may not answer /o/x"),
        (vec![Some { root: Option::Some(health), ..some("a") }], "the module a may not answer /health"),
        (
            vec![Some { root: Option::Some(description), ..some("a") }],
            "the module a may not answer /openapi.json",
        ),
        (vec![Some { root: Option::Some(root), ..some("a") }], "the module a may not answer /"),
        (vec![Some { root: Option::Some(anything), ..some("a") }], "the module a may not answer /{anything}"),
        (vec![Some { below: Option::Some(a_type), ..some("a") }], "the module a may not answer /Patient/x"),
        (vec![Some { below: Option::Some(history), ..some("a") }], "the module a may not answer /_history"),
        (vec![Some { below: Option::Some(metadata), ..some("a") }], "the module a may not answer /metadata"),
        (vec![Some { below: Option::Some(parameter), ..some("a") }], "the module a may not answer /{type}/x"),
        (
            vec![fits(), Some { code: Option::Some(OPERATION), ..some("b") }],
            "two operations are called $x in the same places",
        ),
        (
            vec![Some { root: Option::Some(relative), ..some("a") }],
            "the module a cannot answer x, or does so twice",
        ),
        (
            vec![Some { root: Option::Some(twice), ..some("a") }],
            "the module a cannot answer /api/twice, or does so twice",
        ),
        (
            vec![Some { job: Option::Some("b.job"), ..some("a") }],
            "the module a works as `b.job`, which is not its own",
        ),
        (
            vec![Some { consumer: Option::Some("ab.x"), ..some("a") }],
            "the module a works as `ab.x`, which is not its own",
        ),
        (
            vec![Some { schedule: Option::Some("x"), ..some("a") }],
            "the module a works as `x`, which is not its own",
        ),
    ];
    for (list, wanted) in rows {
        let text = served(list).unwrap_err();
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // A route may not be in the way of an operation.
    let shadow = modules(vec![Some { below: Option::Some(shadow), ..some("a") }]).unwrap();
    let options = EdgeOptions {
        limits: HttpLimits::default(),
        metrics: Arc::new(Metrics::new().unwrap()),
        hosts: Hosts::new(app.address, None, &[]),
        origins: CorsOrigins::default(),
        modules: shadow.routes(&given).unwrap(),
        proxies: TrustedProxies::default(),
        rate_limits: RateLimitOptions::default(),
    };
    let error = Edge::new(app.cx.clone(), options).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("$hold"));
    app.stop.now();
}
