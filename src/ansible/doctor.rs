//! What must be true of this machine before a job can run, checked one by one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde::Serialize;

use super::confine::{self, Confinement, Level, Reach};
use super::engine::Engine;
use super::invocation::Settings;
use super::venv::{self, Venv};
use super::{content, private, ssh};
use crate::process;

/// Below this much free space in the state directory a job may not be able to record its end.
const NEEDED_SPACE: u64 = 512 * 1024 * 1024;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    pub found: String,
    pub needed: String,
    /// How to mend it; none when it is fine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Check {
    /// A check that passed.
    #[must_use]
    pub fn passed(name: &'static str, found: impl Into<String>, needed: impl Into<String>) -> Self {
        Self {
            name,
            ok: true,
            found: found.into(),
            needed: needed.into(),
            mend: None,
        }
    }

    /// A check that failed, and how to mend it.
    #[must_use]
    pub fn failed(
        name: &'static str,
        found: impl Into<String>,
        needed: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            name,
            ok: false,
            found: found.into(),
            needed: needed.into(),
            mend: Some(mend.into()),
        }
    }
}

/// All checks of what running Ansible needs, in the order in which to mend them.
#[must_use]
pub fn checks(settings: &Settings) -> Vec<Check> {
    vec![
        state_dir(&settings.state_dir),
        disk_space(&settings.state_dir),
        python(),
        environment(settings),
        engine(settings),
        confinement(settings),
        playbooks(&settings.state_dir),
        program(
            "ssh",
            &["-V"],
            "an OpenSSH client 8.9 or newer",
            ssh_is_new_enough,
        ),
        program("ssh-keygen", &["-?"], "the OpenSSH key generator", |_| true),
        own_key(&settings.state_dir),
        program(
            "git",
            &["--version"],
            "git, to commit to the fleet repo",
            |_| true,
        ),
        locale(),
    ]
}

/// Makes the state directory with mode 0700, or takes the rights of others away.
///
/// # Errors
/// Those of the file system.
pub fn make_state_dir(path: &Path) -> std::io::Result<()> {
    private::make_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

fn state_dir(path: &Path) -> Check {
    const NAME: &str = "state directory";
    let needed = "a directory of this user that nobody else can read";
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            let mend = format!(
                "`pressluft doctor --fix`, or `install -d -m 0700 {}`",
                path.display()
            );
            return Check::failed(NAME, format!("{}: {error}", path.display()), needed, mend);
        }
    };
    let mode = metadata.permissions().mode() & 0o7777;
    let found = format!(
        "{}, mode {mode:04o}, owner {}",
        path.display(),
        metadata.uid()
    );
    let user = nix::unistd::geteuid().as_raw();
    if metadata.uid() != user {
        let mend = format!(
            "run as user {}, or `chown {user} {}`",
            metadata.uid(),
            path.display()
        );
        Check::failed(NAME, found, needed, mend)
    } else if mode & 0o077 != 0 {
        Check::failed(
            NAME,
            found,
            needed,
            format!("`chmod 0700 {}`", path.display()),
        )
    } else if !metadata.is_dir() {
        Check::failed(
            NAME,
            found,
            needed,
            "set `PRESSLUFT_STATE_DIR` to a directory",
        )
    } else {
        Check::passed(NAME, found, needed)
    }
}

fn disk_space(path: &Path) -> Check {
    const NAME: &str = "disk space";
    let needed = format!("{} MiB free", NEEDED_SPACE >> 20);
    // Before the first run the directory is not there, but its parent says the same.
    let existing = path
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    match nix::sys::statvfs::statvfs(existing) {
        Ok(space) => {
            let free = space.blocks_available() * space.fragment_size();
            let found = format!("{} MiB free", free >> 20);
            if free >= NEEDED_SPACE {
                Check::passed(NAME, found, needed)
            } else {
                let mend = format!("make room on the file system of {}", existing.display());
                Check::failed(NAME, found, needed, mend)
            }
        }
        Err(error) => Check::failed(NAME, error.to_string(), needed, "check the file system"),
    }
}

fn python() -> Check {
    const NAME: &str = "python";
    let needed = "python3 3.10 or newer, with venv";
    let install = "`apt-get install python3 python3-venv`";
    match venv::system_python() {
        Ok(python) => {
            let venv = if python.has_venv {
                "with venv"
            } else {
                "without venv"
            };
            let found = format!("{} {venv}", python.version);
            if python.is_new_enough() && python.has_venv {
                Check::passed(NAME, found, needed)
            } else {
                Check::failed(NAME, found, needed, install)
            }
        }
        Err(error) => Check::failed(NAME, error.to_string(), needed, install),
    }
}

fn environment(settings: &Settings) -> Check {
    const NAME: &str = "ansible";
    let pins: Vec<&str> = venv::pinned_versions().collect();
    let needed = format!("ansible-core {}", pins.join(" or "));
    let mend = if settings.venv.is_some() {
        "install that version there, or unset `PRESSLUFT_ANSIBLE_VENV`"
    } else {
        "`pressluft doctor --fix`"
    };
    match Venv::find(&settings.state_dir, settings.venv.as_deref()) {
        Ok(venv) => {
            let found = format!(
                "ansible-core {} in {}",
                venv.ansible_version,
                venv.path().display()
            );
            if venv.is_pinned() {
                Check::passed(NAME, found, needed)
            } else {
                Check::failed(NAME, found, needed, mend)
            }
        }
        Err(error) => Check::failed(NAME, error.to_string(), needed, mend),
    }
}

