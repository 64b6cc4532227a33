//! Which resources are left alone because they failed, so that they hold back no others and are
//! not tried again with every pass.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::core::fingerprint;
use crate::core::id::ResourceId;
use crate::core::job::ErrorCode;
use crate::core::recorded::RecordedResource;
use crate::core::retry::{self, Again};
use crate::daemon::error::DaemonError;
use crate::daemon::plan::planning::Wishes;
use crate::git::DesiredState;
use crate::secrets::FingerprintKey;
use crate::store::{Hold, Store, TargetState};

/// What is left alone in one pass.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// The reasons, by resource.
    pub(super) held: BTreeMap<ResourceId, String>,
    /// When the first of them is planned again.
    pub(super) next: Option<Timestamp>,
}

/// Counts the failures since the last pass, and says what is left alone at `now`.
///
/// A newer wish for anything of the same site ends it, because a job of one resource may carry
/// what is written in the document of another.
pub(in crate::daemon) fn holds(
    store: &mut Store,
    desired: &DesiredState,
    key: &FingerprintKey,
    now: Timestamp,
) -> Result<Holds, DaemonError> {
    let targets = store.targets()?;
    let mut counted = Vec::new();
    let mut left: Vec<(&TargetState, State)> = Vec::new();
    for target in &targets {
        let state = counted_state(target, &mut counted, now);
        if state.given_up || state.retry_at.is_some_and(|at| at > now) {
            left.push((target, state));
        }
    }
    let mut holds = Holds::default();
    if left.is_empty() {
        store.hold(&counted)?;
        return Ok(holds);
    }
    // A large fleet may have many targets, and to know a wish takes the whole document.
    let sites: BTreeSet<&str> = left
        .iter()
        .filter_map(|(of, _)| of.resource.site())
        .collect();
    let wishes = Wishes::new(desired, store, key)?;
    let mut changed_sites: BTreeSet<&str> = BTreeSet::new();
    for target in &targets {
        if let Some(site) = target.resource.site().filter(|site| sites.contains(site))
            && wishes.of(&target.resource)? != Some(target.wanted)
        {
            changed_sites.insert(site);
        }
    }
    for (target, state) in left {
        let is_changed = match target.resource.site() {
            Some(site) => changed_sites.contains(site),
            None => wishes.of(&target.resource)? != Some(target.wanted),
        };
        if is_changed || site_changed(store, &wishes, target, &targets)? {
            continue;
        }
        let times = match state.failures {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let reason = match state.retry_at {
            Some(at) => format!(
                "it failed {times} and is tried again at {}",
                at.strftime("%Y-%m-%dT%H:%M:%SZ")
            ),
            None => format!(
                "it failed {times} and is tried again with a newer commit or \
                 `pressluft reconcile --retry`"
            ),
        };
        holds.next = [holds.next, state.retry_at].into_iter().flatten().min();
        holds.held.insert(target.resource.clone(), reason);
    }
    store.hold(&counted)?;
    Ok(holds)
}

/// How often a resource failed, and when it is tried again.
struct State {
    failures: u32,
    retry_at: Option<Timestamp>,
    given_up: bool,
}

/// The state after a failure that was not counted yet, which goes into `counted`.
fn counted_state(target: &TargetState, counted: &mut Vec<Hold>, now: Timestamp) -> State {
    let Some(job) = &target.uncounted else {
        return State {
            failures: target.failures,
            retry_at: target.retry_at,
            given_up: target.given_up,
        };
    };
    let failures = target.failures + 1;
    let code = job.error_code.unwrap_or(ErrorCode::InternalError);
    let ended = job.finished_at.unwrap_or(now);
    let retry_at = match retry::again(code, failures, rand::random()) {
        Again::After(wait) => Some(ended.saturating_add(wait).unwrap_or(Timestamp::MAX)),
        Again::Never => None,
    };
    counted.push(Hold {
        resource: target.resource.clone(),
        job: job.id,
        failures,
        retry_at,
    });
    State {
        failures,
        retry_at,
        given_up: retry_at.is_none(),
    }
}

/// Whether the site of an environment has just come to be asked for in another form than it is
/// recorded.
fn site_changed(
    store: &Store,
    wishes: &Wishes<'_>,
    target: &TargetState,
    targets: &[TargetState],
) -> Result<bool, DaemonError> {
    let ResourceId::Env { site, .. } = &target.resource else {
        return Ok(false);
    };
    let site = ResourceId::Site(site.clone());
    // One that was planned before was compared with that.
    if targets.iter().any(|other| other.resource == site) {
        return Ok(false);
    }
    let form = |known: RecordedResource| fingerprint::form(known.spec_hash, &known.fingerprints);
    let recorded = store.recorded(&site)?.map(form);
    Ok(recorded.is_some() && recorded != wishes.of(&site)?)
}
