//! Which processes there are, and which descend from one. Ansible's workers are in sessions of
//! their own, so neither its process group nor its session reaches them.

use std::collections::HashMap;
use std::fs;
use std::io;

use nix::unistd::Pid;

/// Every living descendant of `root`, parents before children.
///
/// # Errors
/// When `/proc` cannot be read.
pub(super) fn descendants(root: Pid) -> io::Result<Vec<Pid>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in processes()? {
        // A process that has ended since is no descendant any more.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else {
            continue;
        };
        if let Some(parent) = living_parent(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![root.as_raw()];
    while let Some(pid) = next.pop() {
        let inner = children.remove(&pid).unwrap_or_default();
        found.extend(inner.iter().copied().map(Pid::from_raw));
        next.extend(inner);
    }
    Ok(found)
}

/// The ids of all processes that can be seen from here.
///
/// # Errors
/// When `/proc` cannot be read.
pub(super) fn processes() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(pids)
}

/// The parent in a line of `/proc/PID/stat`; none for a zombie. The name of the program is in
/// parentheses and may hold anything, so fields count from the last one.
fn living_parent(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    #[test]
    fn a_program_name_cannot_hide_the_parent() {
        assert_eq!(living_parent(b"7 (a) Z 1 (x) ) S 42 7 7"), Some(42));
        assert_eq!(living_parent(b"7 (sh) Z 42 7 7"), None);
        assert_eq!(living_parent(b"nonsense"), None);
    }

    #[test]
    fn grandchildren_in_other_sessions_are_found() {
        let mut child = process::command("sh")
            .args(["-c", "setsid sleep 30 & echo $!; wait"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        io::BufRead::read_line(&mut io::BufReader::new(stdout), &mut line).expect("a line");
        let sleeper = Pid::from_raw(line.trim().parse().expect("a pid"));
        let root = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        assert!(descendants(Pid::this()).expect("proc").contains(&root));
        assert!(descendants(root).expect("proc").contains(&sleeper));
        nix::sys::signal::kill(sleeper, nix::sys::signal::SIGKILL).expect("alive");
        child.wait().expect("ended");
    }
}
