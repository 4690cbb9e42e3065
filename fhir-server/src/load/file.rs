//! One file, read.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::piece::{self, Format, Piece, Reading};

/// Lines of an NDJSON file that are written together.
const LINES_MAX: usize = 500;

/// Bytes of an NDJSON file that are written together, whatever the number of lines.
const LINES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Names of files that hold what the others refer to by search; Synthea's exports have them.
const FIRST: [&str; 2] = ["hospitalInformation", "practitionerInformation"];

/// Entries of one file, by which places of entries are numbered: more than any file has.
const ENTRIES_BITS: u32 = 40;

/// What a file holds, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A resource.
    Json,
    /// A resource on each line.
    Lines,
    /// A resource.
    Xml,
}

impl Kind {
    /// `x.json`, `x.ndjson`, `x.xml`, each with `.gz` or without.
    pub(super) fn from_name(path: &Path) -> Option<Kind> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let (_, extension) = name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')?;
        match extension {
            "json" => Some(Kind::Json),
            "ndjson" => Some(Kind::Lines),
            "xml" => Some(Kind::Xml),
            _ => None,
        }
    }
}

/// A file that can be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    path: PathBuf,
    kind: Kind,
    /// Its number among the files.
    number: u64,
    pub(super) bytes: u64,
    pub(super) goes_first: bool,
}

