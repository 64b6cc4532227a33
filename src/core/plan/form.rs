//! What a job brings about: the form that it renders is the one that its success leaves in the record.
//!
//! Not the wanted form: a part of that may be blocked, or the business of a job that comes later or fails.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::{Effect, Plan, PlannedJob};
use crate::core::change::SpecPatch;
use crate::core::fast_map::HashMap;
use crate::core::id::ResourceId;
use crate::core::spec::Spec;

/// The forms that the resources of a plan have for its jobs.
#[derive(Debug)]
pub struct Forms<'a> {
    plan: &'a Plan,
    numbers: HashMap<&'a str, usize>,
    /// What is recorded before any job begins.
    records: HashMap<&'a ResourceId, &'a Effect>,
    /// The jobs that have an effect on a resource, in the order of the plan.
    changed_by: HashMap<&'a ResourceId, Vec<usize>>,
    /// The job that was asked for last, with all that it waits for: each is asked for several times.
    last: RefCell<(usize, BTreeSet<usize>)>,
}

impl<'a> Forms<'a> {
    #[must_use]
    pub fn new(plan: &'a Plan) -> Self {
        let mut changed_by: HashMap<&ResourceId, Vec<usize>> = HashMap::default();
        for (number, job) in plan.jobs.iter().enumerate() {
            for effect in &job.effects {
                let jobs = changed_by.entry(&effect.resource).or_default();
                if jobs.last() != Some(&number) {
                    jobs.push(number);
                }
            }
        }
        let numbers = plan.jobs.iter().enumerate();
        let records = plan.records.iter();
        Self {
            plan,
            numbers: numbers
                .map(|(number, job)| (job.id.as_str(), number))
                .collect(),
            records: records
                .map(|record| (&record.resource, &record.effect))
                .collect(),
            changed_by,
            last: RefCell::default(),
        }
    }

    /// The jobs that the form of a resource rests on while `job` runs: itself, and those that it waits for. Two jobs with
    /// the same ones see the same form.
    #[must_use]
    pub fn rests_on(&self, job: &PlannedJob, id: &ResourceId) -> Vec<usize> {
        let Some(changed_by) = self.changed_by.get(id) else {
            return Vec::new();
        };
        let Some(number) = self.numbers.get(job.id.as_str()).copied() else {
            return Vec::new();
        };
        let mut last = self.last.borrow_mut();
        // A job waits for itself at least.
        if last.0 != number || last.1.is_empty() {
            *last = (number, self.done_with(number));
        }
        let jobs = changed_by.iter().copied();
        jobs.filter(|number| last.1.contains(number)).collect()
    }

    /// The numbers of the job and of all that it waits for.
    fn done_with(&self, number: usize) -> BTreeSet<usize> {
        let mut next = vec![number];
        let mut done = BTreeSet::new();
        let number = |id: &String| self.numbers.get(id.as_str()).copied();
        while let Some(number_of_next) = next.pop() {
            if done.insert(number_of_next) {
                let after = self.plan.jobs.get(number_of_next);
                next.extend(after.iter().flat_map(|job| &job.after).filter_map(number));
            }
        }
        done
    }

    /// The patch that a form comes from alone, where nothing was recorded before the plan and it is plain what it makes.
    #[must_use]
    pub fn made_by(&self, id: &ResourceId, jobs: &[usize]) -> Option<&'a SpecPatch> {
        let [number] = jobs else { return None };
        let job = self.plan.jobs.get(*number)?;
        let mut own = job.effects.iter().filter(|effect| effect.resource == *id);
        let patch = &own.next()?.patch;
        let is_alone = own.next().is_none() && !self.records.contains_key(id);
        (is_alone && patch.is_canonical()).then_some(patch)
    }

    /// The form of a resource once these jobs have succeeded; none when nothing has made it.
    #[must_use]
    pub fn form(&self, id: &ResourceId, jobs: &[usize], recorded: Option<Spec>) -> Option<Spec> {
        let of_jobs = jobs.iter().filter_map(|number| self.plan.jobs.get(*number));
        let of_jobs = of_jobs.flat_map(|job| &job.effects);
        let effects = self.records.get(id).copied().into_iter().chain(of_jobs);
        effects
            .filter(|effect| effect.resource == *id)
            .fold(recorded, |form, effect| {
                Some(effect.patch.apply(&form.unwrap_or_default()))
            })
    }
}
