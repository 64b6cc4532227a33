//! Our playbooks, roles, templates and collection: carried in the binary, unpacked once per
//! version into the state directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use include_dir::{Dir, File, include_dir};

use super::private;

static CONTENT: Dir<'static> = include_dir!("$OUT_DIR/ansible");

/// The pinned requirements of the virtual environment.
#[must_use]
pub fn requirements() -> &'static str {
    CONTENT
        .get_file("requirements.txt")
        .and_then(File::contents_utf8)
        .unwrap_or_default()
}

/// The names of the playbooks in the binary, sorted.
#[must_use]
pub fn playbooks() -> Vec<String> {
    let mut names: Vec<String> = CONTENT
        .get_dir("playbooks")
        .into_iter()
        .flat_map(Dir::files)
        .filter_map(|file| Some(file.path().file_name()?.to_str()?.to_owned()))
        .filter(|name| name.ends_with(".yml"))
        .collect();
    names.sort();
    names
}

/// A digest of every path and content, 32 hexadecimal characters.
#[must_use]
pub fn digest() -> String {
    let mut files = Vec::new();
    collect(&CONTENT, &mut files);
    files.sort_by_key(|file| file.path());
    let mut hasher = blake3::Hasher::new();
    for file in files {
        for part in [file.path().as_os_str().as_encoded_bytes(), file.contents()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

fn collect(dir: &'static Dir<'static>, files: &mut Vec<&'static File<'static>>) {
    files.extend(dir.files());
    dir.dirs().for_each(|inner| collect(inner, files));
}

/// The directory `<state>/ansible/<digest>`, written now if it is not there yet.
///
/// The directory appears in one rename, so it is complete if it exists, and of two processes
/// that unpack at once the second finds the first one's.
///
/// # Errors
/// Those of the file system.
pub fn unpack(state_dir: &Path) -> io::Result<PathBuf> {
    let parent = state_dir.join("ansible");
    let target = parent.join(digest());
    if target.is_dir() {
        return Ok(target);
    }
    private::make_dir(&parent)?;
    let temporary = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(&parent)?;
    let mut files = Vec::new();
    collect(&CONTENT, &mut files);
    for file in files {
        let path = temporary.path().join(file.path());
        if let Some(parent) = path.parent() {
            private::make_dir(parent)?;
        }
        // Read-only: what runs is what the binary holds. Python's caches go beside them.
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(&path)?
            .write_all(file.contents())?;
    }
    // After a power failure a complete directory must not hold empty files.
    nix::unistd::syncfs(fs::File::open(temporary.path())?)?;
    match fs::rename(temporary.path(), &target) {
        Ok(()) => {
            // It has another name now, so there is nothing left to clean up.
            let _gone = temporary.keep();
            Ok(target)
        }
        Err(_) if target.is_dir() => Ok(target),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn many_at_once_unpack_one_complete_directory() {
        let state = tempfile::tempdir().expect("a directory");
        let paths: Vec<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| unpack(state.path()).expect("unpacked")))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        assert!(paths.iter().all(|path| *path == paths[0]));
        let names: Vec<_> = fs::read_dir(state.path().join("ansible"))
            .expect("there")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let file = paths[0].join("requirements.txt");
        assert_eq!(fs::read_to_string(&file).expect("a text"), requirements());
        let mode = fs::metadata(&file).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o444);
        assert!(requirements().contains("ansible-core=="));
    }

    #[test]
    fn what_only_developers_need_is_left_out() {
        let mut files = Vec::new();
        collect(&CONTENT, &mut files);
        let unwanted = |path: &str| {
            path.contains("tests/") || path.contains("__pycache__") || path.contains("-dev.txt")
        };
        for file in files {
            assert!(
                !unwanted(&file.path().to_string_lossy()),
                "{}",
                file.path().display()
            );
        }
    }
}
