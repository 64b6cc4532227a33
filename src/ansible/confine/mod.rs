//! What the programs of one job can reach, whatever runs in them: files, by Landlock; system calls, by a filter; and
//! other processes, by a user of their own.
//!
//! What a node says is read by an allow-list before it means anything. This is for the day on which that has a hole:
//! then code of the node's choice runs where Ansible runs, and finds nothing there.

mod calls;
mod reach;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub(super) use calls::restrict_calls;
pub(super) use reach::{Level, Reach, level};

/// The first of the users that plays have as root: this and the id of the play's process. Nothing else has them: the
/// range is left alone by distributions, container managers and `systemd`.
pub(super) const FIRST_USER: u32 = 1_900_000_000;
/// The largest id that a process can have on Linux.
const LARGEST_PROCESS: u32 = 1 << 22;

/// What a play is confined by. Made before the play is started, and entered by the play itself.
#[derive(Debug)]
pub(super) struct Confinement {
    /// None where the kernel has no Landlock.
    pub(super) ruleset: Option<OwnedFd>,
    /// The filter of system calls, as the kernel reads it; empty on a machine that it is not known for.
    pub(super) calls: Vec<u8>,
    /// Whether the play becomes a user of its own.
    pub(super) own_user: bool,
}

impl Confinement {
    /// The confinement of a play that may read `reach`.
    ///
    /// # Errors
    /// When the kernel refuses what it should know.
    pub(super) fn of_play(reach: &Reach) -> io::Result<Self> {
        let ruleset = reach.descriptor()?;
        let own_user = ruleset.is_some() && has_own_users();
        let refuses_signals = !own_user && level() < Level::Signals;
        Ok(Self {
            own_user,
            calls: calls::program(&calls::of_plays(refuses_signals))?,
            ruleset,
        })
    }
}

/// Confines this thread to what it has open: no file, no program, no socket and no other process. As far as the kernel
/// can.
///
/// # Errors
/// When the kernel refuses what it should know.
pub fn confine_to_nothing() -> io::Result<()> {
    calls::restrict(&calls::of_plays(true))?;
    Reach::default().enter()
}

/// Whether plays of this process run as users of their own: it is root, and may be any user.
pub(super) fn has_own_users() -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    nix::unistd::geteuid().is_root()
        && is_mapped(&read("/proc/self/uid_map"), FIRST_USER, LARGEST_PROCESS)
        && has_rights(&read("/proc/self/status"))
}

/// Whether a process has what it takes to become somebody else who can read what it can.
fn has_rights(status: &str) -> bool {
    const CHOWN: u64 = 1 << 0;
    const DAC_READ_SEARCH: u64 = 1 << 2;
    const SETGID: u64 = 1 << 6;
    const SETUID: u64 = 1 << 7;
    const SETPCAP: u64 = 1 << 8;
    const NEEDED: u64 = CHOWN | DAC_READ_SEARCH | SETGID | SETUID | SETPCAP;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    effective.is_some_and(|effective| effective & NEEDED == NEEDED)
}

/// Whether `count` users from `first` on exist in a user namespace with this map.
fn is_mapped(map: &str, first: u32, count: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line
            .split_ascii_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        matches!(numbers[..], [inside, _, length]
            if inside <= u64::from(first) && u64::from(first) + u64::from(count) < inside + length)
    })
}

/// Where Python keeps what an environment in `venv` does not have of its own.
///
/// # Errors
/// When the environment cannot be read, or that is above `private`, which nothing of it may be.
pub(super) fn python_home(venv: &Path, private: &Path) -> io::Result<PathBuf> {
    let text = fs::read_to_string(venv.join("pyvenv.cfg"))?;
    let home = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "home").then(|| PathBuf::from(value.trim()))
    });
    let home = home.ok_or_else(|| io::Error::other("`pyvenv.cfg` does not say where Python is"))?;
    // `/bin` is a link to `/usr/bin` on merged systems, and what is above it is all there is.
    let home = fs::canonicalize(home)?;
    let home = home.parent().unwrap_or(Path::new("/"));
    if fs::canonicalize(private)?.starts_with(home) {
        let (home, private) = (home.display(), private.display());
        return Err(io::Error::other(format!(
            "what runs for a node would read `{private}`, which lies below Python's `{home}`; move one of them"
        )));
    }
    Ok(home.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_s_home_is_never_all_there_is() {
        let place = tempfile::tempdir().expect("a directory");
        let (venv, private) = (place.path().join("venv"), place.path().join("state"));
        for path in [&venv, &private, &place.path().join("bin")] {
            fs::create_dir(path).expect("made");
        }
        let home = |text: &str| {
            fs::write(venv.join("pyvenv.cfg"), text).expect("written");
            python_home(&venv, &private)
        };
        // On a merged system a link; elsewhere a directory of its own, below everything.
        let bin = home("home = /bin\n");
        assert!(bin.map_or(true, |home| home == Path::new("/usr")));
        home(&format!("home = {}/bin\n", place.path().display())).expect_err("above the state");
        home("version = 3.11\n").expect_err("no home");
    }

    #[test]
    fn users_are_there_where_the_map_has_them() {
        let whole = "         0          0 4294967295\n";
        assert!(is_mapped(whole, FIRST_USER, LARGEST_PROCESS));
        // A container of its own users has 65,536 of them.
        assert!(!is_mapped("0 100000 65536\n", FIRST_USER, LARGEST_PROCESS));
        assert!(!is_mapped("", FIRST_USER, LARGEST_PROCESS));
        assert!(has_rights("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        // A service that is root by name alone.
        assert!(!has_rights("CapEff:\t0000000000000000\n") && !has_rights(""));
    }
}
