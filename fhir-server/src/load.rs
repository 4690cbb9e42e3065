//! `load`: files into the database, through the same door as every request.
//!
//! **Invariant:** nothing is written but by [`fhir_interactions::handle`], so what is loaded is checked and indexed like
//! everything else. Loading the same files again changes nothing: see `load/identity.rs`.

mod file;
mod identity;
mod piece;
mod send;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use fhir_interactions::Cx;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use piece::Piece;
use send::Sent;

/// What came of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// Resources written.
    pub written: u64,
    /// Resources that were there already with the same content.
    pub unchanged: u64,
    /// What could not be loaded: the place, and why.
    pub errors: Vec<(String, String)>,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(0.001);
        write!(
            f,
            "{} resources loaded, {} unchanged, {} errors in {seconds:.1} s ({:.0} resources/s)",
            self.written,
            self.unchanged,
            self.errors.len(),
            (self.written + self.unchanged) as f64 / seconds
        )
    }
}

/// Loads files and folders, `parallel` pieces at a time. Fails only when the paths cannot be read at all; what is wrong
/// with single files is told in the summary.
pub async fn load(cx: &Arc<Cx>, paths: &[PathBuf], parallel: usize) -> Result<Summary> {
    let files = file::find(paths)?;
    let bar = progress(files.iter().map(|file| file.bytes).sum());
    let mut summary = Summary::default();
    let began = Instant::now();
    // What others refer to by search (`Practitioner?identifier=...`) must be there before they come.
    let (first, rest): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.goes_first);
    for files in [first, rest] {
        let (sender, receiver) = mpsc::channel(parallel);
        let limits = cx.limits.json;
        let reading = tokio::task::spawn_blocking(move || {
            for file in files {
                if file.read(limits, &mut |piece| sender.blocking_send(piece).is_ok()).is_break() {
                    break;
                }
            }
        });
        let refused = write(cx, receiver, parallel, &bar, &mut summary).await;
        reading.await?;
        again(cx, refused, parallel, &bar, &mut summary).await?;
    }
    bar.finish_and_clear();
    summary.took = began.elapsed();
    Ok(summary)
}

/// Loads texts that are part of the program, one after the other.
pub async fn load_texts(cx: &Arc<Cx>, texts: &[(&str, &str)]) -> Result<Summary> {
    let bar = progress(texts.iter().map(|(_, text)| text.len() as u64).sum());
    let mut summary = Summary::default();
    let began = Instant::now();
    for (name, text) in texts {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(piece::of_text(name, text.as_bytes(), cx.limits.json)).await?;
        drop(sender);
        for (piece, text) in write(cx, receiver, 1, &bar, &mut summary).await {
            tell((piece.name, text), &bar, &mut summary);
        }
    }
    bar.finish_and_clear();
    summary.took = began.elapsed();
    Ok(summary)
}

/// Bytes of refused transactions that are kept for another try.
const REFUSED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A transaction that was refused, and why.
type Refused = (Piece, String);

/// Writes all pieces that come, and gives back those that may be taken later.
async fn write(
    cx: &Arc<Cx>,
    mut pieces: mpsc::Receiver<Piece>,
    parallel: usize,
    bar: &ProgressBar,
    summary: &mut Summary,
) -> Vec<Refused> {
    let (mut tasks, mut refused, mut refused_bytes) = (JoinSet::new(), Vec::new(), 0);
    let mut take = |done: Result<(u64, Sent), tokio::task::JoinError>| {
        let (bytes, mut sent) = match done {
            Ok(done) => done,
            Err(ended) => return tell(("a part".to_owned(), ended.to_string()), bar, summary),
        };
        match sent.refused.take() {
            Some((piece, text)) if refused_bytes + piece.bytes > REFUSED_BYTES_MAX => {
                sent.errors.push((piece.name, text))
            }
            Some((piece, text)) => {
                refused_bytes += piece.bytes;
                refused.push((piece, text));
            }
            None => {}
        }
        add(bytes, sent, bar, summary);
    };
    loop {
        let full = tasks.len() >= parallel.max(1);
        tokio::select! {
            piece = pieces.recv(), if !full => match piece {
                Some(piece) => {
                    let cx = cx.clone();
                    tasks.spawn(async move { (piece.bytes, send::send(&cx, piece).await) });
                }
                None => break,
            },
            Some(done) = tasks.join_next() => take(done),
        }
    }
    while let Some(done) = tasks.join_next().await {
        take(done);
    }
    refused
}

/// Tries what was refused again, as long as that helps: files may refer to each other in any order.
async fn again(
    cx: &Arc<Cx>,
    mut refused: Vec<Refused>,
    parallel: usize,
    bar: &ProgressBar,
    summary: &mut Summary,
) -> Result<()> {
    let mut before = usize::MAX;
    while !refused.is_empty() && refused.len() < before {
        before = refused.len();
        let (sender, receiver) = mpsc::channel(before);
        for (piece, _) in refused {
            // Its bytes were counted when it was refused.
            sender.send(Piece { bytes: 0, ..piece }).await?;
        }
        drop(sender);
        refused = write(cx, receiver, parallel, bar, summary).await;
    }
    for (piece, text) in refused {
        tell((piece.name, text), bar, summary);
    }
    Ok(())
}

fn add(bytes: u64, sent: Sent, bar: &ProgressBar, summary: &mut Summary) {
    summary.written += sent.written;
    summary.unchanged += sent.unchanged;
    for error in sent.errors {
        tell(error, bar, summary);
    }
    bar.inc(bytes);
    let seconds = bar.elapsed().as_secs_f64().max(0.001);
    let resources = summary.written + summary.unchanged;
    bar.set_message(format!("{resources} resources, {:.0}/s", resources as f64 / seconds));
}

/// Tells an error at once, and keeps it.
fn tell((place, text): (String, String), bar: &ProgressBar, summary: &mut Summary) {
    // Above the bar where there is one, else plainly.
    if bar.is_hidden() {
        eprintln!("{place}: {text}");
    } else {
        bar.println(format!("{place}: {text}"));
    }
    summary.errors.push((place, text));
}

fn progress(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {msg} ({eta} left)") {
        bar.set_style(style);
    }
    bar
}
