//! Who holds a job: a process, told apart from every other one, so that its death can be proven.

use std::fmt;
use std::fs;
use std::io;
use std::str::FromStr;

use crate::process::start_of;

/// One process of one boot of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerId {
    pub machine: String,
    pub boot: String,
    /// The PID namespace, in which alone the number means this process.
    pub namespace: String,
    pub pid: i32,
    /// The start time in clock ticks since boot; a later process with the same number has
    /// another one.
    pub start: u64,
}

/// What can be said of a process from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Alive,
    Dead,
    /// It belongs to another machine or container, where nobody can look from here.
    Elsewhere,
}

impl WorkerId {
    /// This process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn this() -> io::Result<Self> {
        Self::of(i32::try_from(std::process::id()).map_err(io::Error::other)?)
    }

    /// The process of this machine with the number `pid`.
    ///
    /// # Errors
    /// When it is not there, or `/proc` cannot be read.
    pub fn of(pid: i32) -> io::Result<Self> {
        Self::find(pid)?.ok_or_else(|| io::Error::other(format!("process {pid} is gone")))
    }

    /// The same, or none when it is not there.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn find(pid: i32) -> io::Result<Option<Self>> {
        let Some(start) = start_of(pid)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            machine: machine()?,
            boot: boot()?,
            namespace: namespace()?,
            pid,
            start,
        }))
    }

    /// Whether the process lives.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn life(&self) -> io::Result<Life> {
        if self.machine != machine()? {
            return Ok(Life::Elsewhere);
        }
        if self.boot != boot()? {
            return Ok(Life::Dead);
        }
        if self.namespace != namespace()? {
            return Ok(Life::Elsewhere);
        }
        Ok(if start_of(self.pid)? == Some(self.start) {
            Life::Alive
        } else {
            Life::Dead
        })
    }
}

impl WorkerId {
    /// Whether the process was started since this machine was, in this PID namespace.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn is_of_this_boot(&self) -> io::Result<bool> {
        Ok(self.machine == machine()? && self.boot == boot()? && self.namespace == namespace()?)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            machine,
            boot,
            namespace,
            pid,
            start,
        } = self;
        write!(f, "{machine}/{boot}/{namespace}/{pid}/{start}")
    }
}

impl FromStr for WorkerId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("`{text}` names no worker");
        let mut parts = text.split('/');
        let mut next = || parts.next().ok_or_else(error);
        Ok(Self {
            machine: next()?.to_owned(),
            boot: next()?.to_owned(),
            namespace: next()?.to_owned(),
            pid: next()?.parse().map_err(|_| error())?,
            start: next()?.parse().map_err(|_| error())?,
        })
    }
}

fn machine() -> io::Result<String> {
    match fs::read_to_string("/etc/machine-id") {
        Ok(id) if !id.trim().is_empty() => Ok(id.trim().chars().take(12).collect()),
        Ok(_) | Err(_) => {
            let name = nix::unistd::gethostname()?.to_string_lossy().into_owned();
            Ok(name.replace('/', "-"))
        }
    }
}

/// For example `pid:[4026531836]`.
fn namespace() -> io::Result<String> {
    Ok(fs::read_link("/proc/self/ns/pid")?
        .to_string_lossy()
        .into_owned())
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_its_predecessors_do_not() {
        let this = WorkerId::this().expect("/proc is there");
        assert_eq!(this.to_string().parse(), Ok(this.clone()));
        assert_eq!(this.life().expect("readable"), Life::Alive);
        let earlier = WorkerId {
            start: this.start - 1,
            ..this.clone()
        };
        assert_eq!(earlier.life().expect("readable"), Life::Dead);
        let before_boot = WorkerId {
            boot: "x".into(),
            ..this.clone()
        };
        assert_eq!(before_boot.life().expect("readable"), Life::Dead);
        let contained = WorkerId {
            namespace: "x".into(),
            ..this.clone()
        };
        assert_eq!(contained.life().expect("readable"), Life::Elsewhere);
        let other = WorkerId {
            machine: "x".into(),
            ..this
        };
        assert_eq!(other.life().expect("readable"), Life::Elsewhere);
    }
}
