//! Whether what lies on a target is what was written there, and can be read.

use std::fs;
use std::io;

use tokio_postgres::NoTls;

use super::key::Key;
use super::restore::reach;
use super::seal;
use super::target::{Archive, Base, Target};
use super::wal;
use crate::connection::Connection;
use crate::error::{Error, IoContext, Result};

/// A base backup on a target.
#[derive(Debug)]
pub struct BaseBackup {
    /// The name of its archive.
    pub archive: String,
    /// What it says of itself.
    pub base: Base,
    /// It can be restored to every instant up to this one, in seconds since 1970.
    pub until: i64,
}

/// All base backups of all archives.
///
/// # Errors
///
/// When the target cannot be read.
pub fn list(target: &Target) -> Result<Vec<BaseBackup>> {
    let mut found = Vec::new();
    for archive in target.archives()? {
        let pieces = archive.wal()?;
        for base in archive.bases()? {
            let until = reach(&base, &pieces).map_or(base.finished_at, |piece| piece.at);
            found.push(BaseBackup { archive: archive.id.clone(), base, until });
        }
    }
    Ok(found)
}

/// Reads everything: compares checksums and, with a key, decrypts and unpacks it to nowhere.
///
/// # Errors
///
/// At the first file that is damaged or missing.
pub fn verify(target: &Target, key: Option<&Key>) -> Result<Vec<BaseBackup>> {
    for archive in target.archives()? {
        for piece in &archive.wal()? {
            let path = archive.path_of_piece(piece);
            let sealed = fs::read(&path).doing("read", &path)?;
            if wal::hash(&sealed) != piece.hash {
                return Err(Error::backup(format!("{} is not what was written there", path.display())));
            }
            if let Some(key) = key {
                let bytes = io::copy(&mut seal::open(key, sealed.as_slice())?, &mut io::sink());
                if bytes.doing("unpack", &path)? != piece.end - piece.start {
                    return Err(Error::backup(format!("{} is not as long as it says", path.display())));
                }
            }
        }
        for base in archive.bases()? {
            check(&archive, &base, key)?;
        }
    }
    list(target)
}

fn check(archive: &Archive, base: &Base, key: Option<&Key>) -> Result<()> {
    let dir = archive.path_of(base);
    for part in &base.parts {
        seal::check(&dir, part)?;
    }
    let Some(key) = key else { return Ok(()) };
    let files = base.parts.iter().map(|part| dir.join(&part.name)).collect();
    let mut tar = tar::Archive::new(seal::open(key, seal::joined(files))?);
    let mut bytes = 0;
    let mut unpack = || {
        for entry in tar.entries()? {
            let mut entry = entry?;
            if entry.path()?.as_os_str() != "backup_label" {
                bytes += io::copy(&mut entry, &mut io::sink())?;
            }
        }
        io::Result::Ok(())
    };
    unpack().doing("unpack", &dir)?;
    match bytes == base.bytes {
        true => Ok(()),
        false => {
            Err(Error::backup(format!("{} holds {bytes} bytes instead of {}", dir.display(), base.bytes)))
        }
    }
}

/// Reads every row and every large value of the database, so that the checksum of each of their pages is compared.
///
/// # Errors
///
/// When a page is damaged, or the database does not answer.
pub async fn read_everything(connection: &Connection) -> Result<u64> {
    let (client, driver) =
        connection.superuser().database(&connection.dbname).config().connect(NoTls).await?;
    tokio::spawn(driver);
    let tables = "select c.oid::regclass::text from pg_class c where c.relkind in ('r', 't', 'm') order by 1";
    let mut rows = 0;
    for table in client.query(tables, &[]).await? {
        let count = format!("select count(*) from {}", table.get::<_, String>(0));
        rows += client.query_one(&count, &[]).await?.get::<_, i64>(0).cast_unsigned();
    }
    Ok(rows)
}
