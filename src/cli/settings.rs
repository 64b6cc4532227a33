//! `pressluft.toml` as it is written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time;

use serde::Deserialize;

use super::error::CliError;
use super::exit::Exit;
use crate::core::document::scalar::{self, Duration, SecretRef};
use crate::core::history::{HistoryKind, HistoryPolicy, Keep, SHORTEST_AGE, SMALLEST_COUNT};
use crate::daemon::GitHost;

/// `pressluft.toml` of the state directory: what flags and environment leave open.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) db_path: Option<PathBuf>,
    pub(crate) secrets_dir: Option<PathBuf>,
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) ansible_venv: Option<PathBuf>,
    /// How many nodes are worked on at once where the fleet does not say.
    pub(crate) parallel: Option<scalar::Parallel>,
    /// How long running jobs may take to finish after a SIGTERM.
    pub(crate) drain_timeout: Option<Duration>,
    /// How long an attempt at a job may take: `default`, and job types by name.
    pub(crate) timeouts: BTreeMap<String, Duration>,
    /// How much of the past is kept.
    pub(crate) history: HistoryTable,
    /// The fleet repo that `serve` and `reconcile` follow.
    pub(crate) git: GitSettings,
    /// What documents may name on this machine and in the network.
    pub(crate) sources: SourcesSettings,
    pub(crate) listen_addr: Option<ListenAddr>,
    /// Host names under which the status endpoint may be asked.
    pub(crate) allowed_hosts: Vec<String>,
    /// Whether a proxy on this machine speaks TLS in front of it.
    pub(crate) behind_proxy: bool,
    /// Whether it may speak plain HTTP to other machines.
    pub(crate) plain_http: bool,
    /// The secrets of git hosts whose webhooks are believed, by a name of one's own.
    pub(crate) webhooks: BTreeMap<String, SecretRef>,
}

/// `[git]` of `pressluft.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GitSettings {
    /// A directory with the files of the fleet, or a bare repository.
    pub(super) path: Option<PathBuf>,
    /// The address of a repository.
    pub(super) repo: Option<String>,
    #[serde(rename = "ref")]
    pub(super) reference: Option<String>,
    pub(super) subdirectory: Option<String>,
    /// Whether a rewritten branch may leave out what is in force.
    pub(super) allow_rewind: bool,
    pub(super) user: Option<String>,
    pub(super) token: Option<SecretRef>,
    pub(super) ssh_key: Option<SecretRef>,
    pub(super) signatures: Signatures,
    pub(super) allowed_signers: Option<PathBuf>,
    pub(super) signing_keys: Option<PathBuf>,
    pub(super) status: Option<StatusSettings>,
}

/// `[git.status]`: where the host of the fleet repo is told what became of commits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusSettings {
    pub(super) host: GitHost,
    pub(super) api: String,
    pub(super) repository: String,
    pub(super) token: SecretRef,
}

/// Whether commits have to be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Signatures {
    #[default]
    Off,
    Require,
}

impl GitSettings {
    /// The secrets that these settings use.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let status = self.status.as_ref().map(|status| &status.token);
        self.token.iter().chain(&self.ssh_key).chain(status)
    }
}

/// `[history]` of `pressluft.toml`: a section for each kind.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HistoryTable {
    jobs: KeepTable,
    looks: KeepTable,
    tasks: KeepTable,
    audit: KeepTable,
    revisions: KeepTable,
    messages: KeepTable,
    logs: KeepTable,
}

/// How much of one kind is kept; what is not said is as by default.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeepTable {
    age: Option<Duration>,
    count: Option<scalar::Amount>,
}

impl HistoryTable {
    fn of(&self, kind: HistoryKind) -> KeepTable {
        match kind {
            HistoryKind::Jobs => self.jobs,
            HistoryKind::Looks => self.looks,
            HistoryKind::Tasks => self.tasks,
            HistoryKind::Audit => self.audit,
            HistoryKind::Revisions => self.revisions,
            HistoryKind::Messages => self.messages,
            HistoryKind::Logs => self.logs,
        }
    }

    /// The limits, with the defaults where nothing is said.
    pub(super) fn policy(&self) -> Result<HistoryPolicy, CliError> {
        let mut policy = HistoryPolicy::default();
        for kind in HistoryKind::ALL {
            let known = policy.of(*kind);
            let table = self.of(*kind);
            let age = table.age.map_or(known.age, span);
            let count = table.count.map_or(known.count, scalar::Amount::get);
            if age < SHORTEST_AGE || count < SMALLEST_COUNT {
                return Err(CliError::new(format!(
                    "`history.{kind}` of `pressluft.toml` keeps too little"
                ))
                .exit(Exit::Usage)
                .hint(
                    "keep an hour and a count of 100 at least: jobs still need what is younger",
                ));
            }
            policy = policy.with(*kind, Keep { age, count });
        }
        Ok(policy)
    }
}

/// `[sources]` of `pressluft.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SourcesSettings {
    /// The directory below which the sources of the fleet lie.
    pub(super) directory: Option<PathBuf>,
    /// Addresses, networks and names that may be asked although they are private.
    pub(super) allow_private: Vec<String>,
}

/// Addresses as `pressluft.toml` has them: one, or a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ListenAddr {
    One(String),
    Many(Vec<String>),
}

/// A span of a document or setting as the standard library has it.
pub(crate) fn span(span: Duration) -> time::Duration {
    time::Duration::from_secs(span.as_secs())
}
