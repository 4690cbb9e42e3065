//! `demo`: a server with example data and users, to try things out.

mod users;

use std::process::ExitCode;

use anyhow::{Result, bail};
use fhir_config::{Config, Sources};
use fhir_model::interaction::MOUNTS;

use self::users::SignedIn;
use crate::cli::DemoArgs;
use crate::load;
use crate::modules;
use crate::serving::Serving;

/// The example data, part of the program so that the demo runs from any directory.
const DATA: &[(&str, &str)] = &[
    ("01-facilities.json", include_str!("../../examples/data/01-facilities.json")),
    ("02-antenatal-care.json", include_str!("../../examples/data/02-antenatal-care.json")),
    ("03-child-immunization.json", include_str!("../../examples/data/03-child-immunization.json")),
    ("04-hypertension.json", include_str!("../../examples/data/04-hypertension.json")),
    ("05-malaria.json", include_str!("../../examples/data/05-malaria.json")),
];

/// Starts a server of its own, loads the examples, says how to go on, and stays.
pub(crate) async fn demo(args: DemoArgs) -> Result<ExitCode> {
    let origins = (!args.allow_origin.is_empty()).then(|| args.allow_origin.join(","));
    let modules = modules::list()?;
    let sources = Sources::from_process(None)
        .modules(modules.settings())
        .flag("--listen", "listen", Some(args.listen))
        .flag("--data-dir", "data_dir", Some(args.data_dir))
        .flag("--allow-origin", "allow_origins", origins)
        .flag("--auth", "auth", Some("accounts"))
        // There is nobody to send a link to.
        .flag("demo", "accounts.verify_email", Some("false"))
        .flag("demo", "accounts.token_lifetime_ms", Some("3600000"));
    let mut config = Config::load(sources)?;
    // The demo is its own world, whatever database the environment names.
    config.database.url = None;
    if !config.listen.ip().is_loopback() {
        bail!(
            "everybody knows the passwords of the demo, so it listens on this machine alone, not on {}; for others to reach \
             a server, start one with accounts of its own: `serve --listen {}`",
            config.listen,
            config.listen
        );
    }
    let serving = Serving::start(&config, &modules).await?;
    let summary = load::load_texts(&load::Target::store(&serving.cx), DATA).await?;
    println!("{summary}");
    let token = users::prepare(serving.app.accounts()?, &config.data_dir).await?;
    println!("{}", greeting(&serving.base, &token));
    serving.until_stopped().await;
    Ok(ExitCode::SUCCESS)
}

fn greeting(base: &str, signed_in: &SignedIn) -> String {
    let host = base.strip_suffix(MOUNTS[0]).unwrap_or(base);
    let SignedIn { token, organization } = signed_in;
    let people: String = users::USERS
        .iter()
        .map(|user| format!("  {:<34}{}\n", user.email, [user.platform, user.roles].concat().join(", ")))
        .collect();
    let password = users::PASSWORD;
    format!(
        "
FHIR R4:     {base}
Browser:     {host}/sign-in
Health:      {host}/health  {host}/ready  {host}/metrics
API:         {host}/docs/

Users, all with the password {password}
{people}
Try, as a doctor, for an hour (then sign in: POST {host}/api/auth/login):
  TOKEN={token}
  curl -H \"Authorization: Bearer $TOKEN\" '{base}/Patient?name=wanjiku&_pretty=true'
  curl -H \"Authorization: Bearer $TOKEN\" '{base}/Observation?code=http://loinc.org|85354-9&_sort=-date&_include=Observation:subject&_pretty=true'
  curl -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/fhir+json' \\
       -d '{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"Okafor\",\"given\":[\"Chidi\"]}}]}}' '{base}/Patient?_pretty=true'
  curl -H \"Authorization: Bearer $TOKEN\" '{host}/api/organizations/{organization}/patients'

Stop with Ctrl-C; the data stays for the next time."
    )
}
