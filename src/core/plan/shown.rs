//! The differences of a plan as they are shown: without secrets, and of what is made what somebody asked for first.

use std::borrow::Cow;

use super::secret::masked;
use super::{Action, Effect, PlannedJob, RecordOnly};
use crate::core::change::{Change, SpecPatch};
use crate::core::desired::defaults;
use crate::core::id::ResourceId;
use crate::core::spec::Spec;

/// Differences of one resource, and how many of it are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown<'a> {
    /// Whose they are, where that is not the resource of the job.
    pub of: Option<&'a ResourceId>,
    pub changes: Cow<'a, [Change]>,
    /// Left out, and asked for by a document.
    pub more: usize,
    /// Left out because it is what there is without a word.
    pub defaults: usize,
}

/// The differences that make something of nothing, of another resource than the job's where `of` names one.
#[must_use]
pub fn changes_of_new(patch: &SpecPatch, of: Option<&ResourceId>) -> Vec<Change> {
    told_of(patch.changes(&Spec::default()), of)
}

/// The changes as they are shown, with the resource whose they are.
fn told_of(changes: Vec<Change>, of: Option<&ResourceId>) -> Vec<Change> {
    let changes = changes.into_iter().map(masked);
    changes
        .map(|change| Change {
            resource: of.cloned(),
            ..change
        })
        .collect()
}

impl PlannedJob {
    /// Whose the effect is, where that is not the resource of the job.
    fn other<'a>(&self, effect: &'a Effect) -> Option<&'a ResourceId> {
        Some(&effect.resource).filter(|of| **of != self.resource)
    }

    /// All differences that it carries out.
    #[must_use]
    pub fn shown_changes(&self) -> Cow<'_, [Change]> {
        if self.action != Action::Create {
            return Cow::Borrowed(&self.changes);
        }
        let made = self.effects.iter();
        let of = |effect: &Effect| changes_of_new(&effect.patch, self.other(effect));
        Cow::Owned(made.flat_map(of).collect())
    }

    /// The differences by the resource whose they are; at most as many of each as are given, where it is made.
    #[must_use]
    pub fn shown(&self, most: Option<usize>) -> Vec<Shown<'_>> {
        if self.action != Action::Create {
            let of_one = self
                .changes
                .chunk_by(|one, next| one.resource == next.resource);
            let all = of_one.map(|changes| Shown {
                of: changes.first().and_then(|change| change.resource.as_ref()),
                changes: Cow::Borrowed(changes),
                more: 0,
                defaults: 0,
            });
            return all.collect();
        }
        let made = self.effects.iter();
        made.map(|effect| of_new(effect, self.other(effect), most))
            .collect()
    }
}

impl RecordOnly {
    /// Its differences; at most as many as are given, where all of it is new.
    #[must_use]
    pub fn shown(&self, most: Option<usize>) -> Shown<'_> {
        if self.changes.iter().all(|change| change.before.is_null()) {
            return of_new(&self.effect, None, most);
        }
        Shown {
            of: None,
            changes: Cow::Borrowed(&self.changes),
            more: 0,
            defaults: 0,
        }
    }
}

fn of_new<'a>(effect: &'a Effect, of: Option<&'a ResourceId>, most: Option<usize>) -> Shown<'a> {
    let Some(most) = most else {
        return Shown {
            of,
            changes: Cow::Owned(changes_of_new(&effect.patch, of)),
            more: 0,
            defaults: 0,
        };
    };
    let defaults = defaults(effect.resource.kind(), effect.patch.text_of_new("type"));
    let first = effect.patch.first_of_new(most, defaults);
    Shown {
        of,
        changes: Cow::Owned(told_of(first.changes, of)),
        more: first.more,
        defaults: first.defaults,
    }
}
