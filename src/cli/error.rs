//! What a command's failure looks like: one place chooses the text, the hint and the exit code.

use std::fmt::Display;
use std::io::Write;

use super::exit::Exit;
use super::printable::printable;
use crate::core::causes::chain;
use crate::store::StoreError;

/// A failure that ends the program.
#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    pub message: String,
    pub hint: Option<String>,
}

impl CliError {
    /// An error of the general kind: what failed, and why.
    pub(crate) fn new(message: impl Display) -> Self {
        Self {
            exit: Exit::Error,
            message: message.to_string(),
            hint: None,
        }
    }

    /// The same error with what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error with another exit code.
    #[must_use]
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Writes `error: …` and `hint: …` to standard error.
    pub(super) fn report(&self) {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let cyan = anstyle::AnsiColor::Cyan.on_default();
        let mut stderr = anstream::stderr();
        // What other programs said is in it: the other side of a fetch, an editor, git.
        let mut text = format!("{red}error{red:#}: {}\n", printable(&self.message));
        if let Some(hint) = &self.hint {
            text.push_str(&format!("{cyan}hint{cyan:#}: {}\n", printable(hint)));
        }
        // Nothing is left to tell a person whose standard error is gone.
        drop(stderr.write_all(text.as_bytes()));
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::new(error)
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::StalePlan(_) => Exit::StalePlan,
            StoreError::Busy(_) | StoreError::InUse { .. } => Exit::LockTimeout,
            StoreError::Paused { .. } => Exit::Blocked,
            StoreError::Missing(_)
            | StoreError::Create { .. }
            | StoreError::Foreign(_)
            | StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::Full(_)
            | StoreError::ReadOnly(_)
            | StoreError::Io(_)
            | StoreError::NoReserve { .. }
            | StoreError::NoFiles { .. }
            | StoreError::Write { .. }
            | StoreError::Exists(_)
            | StoreError::OwnFile(_)
            | StoreError::BadBackup { .. }
            | StoreError::Database(_)
            | StoreError::Stale { .. }
            | StoreError::BadDependencies
            | StoreError::NotFound { .. }
            | StoreError::Taken { .. }
            | StoreError::IllegalMove(_)
            | StoreError::Corrupt(_) => Exit::Error,
        };
        let cli = CliError::new(chain(&error)).exit(exit);
        match error.hint() {
            Some(hint) => cli.hint(hint),
            None => cli,
        }
    }
}
