//! What came of a load, in numbers that add up.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::sent::Counts;

/// Errors that are kept; all are printed.
const ERRORS_KEPT_MAX: usize = 1000;

/// Skipped files that are named.
const SKIPPED_NAMED_MAX: usize = 5;

/// What came of it. Every resource in a file that can be read is counted once: written, unchanged, superseded or failed.
#[derive(Debug, Default)]
pub struct Summary {
    /// Resources written.
    pub written: u64,
    /// Resources that were there already with the same content, or were found by a conditional create.
    pub unchanged: u64,
    /// Resources that a later entry of the files writes with other content.
    pub superseded: u64,
    /// Resources that could not be written.
    pub failed: u64,
    /// What could not be loaded: the place, and why. The first thousand.
    pub errors: Vec<(String, String)>,
    /// All of these.
    pub errors_total: u64,
    /// Files in folders that are neither JSON nor XML.
    pub skipped: Vec<PathBuf>,
    /// Files that were looked at to their end.
    pub files: u64,
    /// How long it took.
    pub took: Duration,
}

impl Summary {
    /// All resources that were met.
    pub fn resources(&self) -> u64 {
        self.written + self.unchanged + self.superseded + self.failed
    }

    pub(super) fn add(&mut self, counts: Counts) {
        self.written += counts.written;
        self.unchanged += counts.unchanged;
        self.superseded += counts.superseded;
        self.failed += counts.failed;
    }

    pub(super) fn fail(&mut self, place: String, text: String) {
        self.errors_total += 1;
        if self.errors.len() < ERRORS_KEPT_MAX {
            self.errors.push((place, text));
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(0.001);
        write!(
            f,
            "{} resources loaded, {} unchanged, {} superseded by later files, {} failed; {} files, {} errors in \
             {seconds:.1} s ({:.0} resources/s)",
            self.written,
            self.unchanged,
            self.superseded,
            self.failed,
            self.files,
            self.errors_total,
            self.resources() as f64 / seconds
        )?;
        if self.skipped.is_empty() {
            return Ok(());
        }
        let names: Vec<String> =
            self.skipped.iter().take(SKIPPED_NAMED_MAX).map(|path| path.display().to_string()).collect();
        let more = self.skipped.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let count = self.skipped.len();
        write!(f, "\n{count} files skipped, which are not .json, .ndjson or .xml: {}{more}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_files_are_named_as_far_as_that_helps() {
        let skipped = (0..7).map(|n| PathBuf::from(format!("{n}.txt"))).collect();
        let summary = Summary { written: 2, unchanged: 1, skipped, ..Summary::default() };
        let text = summary.to_string();
        assert!(text.starts_with("2 resources loaded, 1 unchanged, 0 superseded"), "{text}");
        assert!(text.ends_with(": 0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 2 more"), "{text}");
        assert!(text.contains("\n7 files skipped"), "{text}");
    }
}
