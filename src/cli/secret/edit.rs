//! A secret in an editor: a file of mode 0600 in a directory of its own, gone afterwards.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::super::error::CliError;
use super::super::exit::Exit;
use crate::core::plain_text;
use crate::process;
use crate::secrets::Secret;

/// The text after the user edited `before`. A newline that the editor put at the end is left
/// out where there was none.
pub(super) fn in_editor(
    before: &Secret<String>,
    name: &str,
    secrets_dir: &Path,
) -> Result<Secret<String>, CliError> {
    let editor = editor(std::io::stdin().is_terminal())?;
    // While the editor runs, signals must not end this process: it has to clean up.
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGQUIT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ignored))?;
    }
    let directory = tempfile::Builder::new()
        .prefix("pressluft-edit-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(place(secrets_dir))?;
    let path = directory.path().join("secret");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(before.expose().as_bytes())?;
    drop(file);

    // Through a shell, since the variable may hold arguments: `code --wait`.
    let status = process::command("/bin/sh")
        .envs(std::env::vars_os())
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(&path)
        .status()
        .map_err(|error| CliError::new(format!("cannot run the editor `{editor}`: {error}")))?;
    if !status.success() {
        return Err(
            CliError::new(format!("the editor `{editor}` failed, nothing was stored"))
                .hint("set `EDITOR`"),
        );
    }
    let mut bytes = fs::read(&path)?;
    if bytes.last() == Some(&b'\n') && !before.expose().ends_with('\n') {
        plain_text::trim_value(&mut bytes);
    }
    // Some editors put it in front of what they save.
    let unmarked = plain_text::unmarked_bytes(&bytes).len();
    if plain_text::unmarked_bytes(before.expose().as_bytes()).len() == before.expose().len() {
        bytes.drain(..bytes.len() - unmarked);
    }
    directory.close()?;
    if bytes.is_empty() {
        return Err(CliError::new(format!(
            "the value of `{name}` is empty, nothing was stored"
        )));
    }
    Ok(Secret::text(bytes, name)?)
}

/// Memory where there is some, so that the value never comes near a disk.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
fn place(secrets_dir: &Path) -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime
        .into_iter()
        .chain([PathBuf::from("/dev/shm")])
        .find(|path| path.is_dir())
        .unwrap_or_else(|| secrets_dir.to_owned())
}

/// What opens the file: what the user chose, else `vi`.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
fn editor(has_terminal: bool) -> Result<String, CliError> {
    let chosen = ["VISUAL", "EDITOR"].iter().find_map(|name| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.trim().is_empty())
    });
    // An editor that was chosen may do without a terminal; this one would wait for ever.
    chosen
        .or_else(|| has_terminal.then(|| "vi".to_owned()))
        .ok_or_else(|| {
            CliError::new("there is no terminal to edit on")
                .exit(Exit::Usage)
                .hint("set `EDITOR`, or pipe the value into `pressluft secret set`")
        })
}
