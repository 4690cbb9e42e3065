//! The directory that backups are written to, and what lies in it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, Time};

use super::seal::Part;
use super::{files, state};
use crate::cluster;
use crate::error::{Error, IoContext, Result};

/// Says that a directory is a target: an empty mount point is none, and a backup there would fill the system's disk.
const MARKER: &str = "cari-backup.json";

const MANIFEST: &str = "manifest.json";

/// The version of the layout.
const FORMAT: u32 = 1;

/// A directory for backups, which is there.
#[derive(Debug, Clone)]
pub struct Target {
    dir: PathBuf,
    /// What it is known by, wherever it is mounted.
    pub(super) id: String,
}

impl Target {
    /// Marks an existing directory as a target; once is enough.
    ///
    /// # Errors
    ///
    /// When it is not there or cannot be written to.
    pub fn prepare(dir: &Path) -> Result<Target> {
        let metadata = fs::metadata(dir).doing("open the backup target", dir)?;
        if !metadata.is_dir() {
            return Err(Error::backup(format!("{} is not a directory", dir.display())));
        }
        if !dir.join(MARKER).exists() {
            let text = format!("{{\"format\":{FORMAT},\"id\":\"{}\"}}\n", state::fresh_id());
            files::replace(&dir.join(MARKER), text.as_bytes())?;
        }
        Target::open(dir)
    }

    /// The target, if it is there.
    ///
    /// # Errors
    ///
    /// [`Error::TargetMissing`] when it is not, for instance because the disk is not plugged in.
    pub fn open(dir: &Path) -> Result<Target> {
        #[derive(Deserialize)]
        struct Marker {
            format: u32,
            #[serde(default)]
            id: String,
        }
        let Ok(text) = fs::read(dir.join(MARKER)) else {
            return Err(Error::TargetMissing { dir: dir.to_path_buf() });
        };
        match serde_json::from_slice::<Marker>(&text) {
            Ok(Marker { format: FORMAT, id }) => Ok(Target { dir: dir.to_path_buf(), id }),
            _ => Err(Error::backup(format!(
                "{} was written by another version of this program",
                dir.display()
            ))),
        }
    }

    /// One archive.
    pub fn archive(&self, id: &str) -> Archive {
        Archive { dir: self.dir.join(id), id: id.to_owned() }
    }

    /// All archives that hold a backup.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn archives(&self) -> Result<Vec<Archive>> {
        let names = names(&self.dir)?;
        let archives = names.iter().map(|name| self.archive(name));
        Ok(archives.filter(|archive| archive.dir.join("base").is_dir()).collect())
    }
}

/// The backups of one data directory.
#[derive(Debug, Clone)]
pub struct Archive {
    dir: PathBuf,
    /// Its name in the target.
    pub id: String,
}

impl Archive {
    /// The complete base backups, oldest first.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read. A damaged manifest is an error too: what it stands for must not vanish.
    pub fn bases(&self) -> Result<Vec<Base>> {
        let dir = self.base_dir();
        let mut bases = Vec::new();
        for name in names(&dir)? {
            let path = dir.join(&name).join(MANIFEST);
            if name.ends_with(PARTIAL) || !path.exists() {
                continue;
            }
            let text = fs::read(&path).doing("read", &path)?;
            let base: Base = serde_json::from_slice(&text)
                .map_err(|why| Error::backup(format!("{} is damaged: {why}", path.display())))?;
            if base.name != name || !base.is_sound() {
                return Err(Error::backup(format!(
                    "{} is no manifest that was written there",
                    path.display()
                )));
            }
            bases.push(base);
        }
        bases.sort_by_key(|base| (base.finished_at, base.start));
        Ok(bases)
    }

    /// The pieces of WAL, in order.
    pub(super) fn wal(&self) -> Result<Vec<Piece>> {
        let dir = self.dir.join("wal");
        let mut pieces = Vec::new();
        for day in names(&dir)? {
            let found = names(&dir.join(&day))?;
            pieces.extend(found.iter().filter_map(|name| Piece::parse(&day, name)));
        }
        pieces.sort_by_key(|piece| (piece.start, piece.end));
        Ok(pieces)
    }

    pub(super) fn base_dir(&self) -> PathBuf {
        self.dir.join("base")
    }

    pub(super) fn path_of(&self, base: &Base) -> PathBuf {
        self.base_dir().join(&base.name)
    }

    pub(super) fn path_of_piece(&self, piece: &Piece) -> PathBuf {
        self.dir.join("wal").join(piece.day()).join(piece.to_string())
    }