impl Source {
    pub(super) fn new(path: PathBuf, kind: Kind, bytes: u64, number: u64) -> Source {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let goes_first = FIRST.iter().any(|first| name.starts_with(first));
        Source { path, kind, number, bytes, goes_first }
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands the file's pieces to `take` until that says that it wants no more.
    pub(super) fn read(&self, reading: &Reading, take: &mut dyn FnMut(Piece) -> bool) -> ControlFlow<()> {
        let name = self.path.display().to_string();
        let mut place = self.number << ENTRIES_BITS;
        let mut numbered = |mut piece: Piece| {
            place = piece.number(place);
            take(piece)
        };
        let done = self.open().and_then(|reader| match self.kind {
            Kind::Lines => self.read_lines(&name, reader, reading, &mut numbered),
            Kind::Json => self.read_whole(&name, reader, Format::Json, reading, &mut numbered),
            Kind::Xml => self.read_whole(&name, reader, Format::Xml, reading, &mut numbered),
        });
        let wants_more = match done {
            Ok(wants_more) => wants_more,
            Err(error) => numbered(Piece::broken(&name, self.bytes, format!("cannot be read: {error}"))),
        };
        if wants_more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn open(&self) -> std::io::Result<Box<dyn BufRead>> {
        let file = File::open(&self.path)?;
        Ok(match self.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz")) {
            true => Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(file)))),
            false => Box::new(BufReader::new(file)),
        })
    }

    fn read_whole(
        &self,
        name: &str,
        reader: Box<dyn BufRead>,
        format: Format,
        reading: &Reading,
        take: &mut dyn FnMut(Piece) -> bool,
    ) -> std::io::Result<bool> {
        let mut text = Vec::new();
        // One byte more than allowed, so that the parser can tell.
        reader.take(reading.limits.bytes_max as u64 + 1).read_to_end(&mut text)?;
        Ok(take(Piece { bytes: self.bytes, ..piece::from_text(name, &text, format, reading) }))
    }

    fn read_lines(
        &self,
        name: &str,
        mut reader: Box<dyn BufRead>,
        reading: &Reading,
        take: &mut dyn FnMut(Piece) -> bool,
    ) -> std::io::Result<bool> {
        let limits = reading.limits;
        let (mut lines, mut held, mut number, mut left) = (Vec::new(), 0, 0, self.bytes);
        loop {
            let mut line = Vec::new();
            let read = reader.by_ref().take(limits.bytes_max as u64 + 1).read_until(b'\n', &mut line);
            let read = match read {
                Ok(read) => read,
                // What came before the fault is whole.
                Err(error) => {
                    let piece = piece::from_lines(name, lines, limits);
                    return if take(piece) { Err(error) } else { Ok(false) };
                }
            };
            number += 1;
            held += read;
            if !line.trim_ascii().is_empty() {
                lines.push((number, line));
            }
            let end = read == 0;
            if lines.len() >= LINES_MAX || held >= LINES_BYTES_MAX || end {
                // Packed files are shorter than their lines: the last piece brings the bar to its end.
                let bytes = if end { left } else { left.min(held as u64) };
                left -= bytes;
                let piece = piece::from_lines(name, std::mem::take(&mut lines), limits);
                if !take(Piece { bytes, ends_file: end, ..piece }) {
                    return Ok(false);
                }
                held = 0;
            }
            if end {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fhir_model::json::JsonLimits;
    use fhir_profiles::Definitions;

    use super::*;

    fn pieces(path: &Path, limits: JsonLimits) -> Vec<Piece> {
        let reading = Reading { limits, types: Arc::new(Definitions::load().unwrap()) };
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let source = Source::new(path.to_path_buf(), Kind::from_name(path).unwrap(), bytes, 1);
        let mut pieces = Vec::new();
        let flow = source.read(&reading, &mut |piece| {
            pieces.push(piece);
            true
        });
        assert!(flow.is_continue());
        pieces
    }

    #[test]
    fn lines_come_in_blocks_that_know_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("patients.ndjson");
        let mut text = String::from("{\"resourceType\":\"Patient\",\"id\":\"first\"}\n\nnot json\n");
        for n in 0..LINES_MAX {
            text.push_str(&format!("{{\"resourceType\":\"Patient\",\"id\":\"p{n}\"}}\n"));
        }
        std::fs::write(&path, &text).unwrap();
        let pieces = pieces(&path, JsonLimits::default());
        assert_eq!(pieces.iter().map(|p| p.entries.len()).collect::<Vec<_>>(), [LINES_MAX - 1, 2]);
        assert_eq!(pieces[0].errors.len(), 1);
        assert!(pieces[0].errors[0].0.ends_with("patients.ndjson:3"), "{:?}", pieces[0].errors);
        assert_eq!(pieces.iter().map(|p| p.bytes).sum::<u64>(), text.len() as u64);
        assert_eq!(pieces.iter().map(|p| p.ends_file).collect::<Vec<_>>(), [false, true]);
        let places: Vec<u64> =
            pieces.iter().flat_map(|p| p.entries.iter().map(|entry| entry.place)).collect();
        assert!(places.is_sorted_by(|a, b| a < b) && places[0] == 1 << ENTRIES_BITS);
    }

    #[test]
    fn what_is_longer_than_allowed_is_an_error_however_it_is_packed() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let limits = JsonLimits { bytes_max: 10_000, ..JsonLimits::default() };
        for name in ["bomb.json.gz", "bomb.ndjson.gz", "bomb.xml.gz"] {
            let path = dir.path().join(name);
            let file = File::create(&path).unwrap();
            let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::best());
            for _ in 0..100 {
                packed.write_all(&vec![b' '; 1 << 20]).unwrap();
            }
            packed.write_all(b"{}").unwrap();
            packed.finish().unwrap();
            let pieces = pieces(&path, limits);
            let errors = pieces.iter().map(|piece| piece.errors.len()).sum::<usize>();
            assert!(errors == 1 || name.contains("ndjson"), "{name}: {errors}");
            assert!(pieces.iter().all(|piece| piece.entries.is_empty()), "{name}");
        }
        // A list that is cut off is read as far as it goes.
        let path = dir.path().join("cut.ndjson.gz");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        packed.write_all(b"{\"resourceType\":\"Patient\"}\n{\"resourceType\":\"Patient\"}\n").unwrap();
        let mut packed = packed.finish().unwrap();
        packed.truncate(packed.len() - 12);
        std::fs::write(&path, packed).unwrap();
        let cut = self::pieces(&path, limits);
        assert_eq!(cut.iter().map(|piece| piece.errors.len()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(cut[0].entries.len(), 1);

        let path = dir.path().join("cut.json.gz");
        std::fs::write(&path, [0x1f, 0x8b, 8, 0, 0]).unwrap();
        assert!(pieces(&path, limits)[0].errors[0].1.starts_with("cannot be read"));
    }
}
