//! `[history]` of `pressluft.toml`: how much of the past is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::context::{Context, actor};
use super::error::CliError;
use crate::daemon::{HistorySettings, keep_clearing_up};
use crate::store::Store;

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
