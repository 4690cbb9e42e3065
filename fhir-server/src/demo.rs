//! `demo`: a server with example data, to try things out.

use std::process::ExitCode;

use anyhow::{Result, bail};
use fhir_config::{Config, Sources};
use fhir_model::interaction::MOUNTS;

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
        .flag("--auth", "auth", Some("none"));
    let mut config = Config::load(sources)?;
    // The demo is its own world, whatever database the environment names.
    config.database.url = None;
    if !config.listen.ip().is_loopback() {
        bail!(
            "the demo is open to everybody who reaches it, so it listens on this machine alone, not on {}; for others to \
             reach a server, start one that you know to be open: `serve --auth none --listen {}`",
            config.listen,
            config.listen
        );
    }
    let serving = Serving::start(&config, &modules).await?;
    let summary = load::load_texts(&load::Target::store(&serving.cx), DATA).await?;
    println!("{summary}");
    println!("{}", greeting(&serving.base));
    serving.until_stopped().await;
    Ok(ExitCode::SUCCESS)
}

fn greeting(base: &str) -> String {
    let host = base.strip_suffix(MOUNTS[0]).unwrap_or(base);
    format!(
        "
FHIR R4:     {base}
Browser:     {host}/
Health:      {host}/health  {host}/ready  {host}/metrics
API:         {host}/docs/

Try:
  curl '{base}/Patient?name=wanjiku&_pretty=true'
  curl '{base}/Observation?code=http://loinc.org|85354-9&_sort=-date&_include=Observation:subject&_pretty=true'
  curl -X POST -H 'Content-Type: application/fhir+json' \\
       -d '{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"Okafor\",\"given\":[\"Chidi\"]}}]}}' '{base}/Patient?_pretty=true'

Stop with Ctrl-C; the data stays for the next time."
    )
}
