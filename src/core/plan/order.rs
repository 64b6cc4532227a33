//! Ordering drafts into a DAG, and keeping the part of it that was asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, BlockCode, Blocked, Choice, Effect, Plan, PlanInput, PlannedJob};
use crate::core::change::Change;
use crate::core::fast_map::{HashMap, HashSet};
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::job::JobType;
use crate::core::job_kind::Phase;

/// A job before it has an id and knows what it waits for.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) job_type: JobType,
    pub(super) resource: ResourceId,
    pub(super) node: String,
    pub(super) action: Action,
    pub(super) reason: String,
    pub(super) changes: Vec<Change>,
    pub(super) effects: Vec<Effect>,
    /// The environment that this one is made from.
    pub(super) from: Option<String>,
}

pub(super) struct Ordered {
    pub(super) jobs: Vec<PlannedJob>,
    pub(super) partial: bool,
}

/// The drafts as jobs, each after what it needs.
///
/// An environment whose source or site cannot be made because it is blocked, or because
/// sources form a ring, is blocked too.
pub(super) fn order(
    mut drafts: Vec<Draft>,
    choice: &Choice,
    is_recorded: impl Fn(&ResourceId) -> bool,
    blocked: &mut Vec<Blocked>,
) -> Ordered {
    let stuck: BTreeSet<ResourceId> = blocked
        .iter()
        .filter(|block| block.code.holds_dependents())
        .map(|block| block.resource.clone())
        .collect();
    let depths = depths(&drafts);
    drop_rings(&mut drafts, &depths, blocked);
    // They come sorted but for this, which takes less time than keys of their own.
    let key = |draft: &Draft| {
        let depth = depths.get(&draft.resource).copied().flatten().unwrap_or(0);
        (depth, changes_site(draft).is_none())
    };
    drafts.sort_by(|a, b| {
        let (site, other) = (a.resource.site(), b.resource.site());
        let rest = || (key(a), &a.resource, place(a)).cmp(&(key(b), &b.resource, place(b)));
        site.cmp(&other).then_with(rest)
    });
    drop_dependents(&mut drafts, stuck, is_recorded, blocked);
    let needs = all_needs(&drafts);
    let kept = chosen(&drafts, &needs, choice);
    let mut ids: BTreeMap<usize, String> = BTreeMap::new();
    for (number, index) in kept.iter().enumerate() {
        ids.insert(*index, format!("j{number}"));
    }
    let partial =
        kept.len() < drafts.len() || !choice.targets.is_empty() || !choice.excludes.is_empty();
    let jobs = drafts
        .into_iter()
        .enumerate()
        .filter_map(|(index, draft)| {
            let id = ids.get(&index)?.clone();
            let after = needs[index]
                .iter()
                .filter_map(|need| ids.get(need).cloned())
                .collect();
            Some(PlannedJob {
                id,
                job_type: draft.job_type,
                resource: draft.resource,
                node: draft.node,
                action: draft.action,
                reason: draft.reason,
                changes: draft.changes,
                after,
                effects: draft.effects,
            })
        })
        .collect();
    Ordered { jobs, partial }
}

fn drop_dependents(
    drafts: &mut Vec<Draft>,
    mut stuck: BTreeSet<ResourceId>,
    is_recorded: impl Fn(&ResourceId) -> bool,
    blocked: &mut Vec<Blocked>,
) {
    let made = drafts.iter().filter(|draft| draft.action == Action::Create);
    let made = made.flat_map(|draft| &draft.effects);
    let made: HashSet<ResourceId> = made
        .map(|effect| &effect.resource)
        .filter(|id| id.kind() == ResourceKind::Env)
        .cloned()
        .collect();
    // An environment may be made from one that is not made, for whatever reason.
    let is_missing =
        |id: &ResourceId| id.kind() == ResourceKind::Env && !made.contains(id) && !is_recorded(id);
    // Drafts stand after what they need, so one pass sees every consequence.
    drafts.retain(|draft| {
        let Some(need) = prerequisites(draft)
            .into_iter()
            .find(|need| stuck.contains(need) || is_missing(need))
        else {
            return true;
        };
        let is_told = || blocked.iter().any(|block| block.resource == need);
        let message = match stuck.contains(&need) || is_told() {
            true => format!("waits for `{need}`, which is blocked"),
            false => format!("waits for `{need}`, which is neither there nor made"),
        };
        blocked.push(Blocked {
            resource: draft.resource.clone(),
            code: BlockCode::DependencyBlocked,
            message,
        });
        stuck.insert(draft.resource.clone());
        false
    });
}

