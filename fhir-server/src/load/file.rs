//! Files, found and read.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fhir_model::json;
use flate2::read::MultiGzDecoder;

use super::piece::{self, Piece};

/// Lines of an NDJSON file that are written together.
const LINES_MAX: usize = 500;

/// Bytes of an NDJSON file that are written together, whatever the number of lines.
const LINES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Names of files that hold what the others refer to by search; Synthea's exports have them.
const FIRST: [&str; 2] = ["hospitalInformation", "practitionerInformation"];

/// A file that can be loaded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    path: PathBuf,
    pub(super) bytes: u64,
    pub(super) goes_first: bool,
}

/// All loadable files of `paths`: files as named, folders with all that is below them, in the order of their names.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            below(path, &mut found)?;
        } else {
            found.push(Source::new(path.clone(), metadata.len()));
        }
    }
    Ok(found)
}

fn below(folder: &Path, found: &mut Vec<Source>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut entries = entries.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let metadata = std::fs::metadata(&path)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if metadata.is_dir() && !hidden {
            below(&path, found)?;
        } else if !hidden && (is(&path, "json") || is(&path, "ndjson")) {
            found.push(Source::new(path, metadata.len()));
        }
    }
    Ok(())
}

/// True for `x.json` and `x.json.gz`.
fn is(path: &Path, extension: &str) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.'))
}

impl Source {
    fn new(path: PathBuf, bytes: u64) -> Source {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let goes_first = FIRST.iter().any(|first| name.starts_with(first));
        Source { path, bytes, goes_first }
    }

    /// Hands the file's pieces to `take` until that says that it wants no more.
    pub(super) fn read(&self, limits: json::Limits, take: &mut dyn FnMut(Piece) -> bool) -> ControlFlow<()> {
        let name = self.path.display().to_string();
        let lines = is(&self.path, "ndjson");
        let done = self.open().and_then(|reader| match lines {
            true => self.read_lines(&name, reader, limits, take),
            false => self.read_whole(&name, reader, limits, take),
        });
        match done {
            Ok(flow) => flow,
            Err(error) if take(Piece::broken(name, self.bytes, error.to_string())) => {
                ControlFlow::Continue(())
            }
            Err(_) => ControlFlow::Break(()),
        }
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
        limits: json::Limits,
        take: &mut dyn FnMut(Piece) -> bool,
    ) -> std::io::Result<ControlFlow<()>> {
        let mut text = Vec::new();
        // One byte more than allowed, so that the parser can tell.
        reader.take(limits.bytes_max as u64 + 1).read_to_end(&mut text)?;
        let piece = Piece { bytes: self.bytes, ..piece::of_text(name, &text, limits) };
        Ok(if take(piece) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    fn read_lines(
        &self,
        name: &str,
        mut reader: Box<dyn BufRead>,
        limits: json::Limits,
        take: &mut dyn FnMut(Piece) -> bool,
    ) -> std::io::Result<ControlFlow<()>> {
        let (mut lines, mut held, mut number, mut left) = (Vec::new(), 0, 0, self.bytes);
        loop {
            let mut line = Vec::new();
            let read = reader.by_ref().take(limits.bytes_max as u64 + 1).read_until(b'\n', &mut line)?;
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
                let piece = Piece { bytes, ..piece::of_lines(name, std::mem::take(&mut lines), limits) };
                if !take(piece) {
                    return Ok(ControlFlow::Break(()));
                }
                held = 0;
            }
            if end {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_with_all_below_them_and_nothing_hidden() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("b/.git")).unwrap();
        for name in [
            "z.json",
            "a.ndjson.gz",
            "b/practitionerInformation1.JSON",
            "b/.git/x.json",
            "readme.md",
            ".x.json",
        ] {
            std::fs::write(dir.path().join(name), "{}").unwrap();
        }
        let found = find(&[dir.path().to_path_buf()]).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|f| (f.path.strip_prefix(dir.path()).unwrap().display().to_string(), f.goes_first))
            .collect();
        let wanted = [("a.ndjson.gz", false), ("b/practitionerInformation1.JSON", true), ("z.json", false)];
        assert_eq!(names, wanted.map(|(name, first)| (name.to_owned(), first)));
        assert!(find(&[dir.path().join("missing")]).is_err());
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
        let mut pieces = Vec::new();
        let source = find(&[path]).unwrap().remove(0);
        let flow = source.read(json::Limits::default(), &mut |piece| {
            pieces.push(piece);
            true
        });
        assert!(flow.is_continue());
        assert_eq!(pieces.iter().map(|p| p.entries.len()).collect::<Vec<_>>(), [LINES_MAX - 1, 2]);
        assert_eq!(pieces[0].errors.len(), 1);
        assert!(pieces[0].errors[0].0.ends_with("patients.ndjson:3"), "{:?}", pieces[0].errors);
        assert_eq!(pieces.iter().map(|p| p.bytes).sum::<u64>(), text.len() as u64);
    }
}
