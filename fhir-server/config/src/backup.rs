//! `backup.*`

use std::path::PathBuf;
use std::time::Duration;

use crate::error::SettingOrigin;
use crate::reader::Reader;

/// `backup.*`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Backup {
    pub target: Option<PathBuf>,
    pub recipients: Vec<String>,
    pub interval: Duration,
    pub keep: Duration,
    pub keep_min: usize,
    pub wal: bool,
    pub wal_interval: Duration,
    pub wal_waiting_bytes_max: u64,
}

const HOUR: u64 = 3600;

impl Backup {
    pub(crate) fn read(reader: &mut Reader, outside: bool) -> Backup {
        let target: Option<(String, SettingOrigin)> = reader.text("backup.target");
        let recipients = reader.list("backup.recipients", recipient);
        if let Some((_, origin)) = &target {
            if recipients.is_empty() {
                let why = "backups are encrypted: `backup.recipients` must say to whom (see `fhir-server backup init`)";
                reader.problem("backup.target", origin, why);
            }
            if outside {
                let why = "is for the server's own PostgreSQL; the one of `database.url` is backed up with its own \
                           tools, such as pg_basebackup or pgBackRest";
                reader.problem("backup.target", origin, why);
            }
        }
        Backup {
            target: target.map(|(dir, _)| PathBuf::from(dir)),
            recipients,
            interval: Duration::from_secs(reader.number("backup.interval_hours", 1..=24 * 366) * HOUR),
            keep: Duration::from_secs(reader.number("backup.keep_days", 0..=36_600) * 24 * HOUR),
            keep_min: usize::try_from(reader.number("backup.keep_min", 1..=10_000)).unwrap_or(usize::MAX),
            wal: reader.boolean("backup.wal"),
            wal_interval: Duration::from_secs(reader.number("backup.wal_interval_seconds", 1..=86_400)),
            wal_waiting_bytes_max: reader.bytes("backup.wal_waiting_bytes_max", 64 << 20..=1 << 50),
        }
    }
}

fn recipient(text: &str) -> Result<String, &'static str> {
    let is = text.strip_prefix("age1").is_some_and(|key| key.bytes().all(|b| b.is_ascii_alphanumeric()));
    is.then(|| text.to_owned())
        .ok_or("is not a public key, as `fhir-server backup init` prints it: `age1...`")
}
