//! The Python environment that holds ansible-core: found at once, made by `doctor --fix`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::content;
use super::private;
use crate::process;

/// Written last; a directory without it is incomplete.
const MARKER: &str = "pressluft.json";

/// The oldest Python that a pinned ansible-core runs on.
pub const OLDEST_PYTHON: (u32, u32) = (3, 10);

/// A usable virtual environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Venv {
    path: PathBuf,
    /// The version of ansible-core in it, for example `2.19.14`.
    pub ansible_version: String,
}

/// There is no usable virtual environment, or it cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VenvError {
    #[error("no Python environment with ansible-core in `{}`; `pressluft doctor --fix` makes it", .0.display())]
    Missing(PathBuf),
    #[error("`{}` holds no ansible-core", .0.display())]
    NoAnsible(PathBuf),
    #[error("`python3` is {found}, and Pressluft needs 3.10 or newer")]
    OldPython { found: String },
    #[error("`{0}` is not there")]
    NotFound(String),
    #[error("cannot run `{command}`: {reason}")]
    Command { command: String, reason: String },
    #[error("cannot write `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
}

#[derive(Serialize, Deserialize)]
struct Marker {
    requirements: String,
    python: String,
    /// What `bin/python` leads to; an upgrade of the system's Python changes it.
    interpreter: PathBuf,
}

impl Venv {
    /// The environment to use: `configured`, or the one below the state directory that fits
    /// this version's requirements. It starts no process.
    ///
    /// # Errors
    /// [`VenvError::Missing`] or [`VenvError::NoAnsible`].
    pub fn find(state_dir: &Path, configured: Option<&Path>) -> Result<Self, VenvError> {
        if let Some(path) = configured {
            return Self::at(path).ok_or_else(|| VenvError::NoAnsible(path.to_owned()));
        }
        let parent = state_dir.join("venv");
        let missing = || VenvError::Missing(parent.clone());
        let mut paths: Vec<PathBuf> = fs::read_dir(&parent)
            .map_err(|_| missing())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_current(path))
            .collect();
        paths.sort();
        paths
            .iter()
            .rev()
            .find_map(|path| Self::at(path))
            .ok_or_else(missing)
    }

    fn at(path: &Path) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        if !path.join("bin/ansible-playbook").exists() {
            return None;
        }
        let libraries = fs::read_dir(path.join("lib")).ok()?;
        let ansible_version = libraries
            .filter_map(|library| fs::read_dir(library.ok()?.path().join("site-packages")).ok())
            .flatten()
            .find_map(|entry| {
                let name = entry.ok()?.file_name();
                let name = name.to_str()?.strip_prefix("ansible_core-")?;
                Some(name.strip_suffix(".dist-info")?.to_owned())
            })?;
        Some(Self {
            path,
            ansible_version,
        })
    }

    /// The directory of the environment.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The program `ansible-playbook`.
    #[must_use]
    pub fn playbook(&self) -> PathBuf {
        self.path.join("bin/ansible-playbook")
    }

    /// The program `python` that finds this ansible-core.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.path.join("bin/python")
    }

    /// Whether its ansible-core is one of the pinned versions.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        pinned_versions().any(|version| version == self.ansible_version)
    }

    /// Makes the environment below the state directory, unless a fitting one is there, and
    /// reports each step to `progress`. Of two processes one makes it and the other waits.
    ///
    /// # Errors
    /// [`VenvError`] with what the failed step printed.
    pub fn make(state_dir: &Path, progress: &mut dyn Write) -> Result<Self, VenvError> {
        let parent = state_dir.join("venv");
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| VenvError::Io { path, source }
        };
        private::make_dir(&parent).map_err(io_error(&parent))?;
        let parent = fs::canonicalize(&parent).map_err(io_error(&parent))?;
        let lock_path = parent.join(".lock");
        let lock = fs::File::create(&lock_path).map_err(io_error(&lock_path))?;
        lock.lock().map_err(io_error(&lock_path))?;
        if let Ok(venv) = Self::find(state_dir, None) {
            return Ok(venv);
        }
        let python = system_python()?;
        if !python.is_new_enough() {
            return Err(VenvError::OldPython {
                found: python.version,
            });
        }
        // The scripts in it hold its path, so it is made in its place; until the marker is
        // written nobody takes it for complete.
        let path = parent.join(format!(
            "{}-{}",
            &requirements_digest()[..12],
            python.version
        ));
        if path.exists() {
            fs::remove_dir_all(&path).map_err(io_error(&path))?;
        }
        let mut step = |what: &str, command: &mut Command| {
            writeln!(progress, "{what}").map_err(io_error(&path))?;
            run(command)
        };
        step(
            &format!(
                "making a Python {} environment in {}",
                python.version,
                path.display()
            ),
            process::command("python3").args(["-m", "venv"]).arg(&path),
        )?;
        let requirements = path.join("requirements.txt");
        private::write_file(&requirements, content::requirements().as_bytes())
            .map_err(io_error(&requirements))?;
        let inner_python = path.join("bin/python");
        step(
            "installing ansible-core",
            process::installer(&inner_python)
                .args(["-m", "pip", "install", "--quiet", "--no-input"])
                .args([
                    "--disable-pip-version-check",
                    "--no-compile",
                    "--requirement",
                ])
                .arg(&requirements),
        )?;
        // Without compiled files every start of Ansible takes three times as long.
        step(
            "compiling",
            process::command(&inner_python)
                .args(["-m", "compileall", "-q", "-j", "0"])
                .arg(path.join("lib")),
        )?;
        let marker = Marker {
            requirements: requirements_digest(),
            python: python.version,
            interpreter: fs::canonicalize(&inner_python).map_err(io_error(&inner_python))?,
        };
        let marker_path = path.join(MARKER);
        let text = serde_json::to_vec(&marker).map_err(|error| VenvError::Io {
            path: marker_path.clone(),
            source: error.into(),
        })?;
        private::write_file(&marker_path, &text).map_err(io_error(&marker_path))?;
        Self::at(&path).ok_or(VenvError::NoAnsible(path))
    }
}

