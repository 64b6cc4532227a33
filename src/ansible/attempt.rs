//! The directory of one attempt: inventory, variables and secrets, for as long as the attempt runs.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::config::{self, NODE_PYTHON};
use super::invocation::{Invocation, InvocationError};
use super::private::{self, OwnedDir};
use super::unsafe_text::marked;

/// The directory could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    #[error(transparent)]
    Invalid(#[from] InvocationError),
    #[error("cannot write the directory of the attempt: {0}")]
    Io(#[from] io::Error),
}

/// The directory of a play in that of its attempt. The play owns it, and may change all that is in it; the attempt's
/// own has the lock that says whose it is.
const PLAY: &str = "play";

/// The files of an attempt; they are gone when this is dropped.
#[derive(Debug)]
pub(super) struct Attempt {
    play: PathBuf,
    has_secrets: bool,
    _dir: OwnedDir,
}

impl Attempt {
    /// Writes everything that is known before the first contact.
    pub(super) fn write(run_dir: &Path, invocation: &Invocation) -> Result<Self, AttemptError> {
        invocation.check()?;
        let name = format!("{}-{}", invocation.job, invocation.attempt);
        let dir = OwnedDir::create(run_dir.join(name))?;
        let play = dir.path().join(PLAY);
        let path = play.as_path();
        for inner in ["home", "tmp"] {
            private::make_dir(&path.join(inner))?;
        }
        let file = |name: &str, content: &[u8]| private::write_file(&path.join(name), content);
        file("ansible.cfg", config::FILE)?;
        file(
            "inventory.json",
            inventory(invocation).to_string().as_bytes(),
        )?;
        let mut vars = invocation.vars.clone();
        if let Some(tree) = &invocation.tree {
            let tree_path = path.join("tree.json");
            private::write_file(&tree_path, tree)?;
            let paths = vars.entry("paths").or_insert_with(|| json!({}));
            if let Value::Object(paths) = paths {
                paths.insert("tree".to_owned(), json!(tree_path.display().to_string()));
            }
        }
        file(
            "vars.json",
            json!({ "pressluft": marked(&vars)? })
                .to_string()
                .as_bytes(),
        )?;
        let has_secrets = !invocation.secrets.is_empty();
        if has_secrets {
            let secrets = json!({ "pressluft_secrets": marked(&invocation.secrets)? });
            file("secrets.json", secrets.to_string().as_bytes())?;
        }
        Ok(Self {
            play,
            has_secrets,
            _dir: dir,
        })
    }

    /// The directory of the play.
    pub(super) fn path(&self) -> &Path {
        &self.play
    }

    /// The arguments of `ansible-playbook`: files of this directory only, no value of a
    /// document.
    pub(super) fn arguments(&self, invocation: &Invocation, playbook: &Path) -> Vec<String> {
        let file = |name: &str| self.path().join(name).display().to_string();
        let mut words = vec!["-i".to_owned(), file("inventory.json")];
        words.extend(["-e".to_owned(), format!("@{}", file("vars.json"))]);
        if self.has_secrets {
            words.extend(["-e".to_owned(), format!("@{}", file("secrets.json"))]);
        }
        if invocation.check {
            words.push("--check".to_owned());
        }
        if invocation.diff {
            words.push("--diff".to_owned());
        }
        if invocation.verbosity > 0 {
            words.push(format!(
                "-{}",
                "v".repeat(usize::from(invocation.verbosity.min(4)))
            ));
        }
        words.extend(["--".to_owned(), playbook.display().to_string()]);
        words
    }
}

fn inventory(invocation: &Invocation) -> Value {
    let host = &invocation.host;
    let variables = json!({
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": host.user,
        "ansible_python_interpreter": NODE_PYTHON,
        "ansible_become": host.user != "root",
    });
    json!({ "all": { "hosts": { host.name.clone(): variables } } })
}
