//! Steps that clear up the past, for the fixed sequence: each is one transaction.

use jiff::{SignedDuration, Timestamp};
use pressluft::core::history::{HistoryKind, HistoryPolicy, Keep};
use pressluft::core::reconcile::{Cause, Verdict};
use pressluft::store::{NewSighting, Revision, Scan, Store, StoreError};

/// One call of the store, long after everything else that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    Size,
    Sightings,
    Looks,
    Segment,
    /// So many entries at most.
    Forget(u64),
    Jobs,
    Tasks,
    Plans,
    Rest,
    Round,
    Parts,
    Swept,
}

/// Reaches every place of these functions.
pub(crate) const ALL: [Past; 18] = [
    Past::Size,
    Past::Sightings,
    Past::Looks,
    Past::Segment,
    Past::Forget(15),
    Past::Forget(10_000),
    Past::Tasks,
    Past::Jobs,
    Past::Jobs,
    Past::Jobs,
    Past::Plans,
    Past::Rest,
    Past::Rest,
    Past::Round,
    Past::Parts,
    Past::Round,
    Past::Parts,
    Past::Swept,
];

/// How long after the rest of the sequence: a year for each call, so that rounds end.
const LATER: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Keeps as little as there can be.
pub(crate) fn policy() -> HistoryPolicy {
    HistoryKind::ALL
        .iter()
        .fold(HistoryPolicy::default(), |policy, kind| {
            policy.with(
                *kind,
                Keep {
                    age: std::time::Duration::from_secs(3_600),
                    count: 0,
                },
            )
        })
}

/// Does one of them.
pub(crate) fn run(step: Past, store: &mut Store, now: Timestamp) -> Result<(), StoreError> {
    let policy = policy();
    // A second of the sequence is a day here.
    let passed = now.duration_since(crate::script::base()) * 86_400;
    let later = now + LATER + passed;
    match step {
        Past::Size => store.note_size(later).map(drop),
        Past::Sightings => store.record_sightings(&sightings(), "ops", now).map(drop),
        Past::Looks => {
            let found = store.removable_looks(later, 3)?;
            store.remove_jobs(&found).map(drop)
        }
        Past::Segment => store.close_segment(&policy, "ops", later).map(drop),
        Past::Forget(most) => store.forget_closed(most).map(drop),
        Past::Jobs => {
            let excess = store.excess(&policy, later)?;
            let found = store.removable_jobs(&excess, 0, 2)?;
            store.remove_jobs(&found).map(drop)
        }
        Past::Tasks => {
            let excess = store.excess(&policy, later)?;
            let found = store.removable_tasks(&excess, 0, 2)?;
            store.remove_tasks(&found).map(drop)
        }
        Past::Plans => store.remove_plans(later, 2).map(drop),
        Past::Rest => store.remove_rest(&policy, 3, later).map(drop),
        Past::Round => store.begin_round(later).map(drop),
        Past::Parts => {
            let mut scan = Scan::default();
            while store.scan(&mut scan, 5)? {}
            let named = scan.named();
            // Of the last round that was begun, whichever that is.
            let [parts, blobs] = store.unnamed(&named, i64::MAX)?;
            store.remove_unnamed(&parts, &blobs, i64::MAX).map(drop)
        }
        Past::Swept => store.note_swept(later),
    }
}

/// More than are kept in any case.
fn sightings() -> Vec<NewSighting> {
    let seen = |n: u64| NewSighting {
        revision: Revision {
            id: format!("{n:040x}"),
            author: None,
            message: None,
            committed_at: None,
            dirty: false,
        },
        verdict: Verdict::Invalid,
        cause: Cause::Interval,
        refused: None,
        diagnostics: serde_json::json!([]),
    };
    (0..105).map(seen).collect()
}
