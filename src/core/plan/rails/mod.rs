//! What keeps drafts from becoming jobs. Each rail is a pure function from what is drafted to what
//! is held back, with its code; the planner drafts without them, and orders what they leave.
//!
//! A wave, a budget or an approval is one more of them: what they hold back is planned again with
//! the next plan, so the queue knows nothing of rails.

mod held;
mod node_state;
mod suspension;
mod window;

use std::collections::BTreeSet;

use super::order::Draft;
use super::sight::Sight;
use super::{Action, BlockCode, Blocked};
use crate::core::id::ResourceId;

pub use window::Closed;

/// Why a draft about a resource gets no job now, or none when this rail lets it through.
type Rail = fn(&Sight<'_>, &Draft, &ResourceId) -> Option<(BlockCode, String)>;

/// The first one that holds something back is the one that is told.
const RAILS: [Rail; 3] = [held::rail, suspension::rail, node_state::rail];

/// Takes out the drafts that a rail holds back, and those that make no sense without them.
pub(super) fn hold_back(sight: &Sight<'_>, drafts: &mut Vec<Draft>) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    drafts.retain(|draft| {
        let reasons = reasons(sight, draft);
        let is_held = !reasons.is_empty();
        blocked.extend(reasons);
        !is_held
    });
    if !blocked.is_empty() {
        drop_pointless(sight, drafts);
    }
    blocked
}

/// Why the draft is held back: one reason for each resource that it makes or changes.
fn reasons(sight: &Sight<'_>, draft: &Draft) -> Vec<Blocked> {
    let others = draft.effects.iter().map(|effect| &effect.resource);
    // A site and its production environment are made by one job. Otherwise a job is about the resource that it is of.
    let others = others.filter(|id| draft.action == Action::Create && **id != draft.resource);
    let of = |id: &ResourceId| RAILS.iter().find_map(|rail| rail(sight, draft, id));
    let about = [&draft.resource].into_iter().chain(others);
    let Some(holder) = about.clone().find(|id| of(id).is_some()) else {
        return Vec::new();
    };
    let blocked = |id: &ResourceId| {
        let comes_with = || {
            let message = format!("`{holder}`, with which it comes, is blocked");
            (BlockCode::DependencyBlocked, message)
        };
        let (code, message) = of(id).unwrap_or_else(comes_with);
        let resource = id.clone();
        Blocked {
            resource,
            code,
            message,
        }
    };
    about.map(blocked).collect()
}

/// Takes out jobs that only run because something is made, where it is not made.
fn drop_pointless(sight: &Sight<'_>, drafts: &mut Vec<Draft>) {
    let made: BTreeSet<ResourceId> = drafts
        .iter()
        .flat_map(|draft| &draft.effects)
        .map(|effect| effect.resource.clone())
        .collect();
    drafts.retain(|draft| {
        !draft.effects.is_empty()
            || made.contains(&draft.resource)
            || sight.is_recorded(&draft.resource)
    });
}
