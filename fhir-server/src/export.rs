//! `export`: all current resources as NDJSON, one file for each type, for other programs and for `load`.
//!
//! An export is no backup: it has neither history nor deletions, and is not encrypted:
//! its owner alone may read it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fhir_interactions::{AccessRequest, Cx, Interaction};
use fhir_model::{Error, Kind};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Writes a new directory: under another name until it is complete. What is returned is the number of resources.
///
/// # Errors
///
/// When there is something at `target`, when it cannot be written, and when the database does not answer.
pub(crate) async fn export(cx: &Cx, target: &Path, gzip: bool) -> Result<u64> {
    if target.symlink_metadata().is_ok() {
        anyhow::bail!("{} is there already: choose another name", target.display());
    }
    let mut name = target.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    // Nobody else on the machine reads what is in it.
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&partial)
        .with_context(|| format!("cannot create {}", partial.display()))?;
    let written = write(cx, &partial, gzip).await;
    if written.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    let written = written?;
    File::open(&partial).and_then(|dir| dir.sync_all()).context("cannot flush the export")?;
    fs::rename(&partial, target).with_context(|| format!("cannot rename {}", partial.display()))?;
    Ok(written)
}

async fn write(cx: &Cx, dir: &Path, gzip: bool) -> Result<u64> {
    let scope = cx.guard.scope(AccessRequest::own(&Interaction::SearchSystem)).await?;
    let (mut files, mut written): (BTreeMap<String, Lines>, u64) = (BTreeMap::new(), 0);
    let each = |version: fhir_store::Version| {
        let type_name = &*version.key.type_name;
        let mut add = || {
            if !files.contains_key(type_name) {
                files.insert(type_name.to_owned(), Lines::create(dir, type_name, gzip)?);
            }
            let body = version.body.as_deref().unwrap_or_default();
            files.get_mut(type_name).map_or(Ok(()), |lines| lines.add(body))
        };
        written += 1;
        add().map_err(|error| Error::new(Kind::Internal, format!("writing the export: {error}")))
    };
    cx.store.export(&scope, each).await?;
    for (type_name, lines) in files {
        lines.finish().with_context(|| format!("writing {type_name}"))?;
    }
    Ok(written)
}

/// One file, a resource on each line.
enum Lines {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Lines {
    fn create(dir: &Path, type_name: &str, gzip: bool) -> io::Result<Lines> {
        let suffix = if gzip { "ndjson.gz" } else { "ndjson" };
        let path = dir.join(format!("{type_name}.{suffix}"));
        let file = BufWriter::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?);
        Ok(if gzip { Lines::Gzip(GzEncoder::new(file, Compression::default())) } else { Lines::Plain(file) })
    }

    fn add(&mut self, body: &[u8]) -> io::Result<()> {
        // Bodies are kept as they were sent. Between tokens a line break is a space; within a string JSON has none.
        let mut line: Vec<u8> =
            body.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }).collect();
        line.push(b'\n');
        match self {
            Lines::Plain(file) => file.write_all(&line),
            Lines::Gzip(file) => file.write_all(&line),
        }
    }

    fn finish(self) -> io::Result<()> {
        let file = match self {
            Lines::Plain(file) => file,
            Lines::Gzip(file) => file.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}
