//! Restoring: a base backup is unpacked, WAL is laid beside it, PostgreSQL replays it up to an instant or to its end.
//!
//! All of it happens under another name; the directory is renamed when the database has answered and was checked.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use time::OffsetDateTime;

use super::base::{blocking, segment_name};
use super::clock::now;
use super::key::Key;
use super::seal;
use super::target::{Archive, Base, Piece, Target};
use crate::binaries::Binaries;
use crate::cluster;
use crate::connection::Connection;
use crate::embedded::{Options, find};
use crate::error::{Error, IoContext, Result};
use crate::free_space::bytes_free;
use crate::home::Home;
use crate::postmaster::Postmaster;

/// How long replaying WAL may take.
const REPLAY_MAX: Duration = Duration::from_secs(24 * 3600);

/// What PostgreSQL says when nothing was committed after the instant asked for.
const NOTHING_LATER: &str = "recovery ended before configured recovery target was reached";

/// What is to be restored.
#[derive(Debug)]
pub struct Restore {
    /// Where the backups are.
    pub target: PathBuf,
    /// One archive of several.
    pub archive: Option<String>,
    /// One base backup of several.
    pub base: Option<String>,
    /// The state at this instant, in microseconds since 1970; otherwise the latest there is.
    pub to: Option<i64>,
    /// What the restored cluster is to be: only an empty data directory is taken.
    pub options: Options,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The name of the archive.
    pub archive: String,
    /// The base backup.
    pub base: Base,
    /// The instant whose state it is at least, in seconds since 1970.
    pub at: i64,
}

impl Restore {
    /// Restores. `finish` is given the restored database while it runs, before it becomes the cluster of the data
    /// directory: what must not be forgotten is done there.
    ///
    /// # Errors
    ///
    /// When the target holds nothing that reaches the instant, the key does not fit, the data directory is not empty, no
    /// PostgreSQL of the right version is found, there is too little room, or anything fails on the way. The data
    /// directory is then as empty as before.
    pub async fn run<F>(self, key: Key, finish: F) -> Result<Restored>
    where
        F: AsyncFnOnce(&Connection) -> std::result::Result<(), String>,
    {
        let target = Target::open(&self.target)?;
        let chosen = choose(&target, self.archive.as_deref(), self.base.as_deref(), self.to)?;
        // The key first: nothing is made where it does not fit.
        drop(seal::open(&key, seal::joined(chosen.files()))?);
        refuse_data(&self.options.data_dir)?;
        let mut home = Home::open(&self.options.data_dir).await?;
        refuse_data(&home.dir)?;
        let binaries = find(&self.options, &home, Some(chosen.base.major)).await?;
        chosen.fits(&home.dir)?;
        home.cluster = home.dir.join(format!("pg.new-{}", std::process::id()));
        let restored = chosen.restore(&home, &binaries, &self.options, key, self.to, finish).await;
        if let Err(error) = restored {
            let _ = fs::remove_dir_all(&home.cluster);
            return Err(error);
        }
        let _ = fs::remove_file(home.dir.join(super::state::FILE));
        fs::rename(&home.cluster, home.dir.join("pg")).doing("rename", &home.cluster)?;
        cluster::sync_dir(&home.dir)?;
        let at = self.to.map_or(chosen.until, |to| to.div_euclid(1_000_000));
        Ok(Restored { archive: chosen.archive.id, base: chosen.base, at })
    }
}

/// A base backup and the WAL that carries it to where it is wanted.
struct Chosen {
    archive: Archive,
    base: Base,
    pieces: Vec<Piece>,
    until: i64,
}

/// The last piece of WAL that is reached from a base backup without a gap.
pub(super) fn reach<'a>(base: &Base, pieces: &'a [Piece]) -> Option<&'a Piece> {
    let mut end = base.end;
    let mut last = None;
    for piece in pieces.iter().filter(|piece| piece.end > base.end) {
        if piece.start > end {
            break;
        }
        end = end.max(piece.end);
        last = Some(piece);
    }
    last
}