fn engine(settings: &Settings) -> Check {
    const NAME: &str = "engine";
    let needed = "an Ansible that stays loaded; without one each job loads it anew";
    let begin = Instant::now();
    let result = match Engine::locate(settings.clone()) {
        Ok(engine) => engine.make_warm(),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => {
            let found = format!("ready after {} ms", begin.elapsed().as_millis());
            Check::passed(NAME, found, needed)
        }
        Err(why) => Check::failed(
            NAME,
            why,
            needed,
            "mend what is above, or choose `ansible: {engine: plain}` in `pressluft.yaml`",
        ),
    }
}

/// What holds the programs of one job away from everything that is not theirs.
fn confinement(settings: &Settings) -> Check {
    const NAME: &str = "confinement";
    let needed = "Landlock and system call filters, so that what runs for a node reaches nothing but its own job";
    let users = match (confine::has_own_users(), nix::unistd::geteuid().is_root()) {
        (true, _) => "each job as a user of its own",
        (false, true) => "every job as root, because this container has too few users",
        (false, false) => "every job as this user",
    };
    // Without an environment the check of that says so.
    if let Ok(venv) = Venv::find(&settings.state_dir, settings.venv.as_deref())
        && let Err(error) = confine::python_home(venv.path(), &settings.state_dir)
    {
        let mend =
            "make the Python environment with a Python of the system: `apt-get install python3`";
        return Check::failed(NAME, error.to_string(), needed, mend);
    }
    let files = match confine::level() {
        Level::Nothing => {
            return Check::failed(
                NAME,
                "no Landlock",
                needed,
                "use a kernel from 5.13 on that has `landlock` among its `lsm=`, as Debian 12 does",
            );
        }
        Level::Files | Level::WholeFiles => "Landlock for files",
        Level::Ports => "Landlock for files and connections",
        Level::Signals => "Landlock for files, connections and signals",
    };
    let calls = Confinement::of_play(&Reach::system());
    if !calls.is_ok_and(|confinement| !confinement.calls.is_empty()) {
        let found = format!("{files}, no filter of system calls for this machine");
        return Check::failed(
            NAME,
            found,
            needed,
            "run the control plane on x86-64 or arm64",
        );
    }
    Check::passed(
        NAME,
        format!("{files}, filtered system calls, {users}"),
        needed,
    )
}

fn playbooks(state_dir: &Path) -> Check {
    const NAME: &str = "playbooks";
    let needed = "those of this version, unpacked";
    match content::unpack(state_dir) {
        Ok(path) => Check::passed(
            NAME,
            format!("{} in {}", content::playbooks().len(), path.display()),
            needed,
        ),
        Err(error) => Check::failed(
            NAME,
            error.to_string(),
            needed,
            "make the state directory writable",
        ),
    }
}

fn own_key(state_dir: &Path) -> Check {
    const NAME: &str = "ssh key";
    let needed = "the control plane's own key, or `ssh.key` in every node";
    match ssh::public_key(state_dir) {
        Ok(key) => Check::passed(NAME, key, needed),
        Err(error) => {
            let mut found = error.to_string();
            if let Some(source) = std::error::Error::source(&error) {
                found = format!("{found}: {source}");
            }
            Check::failed(
                NAME,
                found,
                needed,
                "`pressluft ssh-key` once it can be written",
            )
        }
    }
}

fn program(
    name: &'static str,
    arguments: &[&str],
    needed: &str,
    accept: impl Fn(&str) -> bool,
) -> Check {
    let package = if name == "git" {
        "git"
    } else {
        "openssh-client"
    };
    let mend = format!("`apt-get install {package}`");
    let output = process::command(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let first = said.lines().next().unwrap_or_default().trim().to_owned();
            // `ssh-keygen` has no way to tell its version; it comes with `ssh`.
            let found = if name == "ssh-keygen" {
                "present".to_owned()
            } else {
                first
            };
            if accept(&found) {
                Check::passed(name, found, needed)
            } else {
                Check::failed(name, found, needed, mend)
            }
        }
        Err(error) => Check::failed(name, started(&error), needed, mend),
    }
}

/// Why a program could not be started.
fn started(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound {
        "not found".to_owned()
    } else {
        error.to_string()
    }
}

/// `OpenSSH_9.2p1 Debian-2, …`; 8.9 is the first whose agent keeps a key to one host.
fn ssh_is_new_enough(said: &str) -> bool {
    let Some(rest) = said.strip_prefix("OpenSSH_") else {
        return false;
    };
    let mut numbers = rest
        .split(|character: char| !character.is_ascii_digit())
        .map_while(|part| part.parse::<u32>().ok());
    numbers
        .next()
        .zip(numbers.next())
        .is_some_and(|version| version >= (8, 9))
}

fn locale() -> Check {
    const NAME: &str = "locale";
    let needed = "the locale C.UTF-8";
    let output = process::command("locale")
        .arg("charmap")
        .stdin(Stdio::null())
        .output();
    let found = match output {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) => started(&error),
    };
    if found == "UTF-8" {
        Check::passed(NAME, found, needed)
    } else {
        Check::failed(NAME, found, needed, "`apt-get install libc-bin`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_ssh_are_told_apart() {
        assert!(ssh_is_new_enough(
            "OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19"
        ));
        assert!(ssh_is_new_enough("OpenSSH_10.0p2"));
        assert!(!ssh_is_new_enough("OpenSSH_8.8p1"));
        assert!(!ssh_is_new_enough("Dropbear v2022.83"));
    }

    #[test]
    fn a_state_directory_that_others_can_read_fails() {
        let dir = tempfile::tempdir().expect("a directory");
        make_state_dir(dir.path()).expect("own directory");
        assert!(state_dir(dir.path()).ok);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("own file");
        let check = state_dir(dir.path());
        assert!(!check.ok && check.mend.expect("a way").contains("chmod 0700"));
        assert!(!state_dir(&dir.path().join("missing")).ok);
    }
}
