//! A control group for all that one job starts, where the system allows one.
//!
//! A supervisor finds what descends from it, in whatever session that is. What it cannot do is
//! end anything once it was killed itself: its command then gets SIGTERM from the kernel, and may
//! ignore it. Nothing leaves a control group on its own, so who comes later finds the rest of the
//! job by the group's name, which is that of its supervisor, and nobody else's.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, Pid, access};

use super::process_tree::processes;
use crate::process;

/// Set by systemd on a control group that it leaves to its processes (`Delegate=yes`).
const DELEGATED: [&str; 2] = ["trusted.delegate", "user.delegate"];

/// The control group of the job that this process supervises.
#[derive(Debug)]
pub(super) struct JobGroup {
    path: PathBuf,
}

impl JobGroup {
    /// Makes the group of this process's job, or none where that is not allowed.
    ///
    /// It is a part of the group that this process is in, so that whoever limits or ends that
    /// one reaches the job as well. Without a right to it, for example in a unit that a service
    /// manager has kept for itself, there is none, and jobs go without.
    pub(super) fn make() -> Option<Self> {
        let parent = own_group()?;
        let this = std::process::id();
        let start = process::start_of(i32::try_from(this).ok()?).ok()??;
        let path = parent.join(name(this, start));
        match fs::create_dir(&path) {
            Ok(()) => Some(Self { path }),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "the job has no control group");
                None
            }
        }
    }

    /// Takes a process into the group, and with it all that it starts from then on.
    pub(super) fn admit(&self, pid: i32) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
    }

    /// The file whose writer enters the group by writing `0`.
    pub(super) fn entrance(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Kills all of the group at once, so that nothing can fork away.
    pub(super) fn kill(&self) {
        // Kernels before 5.14 do not have the file; the supervisor then kills one by one.
        if let Err(error) = fs::write(self.path.join("cgroup.kill"), "1")
            && error.kind() != ErrorKind::NotFound
        {
            tracing::error!(path = %self.path.display(), %error, "cannot end a control group");
        }
    }
}

impl Drop for JobGroup {
    fn drop(&mut self) {
        // What the kernel could not end yet keeps the group, and its name finds it.
        if let Err(error) = fs::remove_dir(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "a control group stays");
        }
    }
}

/// What is left of the job of a supervisor that is dead: the living processes of its group.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn leftovers(supervisor: i32, start: u64) -> io::Result<Vec<i32>> {
    Ok(members(supervisor, start)?.0)
}

/// Kills what [`leftovers`] finds, and removes the group once nothing is in it. Whether all of it
/// is gone; who is told otherwise asks again.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn end_leftovers(supervisor: i32, start: u64) -> io::Result<bool> {
    let (members, group) = members(supervisor, start)?;
    for pid in members {
        // It may have ended by itself.
        if let Err(error) = kill(Pid::from_raw(pid), Signal::SIGKILL) {
            tracing::debug!(pid, %error, "cannot kill what is left of a job");
        }
    }
    let group = group.or_else(|| {
        let supervisor = u32::try_from(supervisor).ok()?;
        Some(own_group()?.join(name(supervisor, start)))
    });
    let Some(group) = group else { return Ok(true) };
    Ok(match fs::remove_dir(&group) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    })
}

/// The living processes of a group, wherever it is, and its directory if that can be told.
fn members(supervisor: i32, start: u64) -> io::Result<(Vec<i32>, Option<PathBuf>)> {
    let Ok(supervisor) = u32::try_from(supervisor) else {
        return Ok((Vec::new(), None));
    };
    let wanted = name(supervisor, start);
    let (mut pids, mut group) = (Vec::new(), None);
    for pid in processes()? {
        // A process that has ended since is none any more.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else {
            continue;
        };
        let Some(path) = unified(&text).filter(|path| path.ends_with(&wanted)) else {
            continue;
        };
        // A zombie runs nothing, and is gone when its parent has looked.
        if process::start_of(pid)?.is_some() {
            pids.push(pid);
        }
        group = mount().map(|mount| mount.join(path.trim_start_matches('/')));
    }
    Ok((pids, group))
}

/// No other process of this boot has both numbers.
fn name(supervisor: u32, start: u64) -> String {
    format!("pressluft-job-{supervisor}-{start}")
}

/// The directory of the group that this process is in, if groups may be made in it.
fn own_group() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let relative = unified(&text)?;
    let group = mount()?.join(relative.trim_start_matches('/'));
    // At the root of what this process sees there is no service manager whose group it is.
    let allowed = relative == "/" || is_delegated(&group);
    let writable = access(&group, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    (allowed && writable).then_some(group)
}

fn is_delegated(group: &Path) -> bool {
    DELEGATED.iter().any(|name| {
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(group, *name, &mut value);
        length.is_ok_and(|length| value.get(..length) == Some(b"1"))
    })
}

/// The path in the unified hierarchy, out of `/proc/PID/cgroup`.
fn unified(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Where the unified hierarchy is mounted: alone, or beside those of before.
fn mount() -> Option<PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| {
            fs::File::open(path)
                .ok()
                .and_then(|directory| fstatfs(directory.as_fd()).ok())
                .is_some_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_among_the_others() {
        let text = "9:name=systemd:/a\n1:cpu:/b\n0::/system.slice/pressluft.service\n";
        assert_eq!(unified(text), Some("/system.slice/pressluft.service"));
        assert_eq!(unified("1:cpu:/b\n"), None);
    }

    #[test]
    fn a_group_is_named_after_one_process_of_one_boot() {
        assert_eq!(name(7, 42), "pressluft-job-7-42");
        assert!(!name(7, 42).ends_with(&name(7, 2)));
    }

    #[test]
    fn nothing_is_left_of_a_supervisor_that_never_was() {
        assert_eq!(
            leftovers(7, u64::MAX).expect("/proc is there"),
            [] as [i32; 0]
        );
        assert!(end_leftovers(7, u64::MAX).expect("nothing to do"));
    }
}
