//! Where a command runs: settings, state directory, terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use nix::unistd::{User, getuid};

use super::env::{env_path, env_text};
use super::error::CliError;
use super::exit::Exit;
use super::settings::Settings;
use super::sources_settings;
use super::{output, ownership};
use crate::core::document::scalar::{Duration, Malformed, is_hidden};
use crate::core::history::HistoryPolicy;
use crate::core::job::JobType;
use crate::core::plain_text;
use crate::core::secret_owner::Reserved;
use crate::daemon::{SourceSettings, Timeouts};
use crate::git::Credentials;

/// Options that every command takes.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct GlobalArgs {
    /// Directory for the database, keys, caches and logs [default: /var/lib/pressluft as root or its owner]
    #[arg(
        long,
        global = true,
        env = "PRESSLUFT_STATE_DIR",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub(crate) state_dir: Option<PathBuf>,
    /// SQLite database file [default: pressluft.db in the state directory]
    #[arg(
        long,
        global = true,
        env = "PRESSLUFT_DB_PATH",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) db_path: Option<PathBuf>,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Global options"
    )]
    pub(crate) color: Color,
    /// Say more on standard error; twice for debugging
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

/// What every command is handed.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) state_dir: PathBuf,
    pub(crate) db_path: PathBuf,
    pub(crate) secrets_dir: PathBuf,
    pub(crate) log_dir: PathBuf,
    /// A Python environment with ansible-core to use in place of Pressluft's own.
    pub(crate) venv: Option<PathBuf>,
    pub(crate) settings: Settings,
    /// How long jobs may take.
    pub(crate) timeouts: Timeouts,
    /// How much of the past is kept.
    pub(crate) history: HistoryPolicy,
    /// What documents may name on this machine and in the network.
    pub(crate) sources: SourceSettings,
    /// Whether standard output is a terminal.
    pub(crate) interactive: bool,
    pub(crate) verbose: bool,
}

impl Context {
    pub(crate) fn new(args: &GlobalArgs) -> Result<Self, CliError> {
        let choice = match args.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        let state_dir = match &args.state_dir {
            Some(dir) => std::path::absolute(meant(dir)?)?,
            None => default_state_dir()?,
        };
        let settings = read_settings(&state_dir.join("pressluft.toml"))?;
        let from_env = |name: &str| env_path(name);
        let context = Self {
            db_path: args
                .db_path
                .as_deref()
                .map(meant)
                .transpose()?
                .map(Path::to_owned)
                .or_else(|| settings.db_path.clone())
                .unwrap_or_else(|| state_dir.join("pressluft.db")),
            secrets_dir: from_env("PRESSLUFT_SECRETS_DIR")
                .or_else(|| settings.secrets_dir.clone())
                .unwrap_or_else(|| state_dir.join("secrets")),
            log_dir: from_env("PRESSLUFT_LOG_DIR")
                .or_else(|| settings.log_dir.clone())
                .unwrap_or_else(|| state_dir.join("logs")),
            venv: from_env("PRESSLUFT_ANSIBLE_VENV").or_else(|| settings.ansible_venv.clone()),
            interactive: std::io::stdout().is_terminal(),
            verbose: args.verbose > 0,
            timeouts: timeouts(&settings)?,
            history: settings.history.policy()?,
            sources: sources_settings::sources(&settings.sources, &state_dir)?,
            settings,
            state_dir,
        };
        let kept = [
            &context.state_dir,
            &context.secrets_dir,
            &context.db_path,
            &context.log_dir,
        ];
        sources_settings::require_apart(&context.sources.directory, &kept, &context.secrets_dir)?;
        Ok(context)
    }

    /// Makes the state directory, for this user alone. For whatever writes into it.
    pub(crate) fn ensure_state_dir(&self) -> Result<(), CliError> {
        use std::os::unix::fs::DirBuilderExt;
        ownership::require_own(&self.state_dir)?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.state_dir)
            .map_err(|error| {
                CliError::new(format!(
                    "cannot make `{}`: {error}",
                    self.state_dir.display()
                ))
                .hint("set `--state-dir` or `PRESSLUFT_STATE_DIR` to a directory of your own")
            })
    }

    /// How to log in where the fleet repo lives.
    pub(crate) fn credentials(&self) -> Credentials {
        let own = |name: &str| {
            let path = self.state_dir.join("ssh").join(name);
            path.exists().then_some(path)
        };
        Credentials {
            ssh_key: own("id_ed25519"),
            ssh_key_text: None,
            ssh_agent: true,
            known_hosts: own("known_hosts"),
            https_user: env_text("PRESSLUFT_GIT_USER"),
            https_token: env_text("PRESSLUFT_GIT_TOKEN"),
        }
    }

    /// The names of secrets that the settings use, and no document may.
    pub(crate) fn reserved(&self) -> Reserved {
        let secrets = self.settings.git.secrets();
        let secrets = secrets.chain(self.settings.webhooks.values());
        Reserved::new(secrets.map(|secret| secret.name().to_owned()))
    }

    /// Columns of the terminal, or 100 where there is none.
    pub(crate) fn width(&self) -> usize {
        terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
    }
}

