//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Cari: a FHIR R4 server.
#[derive(Debug, Parser)]
#[command(name = "fhir-server", version, about, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answers FHIR requests until it is told to stop (Ctrl-C or SIGTERM).
    Serve(ServeArgs),
    /// A server with example data and users, for this machine alone: to try things out.
    Demo(DemoArgs),
    /// Loads files into the database, through the same door as every HTTP request; with --to, into a running server.
    ///
    /// Reads transaction and batch Bundles, collections, single resources (.json, .xml) and lists of resources (.ndjson),
    /// each also as .gz; folders are read with all that is below them but what is hidden.
    ///
    /// Loading again changes nothing, so what was interrupted is simply started anew. For that every resource gets an id
    /// that follows from the file: the uuid of its `urn:uuid:` fullUrl, else its own id, else the id at the end of its
    /// fullUrl, else one made from its content; and what is there already with the same content is passed over. When
    /// several entries write the same resource, the last counts, in the order of the files' names. What somebody changed
    /// since the last time becomes what the files say. Entries that say how they want to be written (ifNoneExist, PUT,
    /// PATCH, DELETE) are left as they are: a PATCH is done each time.
    #[command(verbatim_doc_comment)]
    Load(LoadArgs),
    /// Makes a base backup of the server's own PostgreSQL now, while it serves or not; see BACKUP.md.
    Backup(BackupArgs),
    /// Restores a backup into an empty data directory, as it is now or as it was at an instant.
    Restore(RestoreArgs),
    /// Writes all current resources as NDJSON, a file for each type, as they are at one instant. No backup: neither
    /// history nor deletions are in it, and it is not encrypted.
    Export(ExportArgs),
    /// The server's own PostgreSQL.
    #[command(subcommand)]
    Postgres(PostgresCommand),
    /// Brings the database to the schema of this version, and ends.
    Migrate(MigrateArgs),
    /// Checks the settings and the database; exit status 0 when a server would start.
    Check(DatabaseArgs),
    /// Prints the CapabilityStatement, and ends.
    Capabilities(DatabaseArgs),
    /// Who has an account. Works beside a running server, too, which knows of a change within a second.
    #[command(subcommand)]
    User(UserCommand),
    /// The keys that sign tokens and seal secrets.
    #[command(subcommand)]
    Key(KeyCommand),
}

/// Where the settings and the database are.
#[derive(Debug, Args)]
pub struct DatabaseArgs {
    /// Settings, as TOML [default: cari.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the server keeps its own PostgreSQL [default: .data].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// A PostgreSQL to use instead: postgres://user:password@host:port/database.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
}

/// `user ...`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Lists the accounts.
    List(DatabaseArgs),
    /// Makes an account, and prints a one-time code by which its user sets a password.
    Add(UserAddArgs),
    /// Says which roles of the platform a user has: SUPER:ADMIN, APP:ADMIN, BASE:DOCTOR, BASE:PATIENT.
    Roles(UserRolesArgs),
    /// Makes a user a member of an organisation, with these roles there.
    Join(UserJoinArgs),
    /// Prints a one-time code by which a user sets a new password.
    Code(UserArgs),
    /// Takes the second factor away from a user who has lost it.
    ResetMfa(UserArgs),
    /// Ends all that a user has begun, and lets it sign in no more.
    Suspend(UserArgs),
    /// Lets a user sign in again.
    Activate(UserArgs),
}

/// A user.
#[derive(Debug, Args)]
pub struct UserArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// An e-mail address, phone number or name that the user signs in by.
    #[arg(value_name = "USER")]
    pub user: String,
}

/// `user add`
#[derive(Debug, Args)]
pub struct UserAddArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub user: UserArgs,
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[arg(long, value_name = "NAME")]
    pub first_name: String,
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[arg(long, value_name = "NAME")]
    pub last_name: String,
    /// A role of the platform; may be given several times.
    #[arg(long, value_name = "ROLE")]
    pub role: Vec<String>,
}

/// `user roles`
#[derive(Debug, Args)]
pub struct UserRolesArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub user: UserArgs,
    /// The roles; none takes all away.
    #[arg(value_name = "ROLE")]
    pub roles: Vec<String>,
}

/// `user join`
#[derive(Debug, Args)]
pub struct UserJoinArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub user: UserArgs,
    /// The organisation, by its name in urls; `default` is the one of the bare base.
    #[arg(value_name = "ORGANIZATION")]
    pub organization: String,
    /// Its roles: ORG:ADMIN, ORG:DOCTOR, ORG:STAFF, ORG:PATIENT, or one of the organisation's own.
    #[arg(required = true, value_name = "ROLE")]
    pub roles: Vec<String>,
}

/// `key ...`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Prints the public keys that tokens are verified by, the one that signs last.
    List(DatabaseArgs),
    /// Makes a new key for tokens. Those of the old ones stay good until they end; delete its file to end them at once.
    RotateToken(DatabaseArgs),
    /// Makes a new key for secrets. What older ones sealed is opened with these.
    RotateSeal(DatabaseArgs),
}

