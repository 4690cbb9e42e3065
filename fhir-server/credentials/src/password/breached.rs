//! The operator's list of breached passwords: the file of Have I Been Pwned (<https://haveibeenpwned.com/Passwords>), sorted
//! lines `SHA1:count`. It has tens of gigabytes, so it is searched where it is.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use fhir_model::{Error, Result};
use sha1::{Digest, Sha1};

/// A line has 40 digits, a colon, a count and its end; what is longer is none.
const LINE_BYTES_MAX: u64 = 80;

/// A list, by its path: it may be replaced while the server runs.
#[derive(Debug)]
pub(super) struct Breached {
    path: PathBuf,
}

impl Breached {
    /// # Errors
    /// It cannot be read, or its first line is not one of such a list.
    pub(super) fn open(path: PathBuf) -> Result<Breached> {
        let breached = Breached { path };
        let mut list = breached.list()?;
        list.line_at(0).and_then(|line| line.ok_or_else(wrong)).map_err(|error| breached.failed(&error))?;
        Ok(breached)
    }

    /// # Errors
    /// It cannot be read.
    pub(super) fn contains(&self, password: &str) -> Result<bool> {
        let sought: String = Sha1::digest(password).iter().map(|byte| format!("{byte:02X}")).collect();
        self.list()?.contains(sought.as_bytes()).map_err(|error| self.failed(&error))
    }

    fn list(&self) -> Result<List> {
        let file = File::open(&self.path)
            .and_then(|file| Ok(List { bytes: file.metadata()?.len(), file: BufReader::new(file) }));
        file.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        Error::internal(format!("the list of breached passwords {}: {error}", self.path.display()))
    }
}

/// An open list.
struct List {
    file: BufReader<File>,
    bytes: u64,
}

/// A line's hash, and where the next line begins.
struct Line {
    hash: Vec<u8>,
    end: u64,
}

impl List {
    /// **Invariant:** when the hash is in the file, its line begins in `low..high`; `low` is the beginning of a line.
    fn contains(&mut self, sought: &[u8]) -> std::io::Result<bool> {
        let (mut low, mut high) = (0, self.bytes);
        while low < high {
            let middle = low + (high - low) / 2;
            // The first line that begins at or after the middle.
            let start = if middle == low { low } else { self.next_start(middle - 1)? };
            let line = if start < high { self.line_at(start)? } else { None };
            match line {
                None => high = middle,
                Some(line) => match line.hash.as_slice().cmp(sought) {
                    std::cmp::Ordering::Equal => return Ok(true),
                    std::cmp::Ordering::Less => low = line.end,
                    std::cmp::Ordering::Greater => high = middle,
                },
            }
        }
        Ok(false)
    }

    /// Where the first line after this place begins.
    fn next_start(&mut self, place: u64) -> std::io::Result<u64> {
        self.file.seek(SeekFrom::Start(place))?;
        Ok(place + self.rest_of_line()?.len() as u64)
    }

    /// The line that begins here, or `None` at the end.
    fn line_at(&mut self, start: u64) -> std::io::Result<Option<Line>> {
        self.file.seek(SeekFrom::Start(start))?;
        let line = self.rest_of_line()?;
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let hash = line.get(..40).filter(|hash| hash.iter().all(u8::is_ascii_hexdigit));
        let follows = line.get(40).is_none_or(|byte| matches!(byte, b':' | b'\r' | b'\n'));
        let hash = hash.filter(|_| follows).ok_or_else(wrong)?.to_ascii_uppercase();
        Ok(Some(Line { hash, end: start + line.len() as u64 }))
    }

    fn rest_of_line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut line = Vec::with_capacity(64);
        self.file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.len() as u64 == LINE_BYTES_MAX {
            return Err(wrong());
        }
        Ok(line)
    }
}

fn wrong() -> std::io::Error {
    std::io::Error::other("it is not of lines `SHA1:count`")
}