    /// Writes a piece of WAL.
    pub(super) fn add(&self, piece: &Piece, sealed: &[u8]) -> Result<()> {
        let path = self.path_of_piece(piece);
        let dir = path.parent().unwrap_or(&self.dir);
        if !dir.is_dir() {
            fs::create_dir_all(dir).doing("create", dir)?;
            cluster::sync_dir(&self.dir.join("wal"))?;
        }
        files::replace(&path, sealed)
    }

    /// Opens a directory for a new base backup; what an earlier one left unfinished is removed.
    pub(super) fn begin(&self, name: &str) -> Result<PathBuf> {
        let dir = self.base_dir();
        fs::create_dir_all(&dir).doing("create", &dir)?;
        for left in names(&dir)?.iter().filter(|name| name.ends_with(PARTIAL)) {
            fs::remove_dir_all(dir.join(left)).doing("remove", &dir.join(left))?;
        }
        let new = dir.join(format!("{name}{PARTIAL}"));
        fs::create_dir(&new).doing("create", &new)?;
        Ok(new)
    }

    /// Makes the written files a backup: the manifest is flushed, then the directory gets its name.
    pub(super) fn complete(&self, new: &Path, base: &Base) -> Result<()> {
        let text = serde_json::to_vec_pretty(base).map_err(|why| Error::backup(why.to_string()))?;
        files::replace(&new.join(MANIFEST), &text)?;
        fs::rename(new, self.path_of(base)).doing("rename", new)?;
        cluster::sync_dir(&self.base_dir())
    }

    /// Removes a base backup: first what makes it one.
    pub(super) fn remove(&self, base: &Base) -> Result<()> {
        let dir = self.path_of(base);
        fs::remove_file(dir.join(MANIFEST)).doing("remove", &dir.join(MANIFEST))?;
        cluster::sync_dir(&dir)?;
        fs::remove_dir_all(&dir).doing("remove", &dir)
    }
}

/// The sizes that a segment of WAL can have.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 30;

/// The end of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_800;

/// More than any database has.
const BYTES_MAX: u64 = 1 << 56;

const PARTIAL: &str = ".partial";

/// What is known of a base backup: its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The version of the format.
    pub(super) format: u32,
    /// Its directory.
    pub name: String,
    /// When it was begun, in seconds since 1970.
    pub started_at: i64,
    /// When it was completed: it can be restored to this instant and later ones.
    pub finished_at: i64,
    /// The major version of PostgreSQL, which restoring needs.
    pub major: u32,
    pub(super) system: String,
    pub(super) timeline: u32,
    /// Where in the WAL it begins and ends.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) segment_bytes: u64,
    /// The bytes that it takes when it is restored.
    pub bytes: u64,
    pub(super) parts: Vec<Part>,
}

impl Base {
    pub(super) fn new(started_at: i64) -> Base {
        Base {
            format: FORMAT,
            name: name_of(started_at),
            started_at,
            finished_at: 0,
            major: 0,
            system: String::new(),
            timeline: 0,
            start: 0,
            end: 0,
            segment_bytes: 0,
            bytes: 0,
            parts: Vec::new(),
        }
    }

