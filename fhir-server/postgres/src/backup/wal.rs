//! The archive of WAL: what was written since the last time is copied to the target, piece by piece.
//!
//! A replication slot keeps what was not copied yet. PostgreSQL bounds it (`max_slot_wal_keep_size`), so a target that
//! stays away costs the archive a gap, and with it a new base backup, but never the disk that the database lives on.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use super::base::{Facts, blocking, segment_name};
use super::clock::now;
use super::key::Recipients;
use super::seal::{self, Sealer};
use super::site::Site;
use super::state::{self, Position};
use super::target::{Archive, Piece, Target};
use crate::error::{Error, IoContext, Result};
use crate::free_space::bytes_free;

const SLOT: &str = "cari_backup";

/// With less room than this where the database lives, WAL no longer waits for a target.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Copies WAL to a target.
#[derive(Debug, Default)]
pub(super) struct Archiver {
    /// The target whose archive was found to end where we left it.
    continued: Option<String>,
}

impl Archiver {
    /// Copies everything that is on disk now. Afterwards what was committed before the call is in the archive.
    pub(super) async fn run(&mut self, site: &Site, target: &Target, recipients: &Recipients) -> Result<()> {
        let at = now();
        let client = site.connect().await?;
        let facts = Facts::read(&client).await?;
        state::write_cluster(&site.home, &facts.system, facts.timeline)?;
        let kept_from = slot(&client).await?;
        let mut position = self.position(site, target, kept_from)?;
        let archive = target.archive(&position.archive);
        while position.archived < facts.flushed {
            let start = position.archived;
            let segment = start / facts.segment_bytes;
            let end = facts.flushed.min((segment + 1) * facts.segment_bytes);
            let name = segment_name(facts.timeline, segment, facts.segment_bytes);
            let path = site.cluster.join("pg_wal").join(name);
            position.pending = end;
            remember(site, target, &position)?;
            let (archive, recipients) = (archive.clone(), recipients.clone());
            let offset = start % facts.segment_bytes;
            let copy = move || {
                copy(&path, offset, Piece { start, end, at, hash: String::new() }, &archive, &recipients)
            };
            blocking(copy).await?;
            position.archived = end;
            remember(site, target, &position)?;
            let upto = PgLsn::from(end);
            client.execute("select pg_replication_slot_advance($1::text::name, $2)", &[&SLOT, &upto]).await?;
        }
        position.wal_at = at;
        remember(site, target, &position)
    }

    /// Where to go on. A gap, or an archive that somebody else went on with, means to begin anew.
    fn position(&mut self, site: &Site, target: &Target, kept_from: u64) -> Result<Position> {
        let mut position = state::change(&site.home, &target.id, |position| position.clone())?;
        if !position.archive.is_empty() && self.continued.as_ref() != Some(&target.id) {
            let end = target.archive(&position.archive).wal()?.last().map(|piece| piece.end);
            if end.is_some_and(|end| end != position.archived && end != position.pending) {
                tracing::warn!(
                    "the archive {} was written to by another server: beginning a new one",
                    position.archive
                );
                position = Position::default();
            } else if let Some(end) = end {
                position.archived = end;
            }
        }
        if position.archive.is_empty() {
            position.archive = state::fresh_id();
        }
        if position.archived < kept_from {
            if position.archived > 0 {
                tracing::warn!("WAL did not reach the backup target in time: a new base backup is needed");
            }
            (position.archived, position.since) = (kept_from, kept_from);
        }
        self.continued = Some(target.id.clone());
        Ok(position)
    }
}

/// Base backups are remembered by others meanwhile: only what is ours is changed.
fn remember(site: &Site, target: &Target, ours: &Position) -> Result<()> {
    state::change(&site.home, &target.id, |position| {
        *position = Position { base_at: position.base_at, base_start: position.base_start, ..ours.clone() };
    })
}

/// Makes sure of the slot; what it returns is where the WAL it keeps begins.
async fn slot(client: &Client) -> Result<u64> {
    let found = "select restart_lsn, coalesce(wal_status = 'lost', true) from pg_replication_slots where slot_name = $1";
    if let Some(row) = client.query_opt(found, &[&SLOT]).await? {
        if let (Some(from), false) = (row.get::<_, Option<PgLsn>>(0), row.get(1)) {
            return Ok(from.into());
        }
        let_go(client).await?;
    }
    client.execute("select pg_create_physical_replication_slot($1::text::name, true)", &[&SLOT]).await?;
    let row = client.query_one(found, &[&SLOT]).await?;
    row.get::<_, Option<PgLsn>>(0)
        .map(u64::from)
        .ok_or_else(|| Error::backup("the new replication slot keeps no WAL"))
}

/// Drops the slot, so that WAL no longer waits for anybody.
pub(super) async fn let_go(client: &Client) -> Result<()> {
    let drop = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1";
    client.execute(drop, &[&SLOT]).await?;
    Ok(())
}

/// The bytes of WAL that wait for a target; lets them go where the disk gets full.
pub(super) async fn waiting(site: &Site) -> Result<u64> {
    let client = site.connect().await?;
    let behind = "select pg_wal_lsn_diff(pg_current_wal_flush_lsn(), restart_lsn)::int8 from pg_replication_slots \
                  where slot_name = $1";
    let Some(row) = client.query_opt(behind, &[&SLOT]).await? else { return Ok(0) };
    if bytes_free(&site.cluster)? < FREE_BYTES_MIN {
        tracing::error!("the database's disk is nearly full: WAL no longer waits for the backup target");
        let_go(&client).await?;
        return Ok(0);
    }
    Ok(row.get::<_, Option<i64>>(0).unwrap_or_default().cast_unsigned())
}

/// Copies one piece.
fn copy(
    segment: &Path,
    offset: u64,
    mut piece: Piece,
    archive: &Archive,
    recipients: &Recipients,
) -> Result<()> {
    let mut bytes = vec![0; usize::try_from(piece.end - piece.start).unwrap_or_default()];
    let mut file = File::open(segment).doing("open", segment)?;
    file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes)).doing("read", segment)?;
    let seal = || {
        let mut sealer = Sealer::new(recipients, Vec::new())?;
        sealer.write_all(&bytes)?;
        sealer.finish()
    };
    let sealed = seal().doing("compress", segment)?;
    piece.hash = hash(&sealed);
    archive.add(&piece, &sealed)
}

/// The part of a file's hash that stands in its name.
pub(super) fn hash(sealed: &[u8]) -> String {
    seal::hexadecimal(Sha256::digest(sealed).get(..8).unwrap_or_default())
}
