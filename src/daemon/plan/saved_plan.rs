//! A plan in a file: what `plan --out` writes and `apply FILE` reads.
//!
//! A line that names the format, the plan in compressed lines of JSON, and a digest of these lines.
//! They are written one by one, so that a plan of a large fleet takes no memory but its own.

mod lines;

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::super::error::DaemonError;
use super::prepared::Prepared;
use lines::{Line, Reader};

/// The first line of the file. Another form is refused rather than guessed at.
const FORMAT: &str = "pressluft-plan-3\n";

/// The last line: 64 hexadecimal digits.
const DIGEST: usize = 65;

/// The largest file that is read.
const LIMIT: u64 = 64 * 1024 * 1024;

/// The most that its lines may have. A plan of 41,000 jobs has a tenth of it.
const LINES_LIMIT: u64 = 512 * 1024 * 1024;

/// The most that one line may have: a job has the fields of two resources at most, and documents are smaller.
const LINE_LIMIT: usize = 8 * 1024 * 1024;

/// How much of the lines is hashed and compressed at once.
const PIECE: usize = 64 * 1024;

/// Lines are alike; more effort makes them little smaller.
const EFFORT: u32 = 1;

/// Writes the plan to `path`, readable for its owner only.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, prepared: &Prepared) -> Result<(), DaemonError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        if file.metadata()?.is_file() {
            // One that was there keeps its mode.
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        file.write_all(FORMAT.as_bytes())?;
        let lines = ZlibEncoder::new(BufWriter::new(&file), Compression::new(EFFORT));
        let mut lines = BufWriter::with_capacity(PIECE, Hashing::new(lines));
        lines::write(prepared, &mut lines)?;
        let lines = lines.into_inner().map_err(io::Error::from)?;
        let digest = lines.digest();
        lines.inner.finish()?.flush()?;
        writeln!(&file, "{digest}")?;
        file.sync_all()
    };
    write().map_err(|source| DaemonError::Write {
        path: path.display().to_string(),
        source,
    })
}

/// The digest of a plan: that of its lines.
///
/// # Errors
/// When the plan cannot be written as JSON.
pub(in crate::daemon) fn digest(prepared: &Prepared) -> Result<String, DaemonError> {
    let mut lines = BufWriter::with_capacity(PIECE, Hashing::new(io::sink()));
    let written = lines::write(prepared, &mut lines);
    let lines = written.and_then(|()| lines.into_inner().map_err(io::Error::from));
    Ok(lines.map_err(serde_json::Error::io)?.digest())
}

/// Reads a plan back.
///
/// # Errors
/// [`DaemonError::SavedPlan`] when the file is no saved plan of this version, or was changed.
pub fn load(path: &Path) -> Result<Prepared, DaemonError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes));
    let read = match read {
        Err(error) => Err(error.to_string()),
        Ok(_) => parse(&bytes, LINES_LIMIT),
    };
    read.map_err(|why| DaemonError::SavedPlan {
        path: path.display().to_string(),
        why,
    })
}

/// The plan in the content of a file, whose lines have at most `limit` bytes, or why there is none.
fn parse(bytes: &[u8], limit: u64) -> Result<Prepared, String> {
    if bytes.len() as u64 > LIMIT {
        return Err("it is too large".to_owned());
    }
    let Some(rest) = bytes.strip_prefix(FORMAT.as_bytes()) else {
        return Err("it is no saved plan of this version".to_owned());
    };
    let Some((packed, digest)) = rest.split_last_chunk::<DIGEST>() else {
        return Err("its end is missing".to_owned());
    };
    let damaged = |error: io::Error| format!("it is damaged ({error})");
    // All of it is looked at before any of it is taken for a plan.
    let mut lines = Hashing::new(io::sink());
    let mut unpacked = ZlibDecoder::new(packed).take(limit + 1);
    let length = io::copy(&mut unpacked, &mut lines).map_err(damaged)?;
    if length > limit {
        return Err("it is too large".to_owned());
    }
    let is_whole = unpacked.into_inner().into_inner().is_empty();
    if !is_whole || format!("{}\n", lines.digest()).as_bytes() != digest {
        return Err("it was changed after it was written".to_owned());
    }
    let mut reader = Reader::default();
    let mut lines = BufReader::new(ZlibDecoder::new(packed));
    let mut line = Vec::new();
    loop {
        line.clear();
        let bounded = &mut (&mut lines).take(LINE_LIMIT as u64 + 1);
        if bounded.read_until(b'\n', &mut line).map_err(damaged)? == 0 {
            return reader.finish();
        }
        if line.len() > LINE_LIMIT {
            return Err("it has a line that is too long".to_owned());
        }
        let line: Line = serde_json::from_slice(&line)
            .map_err(|error| format!("it is no saved plan of this version ({error})"))?;
        reader.take(line)?;
    }
}

/// Hashes what is written.
struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: blake3::Hasher::new(),
        }
    }

    fn digest(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests;
