//! What is seen while a load runs: a bar in a terminal, elsewhere a line every ten seconds.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::summary::Summary;

/// Between two lines.
pub(super) const LINE_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    bar: ProgressBar,
    files: u64,
    began: Instant,
    line_due: Instant,
}

impl Progress {
    pub(super) fn new(files: u64, bytes: u64) -> Progress {
        let bar = ProgressBar::new(bytes);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {msg} ({eta} left)") {
            bar.set_style(style);
        }
        let began = Instant::now();
        Progress { bar, files, began, line_due: began + LINE_INTERVAL }
    }

    /// `bytes` more are done.
    pub(super) fn advance(&self, bytes: u64, summary: &Summary) {
        self.bar.inc(bytes);
        let rate = rate(summary, self.began.elapsed());
        self.bar.set_message(format!("{} resources, {rate:.0}/s", summary.resources()));
    }

    /// Prints the line when it is due and nobody sees the bar.
    pub(super) fn tick(&mut self, summary: &Summary) {
        if self.bar.is_hidden() && Instant::now() >= self.line_due {
            self.line_due = Instant::now() + LINE_INTERVAL;
            eprintln!("{}", line(summary, self.files, self.began.elapsed()));
        }
    }

    /// Prints an error, above the bar where there is one.
    pub(super) fn error(&self, place: &str, text: &str) {
        if self.bar.is_hidden() {
            eprintln!("{place}: {text}");
        } else {
            self.bar.println(format!("{place}: {text}"));
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn line(summary: &Summary, files: u64, took: Duration) -> String {
    format!(
        "loading: {} of {files} files, {} resources, {:.0}/s, {} errors",
        summary.files,
        summary.resources(),
        rate(summary, took),
        summary.errors_total
    )
}

fn rate(summary: &Summary, took: Duration) -> f64 {
    summary.resources() as f64 / took.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let summary = Summary { written: 30, unchanged: 10, files: 2, errors_total: 1, ..Summary::default() };
        let text = line(&summary, 7, Duration::from_secs(20));
        assert_eq!(text, "loading: 2 of 7 files, 40 resources, 2/s, 1 errors");
    }
}
