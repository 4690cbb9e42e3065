//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::client::Subject;
use crate::suite::{Pages, run_pages};
use crate::{durability, examples, slow};

/// Runs the pages of the conformance suite against the server whose base URL is in SUBJECT.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Names every case that passed.
    #[arg(long, short)]
    verbose: bool,
    /// Runs only pages whose name has one of these in it: `r4/search/date`, `http`.
    filters: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Stores every resource of an unpacked FHIR package, reads it back and compares; prints Markdown.
    Examples {
        /// The folder with the package's JSON files.
        folder: PathBuf,
        /// Also reads each as XML, stores that XML, and compares what it became.
        #[arg(long)]
        xml: bool,
    },
    /// Kills the server under load, again and again, and looks for lost, torn and double writes.
    Crash {
        /// What starts the server at SUBJECT, as one shell command.
        #[arg(long)]
        server_cmd: String,
        #[arg(long, default_value_t = 20)]
        rounds: usize,
    },
    /// Kills PostgreSQL, or a node of it, under load: 503 meanwhile, then recovery without a restart of the server.
    PgCrash {
        /// PostgreSQL's `postmaster.pid`.
        #[arg(long, required_unless_present = "kill_cmd")]
        postmaster_pid: Option<PathBuf>,
        /// What kills it instead, as a shell command: on another machine, or one of several nodes.
        #[arg(long, conflicts_with = "postmaster_pid")]
        kill_cmd: Option<String>,
        /// Seconds after which everything that was acknowledged must be there.
        #[arg(long, default_value_t = 0)]
        settle: u64,
        /// What starts PostgreSQL again, where the server does not do that itself.
        #[arg(long)]
        restart_cmd: Option<String>,
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// Slow clients: those that send a byte a second or take no answer are cut, a bystander does not notice.
    SlowClients {
        #[arg(long, default_value_t = 200)]
        connections: usize,
    },
    /// Races of updates and of conditional creates over several servers on one database.
    Races {
        /// Base URLs of the servers.
        #[arg(long, value_delimiter = ',', required = true)]
        urls: Vec<String>,
        #[arg(long, default_value_t = 1000)]
        races: usize,
        #[arg(long, default_value_t = 8)]
        writers: usize,
    },
}

/// Does what the command line of the process asks for. The status is 0 when all is as expected, 1 when it is not, 2 when it
/// could not run.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match (&arguments.command, std::env::var("SUBJECT")) {
        (Some(Command::Races { urls, races, writers }), _) => durability::races::run(urls, *races, *writers),
        (_, Err(_)) => {
            eprintln!(
                "SUBJECT=http://127.0.0.1:8080/fhir/R4 cargo run -p fhir-conformance [-- [--verbose] [page ...]]"
            );
            eprintln!("SUBJECT is the base URL of the FHIR server to test; conformance/README.md says more.");
            return ExitCode::from(2);
        }
        (None, Ok(base)) => pages(&base, &arguments),
        (Some(Command::Examples { folder, xml }), Ok(base)) => {
            examples::run(&Subject::new(&base), folder, *xml)
        }
        (Some(Command::SlowClients { connections }), Ok(base)) => {
            slow::run(&Subject::new(&base), *connections)
        }
        (Some(Command::Crash { server_cmd, rounds }), Ok(base)) => {
            durability::crash::run(&base, server_cmd, *rounds)
        }
        (Some(Command::PgCrash { postmaster_pid, kill_cmd, settle, restart_cmd, rounds }), Ok(base)) => {
            let crash = durability::pg_crash::Crash {
                pid_file: postmaster_pid.as_deref(),
                kill: kill_cmd.as_deref(),
                restart: restart_cmd.as_deref(),
                settle: Duration::from_secs(*settle),
            };
            durability::pg_crash::run(&base, &crash, *rounds)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn pages(base: &str, arguments: &Arguments) -> Result<bool> {
    let pages = Pages { filters: arguments.filters.clone(), verbose: arguments.verbose, ..Pages::default() };
    let tally = run_pages(base, &pages)?;
    if tally.known > 0 {
        println!("known failures, failing as listed: {}", tally.known);
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed == 0)
}
