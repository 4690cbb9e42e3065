//! A base backup: the cluster's files, copied while the database runs, and the WAL that makes them consistent.
//!
//! By PostgreSQL's own low-level protocol: <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP>.
//! A backup is complete in itself; the archive of WAL only carries it further.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use super::clock::now;
use super::key::Recipients;
use super::seal::{PART_BYTES_MAX, Parts, Sealer};
use super::site::Site;
use super::state;
use super::target::{Archive, Base};
use crate::error::{Error, IoContext, Result};

/// Directories whose content PostgreSQL makes anew.
const EMPTIED: [&str; 8] = [
    "pg_wal",
    "pg_replslot",
    "pg_dynshmem",
    "pg_notify",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
];

/// Files of a running server, or of another backup. The control file goes last: it must not be older than the rest.
const LEFT_OUT: [&str; 9] = [
    "postmaster.pid",
    "postmaster.opts",
    "backup_label",
    "backup_label.old",
    "tablespace_map",
    "recovery.signal",
    "standby.signal",
    "current_logfiles",
    CONTROL,
];

const CONTROL: &str = "global/pg_control";

type Tar = tar::Builder<Sealer<Parts>>;

/// Makes a base backup. One at a time for a data directory, whichever process makes it.
pub(super) async fn take(site: &Site, archive: &Archive, recipients: &Recipients) -> Result<Base> {
    let _alone = state::alone(&site.home)?;
    let client = site.connect().await?;
    refuse_tablespaces(&site.cluster)?;
    let mut base = Base::new(now());
    // One that was made within this second has its name.
    while archive.path_of(&base).exists() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        base = Base::new(now());
    }
    let facts = Facts::read(&client).await?;
    (base.major, base.system, base.timeline) = (facts.major, facts.system, facts.timeline);
    base.segment_bytes = facts.segment_bytes;
    let new = archive.begin(&base.name)?;
    let made = copy(site, &client, &new, recipients, base).await;
    match made.and_then(|base| archive.complete(&new, &base).map(|()| base)) {
        Ok(base) => Ok(base),
        Err(error) => {
            let _ = fs::remove_dir_all(&new);
            Err(error)
        }
    }
}

async fn copy(
    site: &Site,
    client: &Client,
    new: &Path,
    recipients: &Recipients,
    mut base: Base,
) -> Result<Base> {
    // Keeps the WAL since now until this connection ends.
    client.execute("select pg_create_physical_replication_slot('cari_base', true, true)", &[]).await?;
    let begin = match base.major {
        ..15 => "select pg_start_backup('cari', true, false)",
        15.. => "select pg_backup_start('cari', true)",
    };
    base.start = client.query_one(begin, &[]).await?.get::<_, PgLsn>(0).into();
    let (cluster, recipients, stem) =
        (site.cluster.clone(), recipients.clone(), new.join("base.tar.zst.age"));
    let copied = blocking(move || {
        let parts = Parts::new(stem.clone(), PART_BYTES_MAX);
        let sealer = Sealer::new(&recipients, parts).doing("write", &stem)?;
        let mut tar = tar::Builder::new(sealer);
        let mut bytes = add_tree(&mut tar, &cluster, Path::new(""))?;
        bytes += add_file(&mut tar, &cluster, Path::new(CONTROL))?;
        Ok((tar, bytes))
    });
    let (mut tar, bytes) = copied.await?;
    base.bytes = bytes;
    let end = match base.major {
        ..15 => "select lsn, labelfile from pg_stop_backup(false, false)",
        15.. => "select lsn, labelfile from pg_backup_stop(false)",
    };
    let row = client.query_one(end, &[]).await?;
    let label: String = row.get(1);
    base.end = row.get::<_, PgLsn>(0).into();
    let cluster = site.cluster.clone();
    let finished = blocking(move || {
        add_text(&mut tar, "backup_label", &label).doing("write", Path::new("backup_label"))?;
        for segment in base.start / base.segment_bytes..=(base.end - 1) / base.segment_bytes {
            let name = Path::new("pg_wal").join(segment_name(base.timeline, segment, base.segment_bytes));
            match add_file(&mut tar, &cluster, &name)? {
                0 => return Err(Error::backup("WAL of the backup was removed while it was made")),
                bytes => base.bytes += bytes,
            }
        }
        let sealed = tar.into_inner().and_then(Sealer::finish).and_then(Parts::finish);
        base.parts = sealed.doing("write", Path::new("base.tar.zst.age"))?;
        base.finished_at = now();
        Ok(base)
    });
    finished.await
}