/// The resources that must be there before the draft can run.
fn prerequisites(draft: &Draft) -> Vec<ResourceId> {
    let mut needs = vec![ResourceId::Node(draft.node.clone())];
    if let ResourceId::Env { site, .. } = &draft.resource {
        needs.push(ResourceId::Site(site.clone()));
        needs.extend(draft.from.as_ref().map(|from| ResourceId::env(site, from)));
    }
    needs
}

/// How many environments stand between each new environment that is made from another and one that needs no other;
/// none for those on a ring. All others have none between.
fn depths(drafts: &[Draft]) -> HashMap<ResourceId, Option<usize>> {
    let from: HashMap<&ResourceId, ResourceId> = drafts
        .iter()
        .filter(|draft| draft.job_type.makes(&draft.resource))
        .filter_map(|draft| {
            let from = ResourceId::env(draft.resource.site()?, draft.from.as_ref()?);
            Some((&draft.resource, from))
        })
        .collect();
    let mut known: HashMap<ResourceId, Option<usize>> = HashMap::default();
    for first in from.keys() {
        let mut way: Vec<&ResourceId> = Vec::new();
        let mut on_way: BTreeSet<&ResourceId> = BTreeSet::new();
        let mut at = *first;
        // What the end of the way is at; none when it runs into a ring.
        let mut depth = loop {
            if let Some(depth) = known.get(at) {
                break *depth;
            }
            let Some(next) = from.get(at) else {
                break Some(0);
            };
            if !on_way.insert(at) {
                break None;
            }
            way.push(at);
            at = next;
        };
        for id in way.into_iter().rev() {
            depth = depth.map(|depth| depth + 1);
            known.insert(id.clone(), depth);
        }
    }
    known
}

fn drop_rings(
    drafts: &mut Vec<Draft>,
    depths: &HashMap<ResourceId, Option<usize>>,
    blocked: &mut Vec<Blocked>,
) {
    if depths.values().all(Option::is_some) {
        return;
    }
    drafts.retain(|draft| {
        let on_ring = matches!(depths.get(&draft.resource), Some(None));
        if on_ring {
            blocked.push(Blocked {
                resource: draft.resource.clone(),
                code: BlockCode::Cycle,
                message: "its `from` leads back to itself".to_owned(),
            });
        }
        !on_ring
    });
}

/// The order of several jobs of one resource. No two are beside each other: each renders what it brings about on top of
/// what those before it do.
fn place(draft: &Draft) -> (Option<Phase>, JobType) {
    let phase = draft.job_type.kind().map(|kind| kind.phase);
    (phase, draft.job_type)
}

/// The site whose change the job of one of its environments brings about.
fn changes_site(draft: &Draft) -> Option<&str> {
    let mut effects = draft.effects.iter().map(|effect| &effect.resource);
    let is_of_site = |of: &ResourceId| matches!(of, ResourceId::Site(_)) && *of != draft.resource;
    effects.any(is_of_site).then(|| draft.resource.site())?
}