/// Where the WAL ends that holds all that was committed by an instant; nothing when only all of it surely does.
///
/// One run of the archiver copies several pieces at the same time, all but the last to the end of a segment, and may fail
/// between two of them: a piece that ends within a segment was the last there was to copy.
fn enough(base: &Base, pieces: &[Piece], to: i64) -> Option<u64> {
    let is_last = |piece: &Piece| !piece.end.is_multiple_of(base.segment_bytes);
    let later = |piece: &Piece| piece.end > base.end && piece.at * 1_000_000 >= to;
    pieces.iter().find(|piece| later(piece) && is_last(piece)).map(|piece| piece.end)
}

fn choose(target: &Target, archive: Option<&str>, base: Option<&str>, to: Option<i64>) -> Result<Chosen> {
    let mut best: Option<(Archive, Base)> = None;
    for found in target.archives()?.into_iter().filter(|found| archive.is_none_or(|id| id == found.id)) {
        for candidate in found.bases()? {
            let wanted = base.is_none_or(|name| name == candidate.name)
                && to.is_none_or(|to| candidate.finished_at < to.div_euclid(1_000_000));
            if wanted && best.as_ref().is_none_or(|(_, best)| best.finished_at <= candidate.finished_at) {
                best = Some((found.clone(), candidate));
            }
        }
    }
    let (archive, base) = best.ok_or_else(|| {
        Error::backup(
            "the target holds no base backup that was complete by then; `backup list` shows what it holds",
        )
    })?;
    let mut pieces = archive.wal()?;
    let last = reach(&base, &pieces).cloned();
    let until = last.as_ref().map_or(base.finished_at, |piece| piece.at);
    if to.is_some_and(|to| to > until * 1_000_000) {
        return Err(Error::backup(format!(
            "what is archived reaches {} at most; without a time the latest state is restored",
            written(until * 1_000_000)
        )));
    }
    let end = last.map_or(base.end, |last| last.end);
    if until > now() {
        return Err(Error::backup(format!(
            "the backup is of {}, which is still to come by the clock of this machine: set it first",
            written(until * 1_000_000)
        )));
    }
    let end = to.and_then(|to| enough(&base, &pieces, to)).map_or(end, |enough| enough.min(end));
    pieces.retain(|piece| piece.end > base.end && piece.end <= end);
    Ok(Chosen { archive, base, pieces, until })
}

impl Chosen {
    fn files(&self) -> Vec<PathBuf> {
        let dir = self.archive.path_of(&self.base);
        self.base.parts.iter().map(|part| dir.join(&part.name)).collect()
    }

    /// Whether there is room, with a tenth to spare.
    fn fits(&self, dir: &Path) -> Result<()> {
        let wal = self.pieces.last().map_or(0, |last| last.end.saturating_sub(self.base.end));
        let needed = (self.base.bytes + wal) / 10 * 11;
        let free = bytes_free(dir)?;
        if free < needed {
            let dir = dir.display();
            return Err(Error::backup(format!(
                "restoring takes {needed} bytes, but {dir} has only {free} left"
            )));
        }
        Ok(())
    }

    async fn restore<F>(
        &self,
        home: &Home,
        binaries: &Binaries,
        options: &Options,
        key: Key,
        to: Option<i64>,
        finish: F,
    ) -> Result<()>
    where
        F: AsyncFnOnce(&Connection) -> std::result::Result<(), String>,
    {
        let (files, base, archive) = (self.files(), self.base.clone(), self.archive.clone());
        let (pieces, dir) = (self.pieces.clone(), home.cluster.clone());
        blocking(move || unpack(files, &base, &archive, &pieces, &key, &dir)).await?;
        home.owner.own_tree(&home.cluster)?;
        let connection = Connection::new(&home.sockets);
        let mut postmaster = replay(home, binaries, options, &connection, to).await?;
        let finished = finish(&connection).await;
        postmaster.stop().await;
        finished.map_err(|why| Error::backup(format!("the restored database is not usable: {why}")))?;
        // Without what was only for replaying.
        cluster::configure(home, binaries, options.connections_max, options.durable, &options.settings)
            .await?;
        cluster::sync(home, binaries, &home.cluster).await
    }
}