/// A path that could not be told from another one where it is printed is a mistake, such as the line end of another
/// system in a file of variables.
fn meant(path: &Path) -> Result<&Path, CliError> {
    let text = path.to_string_lossy();
    match text.chars().find(|c| is_hidden(*c)) {
        None => Ok(path),
        Some(c) => Err(CliError::new(format!(
            "the path `{}` holds the character U+{:04X}, which cannot be seen",
            output::printable(&text),
            u32::from(c)
        ))
        .exit(Exit::Usage)
        .hint(
            "look at `PRESSLUFT_STATE_DIR` and `PRESSLUFT_DB_PATH`, and at the file that sets them",
        )),
    }
}

/// Who runs this, for the audit record: `SUDO_USER` behind sudo, else the user, who may have a
/// name although the environment does not tell it, as under cron.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
pub(crate) fn actor() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .or_else(|| Some(User::from_uid(getuid()).ok()??.name))
        .unwrap_or_else(|| format!("uid {}", getuid()));
    format!("cli:{user}")
}

fn timeouts(settings: &Settings) -> Result<Timeouts, CliError> {
    let mut timeouts = Timeouts::default();
    for (name, limit) in &settings.timeouts {
        let limit = positive(&format!("`timeouts.{name}` of `pressluft.toml`"), *limit)?;
        if name == "default" {
            timeouts.default = limit;
            continue;
        }
        let job_type: JobType = name.parse().map_err(|_| {
            let all: Vec<&str> = JobType::ALL.iter().map(|known| known.as_str()).collect();
            CliError::new(format!(
                "`timeouts.{name}` of `pressluft.toml` is no job type"
            ))
            .exit(Exit::Usage)
            .hint(format!("write `default` or one of {}", all.join(", ")))
        })?;
        timeouts.by_type.insert(job_type, limit);
    }
    if let Some(text) = env_text("PRESSLUFT_JOB_TIMEOUT") {
        let limit: Duration = text.parse().map_err(|error: Malformed| {
            let usage =
                CliError::new(format!("`PRESSLUFT_JOB_TIMEOUT`: {error}")).exit(Exit::Usage);
            match error.hint {
                Some(hint) => usage.hint(hint),
                None => usage,
            }
        })?;
        timeouts.default = positive("`PRESSLUFT_JOB_TIMEOUT`", limit)?;
    }
    Ok(timeouts)
}

/// The longest that a job may take: whoever waits longer than that waits for nothing.
const LONGEST: u64 = 30 * 24 * 60 * 60;

/// No job could end within no time.
fn positive(what: &str, limit: Duration) -> Result<std::time::Duration, CliError> {
    match limit.as_secs() {
        0 => Err(CliError::new(format!("{what} is no time at all"))
            .exit(Exit::Usage)
            .hint("write a span such as `30m`")),
        seconds if seconds > LONGEST => {
            Err(CliError::new(format!("{what} is longer than 30 days"))
                .exit(Exit::Usage)
                .hint("write a span such as `30m`"))
        }
        seconds => Ok(std::time::Duration::from_secs(seconds)),
    }
}

fn default_state_dir() -> Result<PathBuf, CliError> {
    if let Some(path) = ownership::of_machine() {
        return Ok(path);
    }
    env_path("XDG_STATE_HOME")
        .or_else(|| env_path("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("pressluft"))
        .ok_or_else(|| {
            CliError::new("no place for the state directory: `HOME` is not set")
                .hint("set `PRESSLUFT_STATE_DIR`")
        })
}

fn read_settings(path: &Path) -> Result<Settings, CliError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        // No permission means another user's state directory, which the command that needs it
        // reports by itself.
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(Settings::default());
        }
        Err(error) => {
            return Err(CliError::new(format!(
                "cannot read `{}`: {error}",
                path.display()
            )));
        }
    };
    toml::from_str(plain_text::unmarked(&text))
        .map_err(|error| CliError::new(format!("`{}`: {error}", path.display())).exit(Exit::Usage))
}
