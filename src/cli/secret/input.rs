//! Where the value of a secret comes from: never from the arguments.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use super::super::error::CliError;
use super::super::output;
use crate::core::plain_text;
use crate::secrets::Secret;

/// The longest value, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// The content of a file as it is, but for the mark that other systems put first, and the line end of a single line.
pub(super) fn from_file(path: &Path, name: &str) -> Result<Secret<String>, CliError> {
    let file = std::fs::File::open(path)
        .map_err(|error| CliError::new(format!("cannot read `{}`: {error}", path.display())))?;
    let mut bytes = read_all(file)?;
    plain_text::trim_file(&mut bytes);
    checked(bytes, name)
}

/// Standard input without one line end at its end, and without the mark that other systems put first; on a terminal one
/// line that is not shown.
pub(super) fn from_stdin(name: &str) -> Result<Secret<String>, CliError> {
    let stdin = io::stdin();
    let mut bytes = if stdin.is_terminal() {
        output::note(&format!("value of `{name}` (not shown, ends with Enter):"))?;
        let _hidden = HiddenInput::start()?;
        let mut line = Vec::with_capacity(4096);
        stdin
            .lock()
            .take(LONGEST + 1)
            .read_until(b'\n', &mut line)?;
        line
    } else {
        read_all(stdin.lock())?
    };
    plain_text::trim_value(&mut bytes);
    checked(bytes, name)
}

/// A password: the first line of standard input; on a terminal it is asked for twice and not
/// shown.
pub(in crate::cli) fn password(name: &str) -> Result<Secret<String>, CliError> {
    let what = format!("password of `{name}`");
    if !io::stdin().is_terminal() {
        return checked(read_line()?, &what);
    }
    output::note(&format!("{what} (not shown, ends with Enter):"))?;
    let _hidden = HiddenInput::start()?;
    let first = checked(read_line()?, &what)?;
    output::note("the same again:")?;
    let second = Secret::text(read_line()?, &what)?;
    if first.expose() == second.expose() {
        Ok(first)
    } else {
        Err(CliError::new("these are two different passwords"))
    }
}

fn read_line() -> Result<Vec<u8>, CliError> {
    let mut line = Vec::with_capacity(4096);
    io::stdin()
        .lock()
        .take(LONGEST + 1)
        .read_until(b'\n', &mut line)?;
    plain_text::trim_value(&mut line);
    Ok(line)
}

fn read_all(source: impl Read) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::with_capacity(64 * 1024);
    source.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn checked(bytes: Vec<u8>, name: &str) -> Result<Secret<String>, CliError> {
    if bytes.is_empty() {
        return Err(CliError::new(format!("the value of `{name}` is empty"))
            .hint("pipe it in, or use `--from-file`"));
    }
    if bytes.len() as u64 > LONGEST {
        return Err(CliError::new(format!(
            "the value of `{name}` has more than 1 MiB"
        )));
    }
    Ok(Secret::text(bytes, name)?)
}

/// The terminal's echo is off while this lives.
struct HiddenInput(Termios);

impl HiddenInput {
    fn start() -> Result<Self, CliError> {
        let before = tcgetattr(io::stdin()).map_err(io::Error::from)?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        hidden.local_flags.insert(LocalFlags::ECHONL);
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &hidden).map_err(io::Error::from)?;
        Ok(Self(before))
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0) {
            tracing::warn!(%error, "cannot turn the terminal's echo on again: run `stty echo`");
        }
    }
}
