//! Files of a backup: compressed (zstd), then encrypted (age), hashed as they are written, flushed to disk.
//!
//! The formats are those of the tools with these names: `cat base.tar.zst.age.* | age -d -i KEY | zstd -d | tar -x`.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::key::{Key, Recipients};
use crate::error::{Error, IoContext, Result};

/// The longest file on a target: FAT has no longer ones than 4 GB.
pub(super) const PART_BYTES_MAX: u64 = 1 << 30;

const LEVEL: i32 = 3;

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// Compresses and encrypts into `W`.
pub(super) struct Sealer<W: Write>(zstd::Encoder<'static, age::stream::StreamWriter<W>>);

impl<W: Write> Sealer<W> {
    pub(super) fn new(recipients: &Recipients, out: W) -> io::Result<Sealer<W>> {
        let encryptor = age::Encryptor::with_recipients(recipients.each()).map_err(io::Error::other)?;
        Ok(Sealer(zstd::Encoder::new(encryptor.wrap_output(out)?, LEVEL)?))
    }

    /// Writes the end, without which what was written cannot be read.
    pub(super) fn finish(self) -> io::Result<W> {
        self.0.finish()?.finish()
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What was sealed, in plain. Fails when no key fits; reading fails where a byte was changed or the end is missing.
pub(super) fn open(key: &Key, sealed: impl Read) -> Result<impl Read> {
    let decrypted =
        age::Decryptor::new(sealed).and_then(|found| found.decrypt(key.each())).map_err(|why| {
            Error::backup(match why {
                age::DecryptError::NoMatchingKeys => "the key file does not fit this backup".to_owned(),
                other => format!("the backup cannot be decrypted: {other}"),
            })
        })?;
    zstd::Decoder::new(decrypted)
        .map_err(|error| Error::backup(format!("the backup cannot be read: {error}")))
}

/// Writes numbered files of at most `part_bytes_max`.
pub(super) struct Parts {
    stem: PathBuf,
    part_bytes_max: u64,
    current: Option<(File, Part, Sha256)>,
    done: Vec<Part>,
}

impl Parts {
    pub(super) fn new(stem: PathBuf, part_bytes_max: u64) -> Parts {
        Parts { stem, part_bytes_max, current: None, done: Vec::new() }
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<Part>> {
        self.close()?;
        Ok(self.done)
    }

    fn close(&mut self) -> io::Result<()> {
        if let Some((file, mut part, hash)) = self.current.take() {
            file.sync_all()?;
            part.sha256 = hexadecimal(&hash.finalize());
            self.done.push(part);
        }
        Ok(())
    }

    fn next(&mut self) -> io::Result<()> {
        self.close()?;
        let stem = self.stem.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = format!("{stem}.{:04}", self.done.len());
        let file = File::create_new(self.stem.with_file_name(&name))?;
        self.current = Some((file, Part { name, bytes: 0, sha256: String::new() }, Sha256::new()));
        Ok(())
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.current.as_ref().is_none_or(|(_, part, _)| part.bytes >= self.part_bytes_max) {
            self.next()?;
        }
        let Some((file, part, hash)) = &mut self.current else { return Ok(0) };
        let room = usize::try_from(self.part_bytes_max - part.bytes).unwrap_or(usize::MAX);
        let written = file.write(bytes.get(..room).unwrap_or(bytes))?;
        hash.update(bytes.get(..written).unwrap_or_default());
        part.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), |(file, ..)| file.flush())
    }
}

/// The bytes of several files, one after the other.
pub(super) fn joined(files: Vec<PathBuf>) -> impl Read {
    struct Joined {
        files: std::vec::IntoIter<PathBuf>,
        current: Option<BufReader<File>>,
    }
    impl Read for Joined {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            loop {
                if let Some(current) = &mut self.current {
                    let read = current.read(out)?;
                    if read > 0 || out.is_empty() {
                        return Ok(read);
                    }
                }
                match self.files.next() {
                    Some(path) => self.current = Some(BufReader::new(File::open(path)?)),
                    None => return Ok(0),
                }
            }
        }
    }
    Joined { files: files.into_iter(), current: None }
}

/// Whether the part is there as it was written; reads all of it.
pub(super) fn check(dir: &Path, part: &Part) -> Result<()> {
    let path = dir.join(&part.name);
    let mut file = File::open(&path).doing("open", &path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer).doing("read", &path)?;
        if read == 0 {
            break;
        }
        hash.update(buffer.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
    if bytes != part.bytes || hexadecimal(&hash.finalize()) != part.sha256 {
        return Err(Error::backup(format!("{} is not what was written there", path.display())));
    }
    Ok(())
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_sealed_in_parts_is_opened_whole_and_damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let public = Key::make(&dir.path().join("key"), &[]).unwrap();
        let other = Key::make(&dir.path().join("other"), &[]).unwrap();
        let recipients = Recipients::parse([public.as_str()]).unwrap();
        let mut noise = 1u64;
        let text: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (noise >> 56) as u8
        })
        .take(300_000)
        .collect();
        let mut sealer = Sealer::new(&recipients, Parts::new(dir.path().join("x.zst.age"), 100_000)).unwrap();
        sealer.write_all(&text).unwrap();
        let parts = sealer.finish().unwrap().finish().unwrap();
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|part| part.bytes <= 100_000 && check(dir.path(), part).is_ok()));
        let files = || parts.iter().map(|part| dir.path().join(&part.name)).collect::<Vec<_>>();
        let plain = |key: &str| -> std::result::Result<Vec<u8>, String> {
            let key = Key::read(&dir.path().join(key)).unwrap();
            let mut plain = Vec::new();
            let mut reader = open(&key, joined(files())).map_err(|error| error.to_string())?;
            reader.read_to_end(&mut plain).map_err(|error| error.to_string())?;
            Ok(plain)
        };
        assert!(plain("key").unwrap() == text);
        assert!(plain("other").unwrap_err().contains("does not fit"), "{other}");
        let last = files().pop().unwrap();
        let sealed = fs::read(&last).unwrap();
        fs::write(&last, &sealed[..sealed.len() - 10]).unwrap();
        assert!(plain("key").is_err(), "cut off");
        assert!(check(dir.path(), parts.last().unwrap()).is_err());
        let mut changed = sealed.clone();
        changed[100] ^= 1;
        fs::write(&last, &changed).unwrap();
        assert!(plain("key").is_err(), "one bit");
        assert!(check(dir.path(), parts.last().unwrap()).is_err());
    }
}