/// Fails when the directory holds anything but what a server leaves that never had a database.
fn refuse_data(dir: &Path) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.doing("read", dir)?,
    };
    for entry in entries {
        let entry = entry.doing("read", dir)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let harmless = ["lock", "run", "pg.log", "pg.log.1"].contains(&name.as_str())
            || name.starts_with("pg.new-")
            || name.starts_with("postgresql-")
            // A link to where the cluster will be, under root.
            || (name == "pg" && !entry.path().exists());
        if !harmless {
            return Err(Error::backup(format!(
                "{} is not empty (`{name}`): restore into another directory, or move this one away",
                dir.display()
            )));
        }
    }
    Ok(())
}

/// Unpacks the base backup and lays the WAL into it.
fn unpack(
    files: Vec<PathBuf>,
    base: &Base,
    archive: &Archive,
    pieces: &[Piece],
    key: &Key,
    dir: &Path,
) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(dir).doing("create", dir)?;
    let mut tar = tar::Archive::new(seal::open(key, seal::joined(files))?);
    tar.set_preserve_mtime(false);
    for entry in tar.entries().doing("unpack", dir)? {
        let mut entry = entry.doing("unpack", dir)?;
        // A link could lead what is written next to anywhere.
        if !matches!(entry.header().entry_type(), tar::EntryType::Regular | tar::EntryType::Directory) {
            return Err(Error::backup("the backup holds what is neither a file nor a directory"));
        }
        if !entry.unpack_in(dir).doing("unpack", dir)? {
            return Err(Error::backup("the backup holds a file that leads out of the directory"));
        }
    }
    for piece in pieces {
        let path = archive.path_of_piece(piece);
        let mut bytes = Vec::new();
        let sealed = fs::File::open(&path).doing("open", &path)?;
        let mut plain = seal::open(key, io::BufReader::new(sealed))?.take(base.segment_bytes);
        plain.read_to_end(&mut bytes).doing("unpack", &path)?;
        let segment = piece.start / base.segment_bytes;
        let segment = dir.join("pg_wal").join(segment_name(base.timeline, segment, base.segment_bytes));
        let write = || {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&segment)?;
            // PostgreSQL takes whole segments only; zeros are the end of the WAL.
            file.set_len(base.segment_bytes)?;
            file.write_all_at(&bytes, piece.start % base.segment_bytes)
        };
        write().doing("write", &segment)?;
    }
    let signal = dir.join("recovery.signal");
    fs::write(&signal, "").doing("write", &signal)
}

/// Starts PostgreSQL, which replays the WAL before it answers.
async fn replay(
    home: &Home,
    binaries: &Binaries,
    options: &Options,
    connection: &Connection,
    to: Option<i64>,
) -> Result<Postmaster> {
    let settings = |to: Option<i64>| {
        let mut settings = options.settings.clone();
        let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
        // It answers when everything is replayed, not before.
        set("hot_standby", "off".to_owned());
        // All WAL lies where PostgreSQL looks next.
        set("restore_command", "false".to_owned());
        set("recovery_target_timeline", "current".to_owned());
        set("recovery_target_action", "promote".to_owned());
        if let Some(to) = to {
            set("recovery_target_time", written(to));
        }
        settings
    };
    let configure = async |to| {
        cluster::configure(home, binaries, options.connections_max, options.durable, &settings(to)).await
    };
    configure(to).await?;
    match Postmaster::start(home, binaries, connection, REPLAY_MAX).await {
        // All that is archived was committed by then, so its end is what was asked for.
        Err(Error::Start { tail, .. }) if to.is_some() && tail.contains(NOTHING_LATER) => {
            configure(None).await?;
            Postmaster::start(home, binaries, connection, REPLAY_MAX).await
        }
        other => other,
    }
}