/// For each draft the indices of those that must have succeeded before it.
fn all_needs(drafts: &[Draft]) -> Vec<Vec<usize>> {
    let mut of_resource: HashMap<&ResourceId, Vec<usize>> = HashMap::default();
    for (index, draft) in drafts.iter().enumerate() {
        of_resource.entry(&draft.resource).or_default().push(index);
    }
    let mut of_site: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        if let Some(site) = changes_site(draft) {
            of_site.entry(site).or_default().push(index);
        }
    }
    drafts
        .iter()
        .map(|draft| {
            let mut needs = BTreeSet::new();
            // Its environments see of a site what is recorded of it when their turn comes.
            let site = draft.resource.site().and_then(|site| of_site.get(site));
            let others = site.into_iter().flatten().copied();
            needs.extend(others.filter(|index| drafts[*index].resource != draft.resource));
            for need in prerequisites(draft) {
                let makers = of_resource.get(&need).into_iter().flatten().copied();
                needs.extend(makers.filter(|index| {
                    drafts[*index].job_type.makes(&need) && need != draft.resource
                }));
            }
            let own = of_resource
                .get(&draft.resource)
                .into_iter()
                .flatten()
                .copied();
            needs.extend(own.filter(|index| place(&drafts[*index]) < place(draft)));
            needs.into_iter().collect()
        })
        .collect()
}

/// Whether `resource` is inside of the part that was asked for.
pub(super) fn is_chosen(resource: &ResourceId, choice: &Choice) -> bool {
    let mut targets = choice.targets.iter();
    (choice.targets.is_empty() || targets.any(|id| covers(id, resource)))
        && !is_excluded(resource, choice)
}

/// Whether `resource` is left out although something that was asked for may need it.
pub(super) fn is_excluded(resource: &ResourceId, choice: &Choice) -> bool {
    choice.excludes.iter().any(|id| covers(id, resource))
}

/// Keeps the changes without a job that were asked for, and those that the kept jobs read: of what they act on, of where
/// that is, and of the fleet.
pub(super) fn keep_records(plan: &mut Plan, input: &PlanInput<'_>) {
    let choice = &input.choice;
    let mut read = BTreeSet::new();
    // Without targets everything was asked for.
    let jobs = plan.jobs.iter().filter(|_| !choice.targets.is_empty());
    for job in jobs {
        let site = job.resource.site();
        read.extend([ResourceId::Fleet, ResourceId::Node(job.node.clone())]);
        read.extend(site.map(|site| ResourceId::Site(site.to_owned())));
        read.extend(job.environment(input.production_of));
    }
    plan.records.retain(|record| {
        let id = &record.resource;
        is_chosen(id, choice) || read.contains(id) && !is_excluded(id, choice)
    });
}

/// A site stands for its environments too.
fn covers(id: &ResourceId, resource: &ResourceId) -> bool {
    id == resource || matches!(id, ResourceId::Site(site) if resource.site() == Some(site))
}

/// The indices of the chosen drafts: targets with all that they need, without what is excluded
/// and all that needs it.
fn chosen(drafts: &[Draft], needs: &[Vec<usize>], choice: &Choice) -> Vec<usize> {
    let covered = |ids: &[ResourceId], draft: &Draft| {
        ids.iter().any(|id| {
            covers(id, &draft.resource)
                || draft
                    .effects
                    .iter()
                    .any(|effect| covers(id, &effect.resource))
        })
    };
    let mut kept: BTreeSet<usize> = (0..drafts.len())
        .filter(|index| choice.targets.is_empty() || covered(&choice.targets, &drafts[*index]))
        .collect();
    let mut open: Vec<usize> = kept.iter().copied().collect();
    while let Some(index) = open.pop() {
        open.extend(needs[index].iter().filter(|need| kept.insert(**need)));
    }
    // Drafts stand after what they need, so one pass sees every consequence.
    let mut left_out = BTreeSet::new();
    for index in 0..drafts.len() {
        if covered(&choice.excludes, &drafts[index])
            || needs[index].iter().any(|need| left_out.contains(need))
        {
            left_out.insert(index);
        }
    }
    kept.difference(&left_out).copied().collect()
}
