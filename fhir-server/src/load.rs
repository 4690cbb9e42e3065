//! `load`: files into the database, through `handle` as every request; or into a running server.
//!
//! **Invariant:** nothing is written but by [`fhir_interactions::handle`], so what is loaded is checked and indexed like
//! everything else. Loading the same files again changes nothing: each resource has a name that follows from the file
//! (`load/identity.rs`), what is there already is passed over (`load/same.rs`), and of several entries for one resource
//! the last decides (`load/repeated.rs`). What somebody else changed in between becomes what the files say again.

mod file;
mod find;
mod identity;
mod outcome;
mod parts;
mod piece;
mod plan;
mod progress;
mod remote;
mod repeated;
mod same;
mod send;
mod sent;
mod summary;
mod target;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use file::Source;
use piece::{Format, Piece, Reading};
use progress::{LINE_INTERVAL, Progress};
use repeated::Repeated;
use sent::{Refused, Sent};

pub use remote::{Remote, TOKEN};
pub use summary::Summary;
pub use target::Target;

/// Loads files and folders, `parallel` pieces at a time. The summary reports what is wrong with single files.
///
/// # Errors
///
/// When the database or the server is lost on the way: what was loaded stays, and a second run goes on.
pub async fn load(target: &Target, paths: &[PathBuf], parallel: usize) -> Result<Summary> {
    let found = find::find(paths);
    let bytes = found.sources.iter().map(|file| file.bytes).sum();
    let mut run = Run::new(target.clone(), parallel, found.sources.len() as u64, bytes);
    for (path, why) in found.errors {
        run.fail(path, why);
    }
    run.summary.skipped = found.skipped;
    run.look_through(&found.sources).await?;
    // What others refer to by search (`Practitioner?identifier=...`) must be there before they come.
    let (first, rest): (Vec<_>, Vec<_>) = found.sources.into_iter().partition(|file| file.goes_first);
    for files in [first, rest] {
        let (sender, receiver) = mpsc::channel(run.parallel);
        let read = reading(files, target.reading.clone(), move |piece| sender.blocking_send(piece).is_ok());
        let refused = run.write(receiver).await;
        read.await?;
        run.again(refused).await?;
    }
    run.finish()
}

/// Loads texts that are part of the program, one after the other.
///
/// # Errors
///
/// When the database is lost on the way.
pub async fn load_texts(target: &Target, texts: &[(&str, &str)]) -> Result<Summary> {
    let bytes = texts.iter().map(|(_, text)| text.len() as u64).sum();
    let mut run = Run::new(target.clone(), 1, texts.len() as u64, bytes);
    for (name, text) in texts {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(piece::from_text(name, text.as_bytes(), Format::Json, &target.reading)).await?;
        drop(sender);
        let refused = run.write(receiver).await;
        run.give_up(refused);
    }
    run.finish()
}

/// Reads files on a thread of its own until `take` wants no more.
fn reading(
    files: Vec<Source>,
    reading: Reading,
    mut take: impl FnMut(Piece) -> bool + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        for file in files {
            if file.read(&reading, &mut take).is_break() {
                break;
            }
        }
    })
}

/// Bytes of refused transactions that are kept for another try.
const REFUSED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One load on its way.
struct Run {
    target: Target,
    parallel: usize,
    repeated: Arc<Repeated>,
    summary: Summary,
    progress: Progress,
    refused_bytes: u64,
    /// Why nothing more can be written.
    stopped: Option<String>,
    began: Instant,
}

/// A piece that was sent: its bytes, whether its file ends with it, and what came of it.
type Done = (u64, bool, Sent);

impl Run {
    fn new(target: Target, parallel: usize, files: u64, bytes: u64) -> Run {
        Run {
            target,
            parallel: parallel.max(1),
            repeated: Arc::new(Repeated::none()),
            summary: Summary::default(),
            progress: Progress::new(files, bytes),
            refused_bytes: 0,
            stopped: None,
            began: Instant::now(),
        }
    }