/// `2026-11-30 12:00:00.000001+00`
pub(super) fn written(micros: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000);
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::key::Recipients;
    use crate::backup::seal::Sealer;

    #[test]
    fn a_gap_ends_what_can_be_reached() {
        let base = Base { start: 100, end: 200, ..Base::new(0) };
        let piece = |start, end| Piece { start, end, at: end as i64, hash: String::new() };
        let reached = |pieces: &[Piece]| reach(&base, pieces).map(|piece| piece.end);
        assert_eq!(reached(&[]), None);
        assert_eq!(reached(&[piece(50, 150)]), None, "the backup holds this itself");
        assert_eq!(reached(&[piece(50, 150), piece(150, 250), piece(250, 300)]), Some(300));
        assert_eq!(reached(&[piece(150, 250), piece(260, 300)]), Some(250));
        assert_eq!(reached(&[piece(210, 250)]), None);
    }

    #[test]
    fn an_instant_is_reached_by_all_that_was_archived_at_once() {
        let base = Base { start: 100, end: 150, segment_bytes: 100, ..Base::new(0) };
        let piece = |start, end, at| Piece { start, end, at, hash: String::new() };
        let enough = |pieces: &[Piece], to: i64| super::enough(&base, pieces, to * 1_000_000);
        // The disk was away from 10 to 20: what was committed meanwhile is in any of the three.
        let at_once = [piece(120, 160, 10), piece(160, 200, 20), piece(200, 300, 20), piece(300, 350, 20)];
        let later = [&at_once[..], &[piece(350, 380, 30)]].concat();
        assert_eq!(enough(&later, 10), Some(160));
        assert_eq!(enough(&later, 11), Some(350));
        assert_eq!(enough(&later, 20), Some(350));
        assert_eq!(enough(&later, 21), Some(380));
        assert_eq!(enough(&later, 31), None);
        // The disk was full after the first piece.
        assert_eq!(enough(&[piece(120, 200, 20), piece(200, 250, 30)], 15), Some(250));
        assert_eq!(enough(&[piece(120, 200, 20)], 15), None);
    }

    #[test]
    fn a_link_is_not_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let public = Key::make(&dir.path().join("key"), &[]).unwrap();
        let (key, recipients) =
            (Key::read(&dir.path().join("key")).unwrap(), Recipients::parse([public.as_str()]).unwrap());
        let archive = Target::prepare(dir.path()).unwrap().archive("a");
        let unpacked = |kind: tar::EntryType| {
            let sealed = dir.path().join("sealed");
            let mut tar =
                tar::Builder::new(Sealer::new(&recipients, fs::File::create(&sealed).unwrap()).unwrap());
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o600);
            header.set_size(0);
            match kind.is_file() {
                true => tar.append_data(&mut header, "x", io::empty()).unwrap(),
                false => tar.append_link(&mut header, "x", "key").unwrap(),
            }
            tar.into_inner().unwrap().finish().unwrap();
            let into = dir.path().join(format!("{kind:?}"));
            unpack(vec![sealed], &Base::new(0), &archive, &[], &key, &into).map_err(|error| error.to_string())
        };
        unpacked(tar::EntryType::Regular).unwrap();
        for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Fifo] {
            let refused = unpacked(kind).unwrap_err();
            assert!(refused.contains("neither a file nor a directory"), "{kind:?}: {refused}");
        }
    }

    #[test]
    fn instants_are_written_for_postgresql() {
        assert_eq!(written(1_796_040_000_000_001), "2026-11-30 12:00:00.000001+00");
    }
}
