//! How every resource stands, read at most as often as it pays: a fleet of thousands is looked
//! at by many, and looking takes longer than most answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::error::Result;
use super::pool::Pool;
use crate::clock;
use crate::core::condition::{ConditionKind, Standing};
use crate::core::id::{ResourceId, ResourceKind};

/// What was seen is good for this many times as long as it took to see it.
const WORTH: u32 = 10;
/// And never longer than this.
const LONGEST: Duration = Duration::from_secs(10);
/// How old the figures of `/metrics` may be while newer ones are being read.
const STALE: Duration = Duration::from_secs(60);

/// The standings of one moment.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) all: BTreeMap<ResourceId, Standing>,
    at: Instant,
    took: Duration,
    info: OnceLock<String>,
}

impl Seen {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() <= (self.took * WORTH).min(LONGEST)
    }

    /// How many resources have each kind and condition.
    pub(super) fn counts(&self) -> BTreeMap<(ResourceKind, ConditionKind), u64> {
        let mut counts = BTreeMap::new();
        for (id, standing) in &self.all {
            *counts
                .entry((id.kind(), standing.condition.kind()))
                .or_insert(0) += 1;
        }
        counts
    }

    /// The lines of `pressluft_resource_info`.
    pub(super) fn info(&self) -> &str {
        self.info.get_or_init(|| {
            let mut text = String::with_capacity(self.all.len() * 160);
            for (id, standing) in &self.all {
                let revision = standing.applied_revision.as_deref().unwrap_or_default();
                // Ids and revisions hold nothing that would have to be escaped.
                let written = writeln!(
                    text,
                    "pressluft_resource_info{{kind=\"{}\",id=\"{id}\",status=\"{}\",\
                     revision=\"{revision}\"}} 1",
                    id.kind(),
                    standing.condition.kind(),
                );
                debug_assert!(written.is_ok(), "a string takes everything");
            }
            text
        })
    }
}

/// The last look at the fleet.
#[derive(Debug)]
pub(super) struct Standings {
    pool: Pool,
    last: Mutex<Option<Arc<Seen>>>,
    turn: tokio::sync::Mutex<()>,
}

impl Standings {
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            last: Mutex::new(None),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// How the fleet stands now.
    pub(super) async fn now(&self) -> Result<Arc<Seen>> {
        if let Some(seen) = self.last().filter(|seen| seen.is_fresh()) {
            return Ok(seen);
        }
        let _turn = self.turn.lock().await;
        // Somebody else may have looked while this one waited.
        if let Some(seen) = self.last().filter(|seen| seen.is_fresh()) {
            return Ok(seen);
        }
        let seen = self
            .pool
            .read(|store| {
                let at = Instant::now();
                let all = store
                    .standings(clock::now())?
                    .into_iter()
                    .map(|standing| (standing.id.clone(), standing))
                    .collect();
                Ok(Arc::new(Seen {
                    all,
                    at,
                    took: at.elapsed(),
                    info: OnceLock::new(),
                }))
            })
            .await?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&seen));
        Ok(seen)
    }

    /// How the fleet stood lately; it is looked at anew meanwhile.
    pub(super) async fn lately(self: &Arc<Self>) -> Result<Arc<Seen>> {
        match self.last() {
            Some(seen) if seen.is_fresh() => Ok(seen),
            Some(seen) if seen.at.elapsed() < STALE => {
                let again = Arc::clone(self);
                tokio::spawn(async move { again.now().await });
                Ok(seen)
            }
            Some(_) | None => self.now().await,
        }
    }

    fn last(&self) -> Option<Arc<Seen>> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
