//! `[history]` of `pressluft.toml`: how much of the past is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Deserialize;

use super::context::{Context, actor};
use super::error::CliError;
use super::execute::span;
use super::exit::Exit;
use crate::core::document::scalar;
use crate::core::history::{HistoryKind, HistoryPolicy, Keep, SHORTEST_AGE, SMALLEST_COUNT};
use crate::daemon::{HistorySettings, keep_clearing_up};
use crate::store::Store;

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
    age: Option<scalar::Duration>,
    count: Option<u64>,
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
            let count = table.count.unwrap_or(known.count);
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

/// What is cleared up here.
pub(crate) fn history(context: &Context) -> HistorySettings {
    HistorySettings {
        policy: context.history.clone(),
        log_dir: context.log_dir.clone(),
        state_dir: context.state_dir.clone(),
    }
}

/// A thread that clears up the past until this is dropped.
pub(crate) struct ClearingThread {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ClearingThread {
    pub(crate) fn start(context: &Context) -> Result<Self, CliError> {
        let mut store = Store::open(&context.db_path)?;
        let (settings, actor) = (history(context), actor());
        let end = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&end);
        let thread = thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || keep_clearing_up(&mut store, &settings, &actor, &asked))?;
        Ok(Self {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for ClearingThread {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        // Its steps are short.
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("clearing up the past broke off");
        }
    }
}

/// How long a command that has done its work clears up before it ends.
pub(crate) const AFTERWARDS: Duration = Duration::from_secs(2);