    /// Whether it can be what this program wrote. A manifest is plain text on a disk that others may write to: what it
    /// names is in its directory, and its numbers can be reckoned with.
    fn is_sound(&self) -> bool {
        let is_name = |name: &str| {
            !name.starts_with('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let mut bytes = [self.end, self.bytes].into_iter().chain(self.parts.iter().map(|part| part.bytes));
        self.segment_bytes.is_power_of_two()
            && SEGMENT_BYTES.contains(&self.segment_bytes)
            && [self.started_at, self.finished_at].iter().all(|at| (0..SECONDS_MAX).contains(at))
            && self.start < self.end
            && bytes.all(|bytes| bytes < BYTES_MAX)
            && self.parts.iter().all(|part| is_name(&part.name))
    }

    /// The bytes it takes on the target.
    pub fn stored_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// A piece of WAL: the bytes from `start` to `end`, within one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) end: u64,
    /// What was committed before is in this piece or an earlier one; seconds since 1970.
    pub(super) at: i64,
    /// The beginning of the file's SHA-256.
    pub(super) hash: String,
}

impl Piece {
    pub(super) fn day(&self) -> String {
        name_of(self.at).chars().take(8).collect()
    }

    fn parse(day: &str, name: &str) -> Option<Piece> {
        let mut parts = name.strip_suffix(".zst.age")?.split('-');
        let start = u64::from_str_radix(parts.next()?, 16).ok()?;
        let end = u64::from_str_radix(parts.next()?, 16).ok()?;
        let at = parse_name(&format!("{day}T{}Z", parts.next()?))?;
        let hash = parts.next()?.to_owned();
        (parts.next().is_none() && start < end).then_some(Piece { start, end, at, hash })
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = name_of(self.at);
        let time = time.get(9..15).unwrap_or("000000");
        write!(f, "{:016X}-{:016X}-{time}-{}.zst.age", self.start, self.end, self.hash)
    }
}

/// `20261130T120000Z`
pub(super) fn name_of(at: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

fn parse_name(name: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| name.get(range)?.parse::<u8>().ok();
    let month = Month::try_from(number(4..6)?).ok()?;
    let date = Date::from_calendar_date(name.get(0..4)?.parse().ok()?, month, number(6..8)?).ok()?;
    let time = Time::from_hms(number(9..11)?, number(11..13)?, number(13..15)?).ok()?;
    Some(date.with_time(time).assume_utc().unix_timestamp())
}

/// The names in a directory, sorted; a directory that is not there has none.
fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                names.extend(entry.doing("read", dir)?.file_name().into_string());
            }
        }
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
        Err(error) => return Err(error).doing("read", dir),
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_mount_point_is_no_target() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Target::open(dir.path()), Err(Error::TargetMissing { .. })));
        assert!(Target::prepare(&dir.path().join("usb")).is_err(), "it is not made either");
        Target::prepare(dir.path()).unwrap();
        assert_eq!(Target::open(dir.path()).unwrap().archives().unwrap().len(), 0);
        fs::write(dir.path().join(MARKER), "{\"format\":9}").unwrap();
        assert!(Target::open(dir.path()).unwrap_err().to_string().contains("another version"));
    }

    #[test]
    fn names_of_pieces_are_read_as_they_are_written() {
        let piece =
            Piece { start: 0x1_0000_0028, end: 0x1_0100_0000, at: 1_796_040_000, hash: "ab12".to_owned() };
        assert_eq!(piece.day(), "20261130");
        assert_eq!(Piece::parse(&piece.day(), &piece.to_string()), Some(piece.clone()));
        for name in ["", "x.zst.age", "1-0-120000-ab.zst.age", "0-1-250000-ab.zst.age", "0-1-120000-ab.new"] {
            assert_eq!(Piece::parse("20261130", name), None, "{name}");
        }
    }

    fn sound() -> Base {
        let at = 1_796_040_000;
        Base { finished_at: at, start: 1, end: 2, segment_bytes: 16 << 20, ..Base::new(at) }
    }

    /// Whoever can write to the disk can write a manifest.
    #[test]
    fn a_manifest_leads_nowhere_else() {
        let part = |name: &str| Part { name: name.to_owned(), bytes: 1, sha256: String::new() };
        let parts = |name: &str| Base { parts: vec![part("base.tar.zst.age.0000"), part(name)], ..sound() };
        assert!(sound().is_sound() && parts("base.tar.zst.age.0001").is_sound());
        let name = sound().name;
        for (base, name) in [
            (Base { name: "/tmp".to_owned(), ..sound() }, &*name),
            (Base { name: "../../other".to_owned(), ..sound() }, &name),
            (sound(), "20261130T120001Z"),
            (parts("../x"), &name),
            (parts("/dev/zero"), &name),
            (parts(".."), &name),
            (Base { segment_bytes: 0, ..sound() }, &name),
            (Base { segment_bytes: 1 << 40, ..sound() }, &name),
            (Base { segment_bytes: (16 << 20) + 1, ..sound() }, &name),
            (Base { finished_at: i64::MAX, ..sound() }, &name),
            (Base { started_at: -1, ..sound() }, &name),
            (Base { end: 0, ..sound() }, &name),
            (Base { end: u64::MAX, ..sound() }, &name),
            (Base { bytes: u64::MAX, ..sound() }, &name),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let archive = Target::prepare(dir.path()).unwrap().archive("a");
            let path = archive.base_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(MANIFEST), serde_json::to_vec(&base).unwrap()).unwrap();
            let refused = archive.bases().unwrap_err().to_string();
            assert!(refused.contains("no manifest that was written there"), "{base:?}: {refused}");
        }
    }

    #[test]
    fn a_backup_without_its_manifest_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Target::prepare(dir.path()).unwrap().archive("a");
        let base = sound();
        let new = archive.begin(&base.name).unwrap();
        fs::write(new.join("base.tar.zst.age.0000"), "torn").unwrap();
        assert!(archive.bases().unwrap().is_empty());
        let new = archive.begin("20270101T000000Z").unwrap();
        assert_eq!(names(&archive.base_dir()).unwrap(), ["20270101T000000Z.partial"]);
        archive.complete(&new, &base).unwrap();
        assert!(archive.bases().unwrap() == std::slice::from_ref(&base));
        archive.remove(&base).unwrap();
        assert!(archive.bases().unwrap().is_empty());
    }
}