/// What the cluster says of itself.
pub(super) struct Facts {
    pub(super) major: u32,
    pub(super) system: String,
    pub(super) timeline: u32,
    pub(super) segment_bytes: u64,
    /// Up to here WAL is on disk.
    pub(super) flushed: u64,
}

impl Facts {
    pub(super) async fn read(client: &Client) -> Result<Facts> {
        let row = client
            .query_one(
                "select current_setting('server_version_num')::int4 / 10000, system_identifier::text, \
                 left(pg_walfile_name(pg_current_wal_lsn()), 8), pg_current_wal_flush_lsn(), \
                 (select s.setting::int8 from pg_settings s where s.name = 'wal_segment_size') \
                 from pg_control_system()",
                &[],
            )
            .await?;
        let timeline: String = row.get(2);
        Ok(Facts {
            major: row.get::<_, i32>(0).cast_unsigned(),
            system: row.get(1),
            timeline: u32::from_str_radix(&timeline, 16).map_err(|why| Error::backup(why.to_string()))?,
            segment_bytes: row.get::<_, i64>(4).cast_unsigned().max(1),
            flushed: row.get::<_, PgLsn>(3).into(),
        })
    }
}

/// The file name of a segment of WAL.
pub(super) fn segment_name(timeline: u32, segment: u64, segment_bytes: u64) -> String {
    let per_id = 0x1_0000_0000 / segment_bytes;
    format!("{timeline:08X}{:08X}{:08X}", segment / per_id, segment % per_id)
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::backup(error.to_string()))?
}

fn refuse_tablespaces(cluster: &Path) -> Result<()> {
    let dir = cluster.join("pg_tblspc");
    match fs::read_dir(&dir).doing("read", &dir)?.next() {
        None => Ok(()),
        Some(_) => {
            Err(Error::backup("the database has tablespaces, which backups do not cover: use pg_basebackup"))
        }
    }
}

/// Adds the files below `dir` of the cluster; those that vanish meanwhile were dropped, which the WAL tells of.
fn add_tree(tar: &mut Tar, cluster: &Path, dir: &Path) -> Result<u64> {
    let path = cluster.join(dir);
    let mut entries = match fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).doing("read", &path),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut bytes = 0;
    for entry in entries {
        let name = dir.join(entry.file_name());
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            add_dir(tar, &name).doing("write", &name)?;
            if !EMPTIED.iter().any(|emptied| name == Path::new(emptied)) && !is_temporary(&name) {
                bytes += add_tree(tar, cluster, &name)?;
            }
        } else if kind.is_file()
            && !LEFT_OUT.iter().any(|left| name == Path::new(left))
            && !is_temporary(&name)
        {
            bytes += add_file(tar, cluster, &name)?;
        }
    }
    Ok(bytes)
}

fn is_temporary(name: &Path) -> bool {
    let name = name.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("pgsql_tmp") || name.starts_with("pg_internal.init") || name.ends_with(".conf.tmp")
}

fn add_dir(tar: &mut Tar, name: &Path) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o700);
    header.set_size(0);
    tar.append_data(&mut header, name, io::empty())
}

/// Adds a file as long as it is now. It may grow or shrink while it is read: WAL repairs both.
fn add_file(tar: &mut Tar, cluster: &Path, name: &Path) -> Result<u64> {
    let path = cluster.join(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).doing("open", &path),
    };
    let bytes = file.metadata().doing("read", &path)?.len();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(bytes);
    let exactly = file.take(bytes).chain(io::repeat(0)).take(bytes);
    tar.append_data(&mut header, name, exactly).doing("copy", &path)?;
    Ok(bytes)
}

fn add_text(tar: &mut Tar, name: &str, text: &str) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, name, text.as_bytes())?;
    tar.get_mut().flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_named_as_postgresql_does() {
        let mib = 1 << 20;
        assert_eq!(segment_name(1, 1, 16 * mib), "000000010000000000000001");
        assert_eq!(segment_name(2, 0x1FF, 16 * mib), "0000000200000001000000FF");
        assert_eq!(segment_name(1, 5, 1 << 30), "000000010000000100000001");
    }
}