/// The Python that `python3` starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// For example `3.11.2`.
    pub version: String,
    /// Whether the modules `venv` and `ensurepip` are there; Debian has them in a package of
    /// their own.
    pub has_venv: bool,
}

impl Python {
    /// Whether a pinned ansible-core runs on it.
    #[must_use]
    pub fn is_new_enough(&self) -> bool {
        let mut parts = self
            .version
            .split('.')
            .map_while(|part| part.parse::<u32>().ok());
        parts
            .next()
            .zip(parts.next())
            .is_some_and(|version| version >= OLDEST_PYTHON)
    }
}

/// Asks `python3` what it is.
///
/// # Errors
/// [`VenvError::Command`] when it is not there.
pub fn system_python() -> Result<Python, VenvError> {
    let script = "import platform, importlib.util as u; \
                  print(platform.python_version(), all(map(u.find_spec, ('venv', 'ensurepip'))))";
    let output = run(process::command("python3").args(["-c", script]))?;
    let mut words = output.split_ascii_whitespace();
    Ok(Python {
        version: words.next().unwrap_or_default().to_owned(),
        has_venv: words.next() == Some("True"),
    })
}

/// The versions of ansible-core in the requirements; one per range of Python versions.
pub fn pinned_versions() -> impl Iterator<Item = &'static str> {
    content::requirements()
        .lines()
        .filter_map(|line| line.strip_prefix("ansible-core=="))
        .filter_map(|rest| rest.split([' ', ';']).next())
}

fn requirements_digest() -> String {
    blake3::hash(content::requirements().as_bytes())
        .to_hex()
        .to_string()
}

fn is_current(path: &Path) -> bool {
    let Ok(text) = fs::read(path.join(MARKER)) else {
        return false;
    };
    let Ok(marker) = serde_json::from_slice::<Marker>(&text) else {
        return false;
    };
    marker.requirements == requirements_digest()
        && fs::canonicalize(path.join("bin/python")).is_ok_and(|path| path == marker.interpreter)
}

fn run(command: &mut Command) -> Result<String, VenvError> {
    // Program and arguments only: the environment may hold a password of a registry.
    let error = |command: &Command, reason: String| VenvError::Command {
        command: std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" "),
        reason,
    };
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                VenvError::NotFound(command.get_program().to_string_lossy().into_owned())
            }
            _ => error(command, source.to_string()),
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Err(error(
        command,
        crate::core::outcome::tail(said.trim(), 2048).to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(state: &Path, name: &str, marker: Option<Marker>) -> PathBuf {
        let path = state.join("venv").join(name);
        let information = "lib/python3.11/site-packages/ansible_core-2.19.14.dist-info";
        fs::create_dir_all(path.join(information)).expect("made");
        fs::create_dir_all(path.join("bin")).expect("made");
        fs::write(path.join("bin/ansible-playbook"), "").expect("written");
        fs::write(path.join("bin/python"), "").expect("written");
        if let Some(marker) = marker {
            let text = serde_json::to_vec(&marker).expect("JSON");
            fs::write(path.join(MARKER), text).expect("written");
        }
        path
    }

    fn marker(state: &Path, name: &str) -> Marker {
        Marker {
            requirements: requirements_digest(),
            python: "3.11.2".to_owned(),
            interpreter: state.join("venv").join(name).join("bin/python"),
        }
    }

    #[test]
    fn only_a_complete_environment_that_fits_is_found() {
        let state = tempfile::tempdir().expect("a directory");
        let state = fs::canonicalize(state.path()).expect("there");
        let missing = || matches!(Venv::find(&state, None), Err(VenvError::Missing(_)));
        assert!(missing());
        fake(&state, "incomplete", None);
        let of_other_version = Marker {
            requirements: "0".repeat(64),
            ..marker(&state, "other-version")
        };
        fake(&state, "other-version", Some(of_other_version));
        let after_upgrade = Marker {
            interpreter: "/usr/bin/python3.9".into(),
            ..marker(&state, "upgraded")
        };
        fake(&state, "upgraded", Some(after_upgrade));
        assert!(missing());
        let path = fake(&state, "good", Some(marker(&state, "good")));
        let venv = Venv::find(&state, None).expect("the good one");
        assert_eq!(
            (venv.path(), venv.ansible_version.as_str()),
            (path.as_path(), "2.19.14")
        );
        assert!(venv.is_pinned());
        let configured = Venv::find(&state, Some(&state));
        assert!(matches!(configured, Err(VenvError::NoAnsible(_))));
    }
}