    /// Finds out which entries later ones supersede.
    async fn look_through(&mut self, files: &[Source]) -> Result<()> {
        let (sender, mut receiver) = mpsc::channel::<Vec<_>>(self.parallel);
        let keys = move |piece: Piece| {
            let keys = piece.entries.iter().filter_map(|entry| Some((entry.key()?.clone(), entry.place)));
            sender.blocking_send(keys.collect()).is_ok()
        };
        let read = reading(files.to_vec(), self.target.reading.clone(), keys);
        let mut repeated = Repeated::new();
        while let Some(keys) = receiver.recv().await {
            keys.iter().for_each(|(key, place)| repeated.note(key, *place));
            self.progress.tick(&self.summary);
        }
        read.await?;
        self.repeated = Arc::new(repeated.finish());
        Ok(())
    }

    /// Writes all pieces that come, and gives back those that may be taken later.
    async fn write(&mut self, mut pieces: mpsc::Receiver<Piece>) -> Vec<Refused> {
        let (mut tasks, mut refused) = (JoinSet::new(), Vec::new());
        let mut ticks = tokio::time::interval(LINE_INTERVAL / 10);
        while self.stopped.is_none() {
            let full = tasks.len() >= self.parallel;
            tokio::select! {
                piece = pieces.recv(), if !full => match piece {
                    Some(piece) => {
                        let (target, repeated) = (self.target.clone(), self.repeated.clone());
                        tasks.spawn(async move {
                            (piece.bytes, piece.ends_file, send::send(&target, piece, &repeated).await)
                        });
                    }
                    None => break,
                },
                Some(done) = tasks.join_next() => refused.extend(self.take(done)),
                _ = ticks.tick() => self.progress.tick(&self.summary),
            }
        }
        loop {
            tokio::select! {
                done = tasks.join_next() => match done {
                    Some(done) => refused.extend(self.take(done)),
                    None => return refused,
                },
                _ = ticks.tick() => self.progress.tick(&self.summary),
            }
        }
    }

    /// Counts what came of a piece; gives it back when it may be taken later.
    fn take(&mut self, done: Result<Done, JoinError>) -> Option<Refused> {
        let (bytes, ends_file, sent) = match done {
            Ok(done) => done,
            Err(ended) => {
                self.fail("a part".to_owned(), ended.to_string());
                return None;
            }
        };
        self.summary.files += u64::from(ends_file);
        self.summary.add(sent.counts);
        self.stopped = self.stopped.take().or(sent.stopped);
        for (place, text) in sent.errors {
            self.fail(place, text);
        }
        self.progress.advance(bytes, &self.summary);
        let refused = sent.refused?;
        if self.refused_bytes + refused.piece.bytes > REFUSED_BYTES_MAX {
            self.give_up(vec![refused]);
            return None;
        }
        self.refused_bytes += refused.piece.bytes;
        Some(refused)
    }

    /// Tries what was refused again, as long as that helps: files may refer to each other in any order.
    async fn again(&mut self, mut refused: Vec<Refused>) -> Result<()> {
        let mut before = usize::MAX;
        while !refused.is_empty() && refused.len() < before && self.stopped.is_none() {
            before = refused.len();
            self.refused_bytes = 0;
            let (sender, receiver) = mpsc::channel(before);
            for Refused { piece, .. } in refused {
                // Its bytes and its file were counted when it was refused.
                sender.send(Piece { bytes: 0, ends_file: false, ..piece }).await?;
            }
            drop(sender);
            refused = self.write(receiver).await;
        }
        self.give_up(refused);
        Ok(())
    }

    fn give_up(&mut self, refused: Vec<Refused>) {
        for Refused { piece, text, counts } in refused {
            self.summary.add(counts);
            self.fail(piece.name, text);
        }
    }

    /// Tells an error at once, and keeps it.
    fn fail(&mut self, place: String, text: String) {
        self.progress.error(&place, &text);
        self.summary.fail(place, text);
    }

    fn finish(mut self) -> Result<Summary> {
        self.progress.finish();
        self.summary.took = self.began.elapsed();
        if let Some(why) = self.stopped {
            bail!("stopped: {why}; start again to load the rest\n{}", self.summary);
        }
        Ok(self.summary)
    }
}