/// `migrate`
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Distributes the rows of resources over the nodes of a Citus cluster, whose coordinator the database is on; see
    /// ARCHITECTURE.md for what holds there. While servers use the database it is refused.
    #[arg(long)]
    pub distribute: bool,
    /// The database was restored from a backup of its own tools: versions go on above all that were given, as clients may
    /// hold ETags of what was lost. Once, before a server is started.
    #[arg(long)]
    pub restored: bool,
}

/// `serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Where to listen [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// `accounts`: whoever signs in may do what its roles allow; `none`: everybody who reaches the address may do everything;
    /// `deny`: only metadata and health are answered [default: accounts].
    #[arg(long, value_name = "POLICY")]
    pub auth: Option<String>,
    /// A web origin whose pages may call (`*` for all); may be given several times [default: none].
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,
}

/// `demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where to listen; on this machine only.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// A web origin whose pages may call (`*` for all); may be given several times [default: none].
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,
    /// Where the demo's PostgreSQL is kept.
    #[arg(long, value_name = "DIR", default_value = ".data/demo")]
    pub data_dir: String,
}

/// `load`
#[derive(Debug, Args)]
pub struct LoadArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Files and folders.
    #[arg(required = true, value_name = "FILE OR FOLDER")]
    pub paths: Vec<PathBuf>,
    /// Bundles under way at the same time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub parallel: u8,
    /// A running server to load into, by its base URL: http://127.0.0.1:8080/fhir/R4. The environment variable
    /// CARI_LOAD_TOKEN may hold a token for it (`Authorization: Bearer ...`).
    #[arg(long, value_name = "URL", conflicts_with_all = ["data_dir", "database_url"])]
    pub to: Option<String>,
    /// A header for that server, `Name: value`; may be given several times.
    #[arg(long, value_name = "HEADER", requires = "to")]
    pub header: Vec<String>,
}

/// `backup`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BackupArgs {
    /// What to do; without one, a base backup is made.
    #[command(subcommand)]
    pub command: Option<BackupCommand>,
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// `backup ...`
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Prepares a directory or disk for backups, and makes the key that opens them.
    Init(BackupInitArgs),
    /// Lists the backups, and from when to when each can be restored.
    List(BackupListArgs),
    /// Reads all backups and compares their checksums; with a key, decrypts them; or restores the latest state.
    Verify(BackupVerifyArgs),
}

/// `backup init`
#[derive(Debug, Args)]
pub struct BackupInitArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// An existing directory, for instance where a disk is mounted.
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,
    /// Where to write the new key; neither below the target nor below the data directory.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// `backup list`
#[derive(Debug, Args)]
pub struct BackupListArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Where the backups are [default: backup.target].
    #[arg(long, value_name = "TARGET")]
    pub from: Option<PathBuf>,
}

/// `backup verify`
#[derive(Debug, Args)]
pub struct BackupVerifyArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Where the backups are [default: backup.target].
    #[arg(long, value_name = "TARGET")]
    pub from: Option<PathBuf>,
    /// The key: everything is decrypted and unpacked, to nowhere.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Restores the latest state into this new directory, reads every row, and removes it.
    #[arg(long, value_name = "DIR", requires = "key_file")]
    pub restore: Option<PathBuf>,
}

/// `restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Where the backups are [default: backup.target].
    #[arg(long, value_name = "TARGET")]
    pub from: Option<PathBuf>,
    /// The key that opens them.
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// The state at this instant, like 2026-11-30T12:00:00Z [default: the latest].
    #[arg(long, value_name = "INSTANT")]
    pub to: Option<String>,
    /// One archive, when the target holds those of several servers [default: the one with the latest base backup].
    #[arg(long, value_name = "ARCHIVE")]
    pub archive: Option<String>,
    /// One base backup [default: the latest that serves].
    #[arg(long, value_name = "NAME")]
    pub base: Option<String>,
}

/// `export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// A directory that is not there yet.
    #[arg(value_name = "DIR")]
    pub target: PathBuf,
    /// Compresses the files: `Patient.ndjson.gz`.
    #[arg(long)]
    pub gzip: bool,
}

/// `postgres ...`
#[derive(Debug, Subcommand)]
pub enum PostgresCommand {
    /// Brings the database to the newest major version of PostgreSQL that is found or can be fetched.
    ///
    /// Makes a base backup first, copies the data into a new cluster, compares both, and keeps the old one. The server must
    /// be stopped, and the disk must have room for a second copy.
    Upgrade(UpgradeArgs),
}

/// `postgres upgrade`
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    #[expect(missing_docs, reason = "the fields speak for themselves")]
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Goes on without a backup: the old cluster is kept all the same.
    #[arg(long)]
    pub without_backup: bool,
}
