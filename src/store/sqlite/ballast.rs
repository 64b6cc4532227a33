//! Room that is held back: a file beside the database, given up when the disk is full, so that
//! what runs can still record how it ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::super::Store;
use super::open::beside;

/// As much as the write-ahead log grows before it is carried into the database and begins anew
/// (4,000 pages of 4 KiB): with this much room any number of ends can be recorded one after
/// another, where the database itself does not grow. A job's end takes about 100 KiB.
pub const BALLAST: u64 = 16 * 1024 * 1024;

/// The file that holds room back.
#[derive(Clone, Debug)]
pub struct Ballast {
    path: PathBuf,
}

impl Store {
    /// The room that is held back for this database.
    #[must_use]
    pub fn ballast(&self) -> Ballast {
        Ballast::of(&self.path)
    }
}

impl Ballast {
    /// That of the database at this path.
    #[must_use]
    pub fn of(database: &Path) -> Self {
        Self {
            path: beside(database, ".ballast"),
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether all of it is there, in blocks and not only in length.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| is_whole(&file))
    }

    /// Bytes that are left for others.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn room(&self) -> io::Result<u64> {
        let directory = self
            .path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let space = statvfs(directory)?;
        Ok(space.blocks_available() * space.fragment_size())
    }

    /// Makes it where it is not whole, when as much again is left: it must not be what fills
    /// the disk.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`], and others of the file system. Then nothing of it is left.
    pub fn make(&self) -> io::Result<()> {
        if self.is_whole() {
            return Ok(());
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        // Another process may be making it just now.
        file.lock()?;
        let made = self.fill(&file);
        if made.is_err() {
            self.release();
        }
        made
    }

    fn fill(&self, mut file: &File) -> io::Result<()> {
        let found = file.metadata()?;
        if is_whole(&found) {
            return Ok(());
        }
        if self.room()? + found.blocks() * 512 < 2 * BALLAST {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Noise, because zeros are no blocks on a file system that compresses.
        let mut noise = blake3::Hasher::new()
            .update(&rand::random::<[u8; 32]>())
            .finalize_xof();
        let mut block = vec![0; 1024 * 1024];
        file.set_len(0)?;
        for _ in 0..BALLAST / block.len() as u64 {
            noise.fill(&mut block);
            file.write_all(&block)?;
        }
        file.sync_all()
    }

    /// Gives the room up; whether there was some.
    pub fn release(&self) -> bool {
        match fs::remove_file(&self.path) {
            Ok(()) => {
                tracing::warn!(path = %self.path.display(), "gave up the room that was held back");
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot give up the room that is held back");
                false
            }
        }
    }
}

fn is_whole(file: &fs::Metadata) -> bool {
    file.len() == BALLAST && file.blocks() * 512 >= BALLAST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_real_blocks_and_comes_and_goes() {
        let directory = tempfile::tempdir().expect("directory");
        let ballast = Ballast::of(&directory.path().join("state.db"));
        assert!(!ballast.is_whole() && !ballast.release());
        ballast.make().expect("there is room");
        assert!(ballast.is_whole());
        let made = fs::metadata(ballast.path()).expect("there");
        assert_eq!((made.len(), made.mode() & 0o777), (BALLAST, 0o600));
        ballast.make().expect("it is there already");
        assert_eq!(
            fs::metadata(ballast.path()).expect("there").ino(),
            made.ino()
        );
        assert!(ballast.release() && !ballast.is_whole());
        // One that a death cut off, and one that is only length.
        for length in [BALLAST / 3, BALLAST] {
            let file = File::create(ballast.path()).expect("made");
            file.set_len(length).expect("long");
            assert!(!ballast.is_whole());
            ballast.make().expect("there is room");
            assert!(ballast.is_whole());
        }
    }
}
