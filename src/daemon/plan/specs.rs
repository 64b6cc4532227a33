//! The specs that one planning pass looks at: what documents ask for, and what is recorded.
//!
//! All specs of a large fleet take more memory than everything else. So each is made or read when
//! it is asked for, and only those are kept that are going to be asked for again.

use std::cell::RefCell;

use super::super::error::DaemonError;
use crate::core::fast_map::HashMap;
use crate::core::id::ResourceId;
use crate::core::spec::{Spec, SpecHash};
use crate::git::DesiredState;
use crate::store::Store;

/// How many nodes are remembered: all sites and environments ask for theirs.
const NODES: usize = 2_048;

/// How many sites and environments are: those that come one after another.
const OTHERS: usize = 32;

/// The form of a resource with this spec.
pub(super) type FormOf<'a> = dyn Fn(&ResourceId, &Spec) -> SpecHash + 'a;

/// The specs of one pass. The planner is pure and asks for them as values, so what cannot be read is
/// remembered, and is the end of the pass.
pub(super) struct Specs<'a> {
    pub(super) desired: &'a DesiredState,
    store: Option<&'a Store>,
    failure: RefCell<Option<DaemonError>>,
    wanted: RefCell<Recent>,
    recorded: RefCell<Recent>,
    /// What gives the form of a spec, where those that are made are noted.
    form: Option<&'a FormOf<'a>>,
    noted: RefCell<HashMap<ResourceId, SpecHash>>,
}

impl<'a> Specs<'a> {
    pub(in crate::daemon) fn new(desired: &'a DesiredState, store: Option<&'a Store>) -> Self {
        Self {
            desired,
            store,
            failure: RefCell::default(),
            wanted: RefCell::default(),
            recorded: RefCell::default(),
            form: None,
            noted: RefCell::default(),
        }
    }

    /// The same, where the forms of all resources are going to be asked for once their specs are gone.
    pub(super) fn that_note(self, form: &'a FormOf<'a>) -> Self {
        Self {
            form: Some(form),
            ..self
        }
    }

    /// What a document asks for, if there is one and it can be read.
    pub(in crate::daemon) fn wanted(&self, id: &ResourceId) -> Option<Spec> {
        self.recent(&self.wanted, id, || {
            let spec = self.desired.spec(id)?;
            if let (Some(form), Some(spec)) = (self.form, &spec) {
                self.noted.borrow_mut().insert(id.clone(), form(id, spec));
            }
            Ok(spec)
        })
    }

    /// The form that a document asks for.
    pub(super) fn form(&self, id: &ResourceId) -> Option<SpecHash> {
        if let Some(noted) = self.noted.borrow().get(id) {
            return Some(*noted);
        }
        Some(self.form?(id, &self.wanted(id)?))
    }

    /// What is recorded of a resource.
    pub(in crate::daemon) fn recorded(&self, id: &ResourceId) -> Option<Spec> {
        let store = self.store?;
        self.recent(&self.recorded, id, || {
            Ok(store.recorded(id)?.map(|recorded| recorded.spec))
        })
    }

    /// Fails when anything could not be read.
    pub(super) fn finish(self) -> Result<(), DaemonError> {
        self.failure.into_inner().map_or(Ok(()), Err)
    }

    /// What was found; a failure is the end of the pass.
    fn kept<T>(&self, found: Result<Option<T>, DaemonError>) -> Option<T> {
        found.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            None
        })
    }

    fn recent(
        &self,
        recent: &RefCell<Recent>,
        id: &ResourceId,
        make: impl FnOnce() -> Result<Option<Spec>, DaemonError>,
    ) -> Option<Spec> {
        if let Some(known) = recent.borrow_mut().of(id).0.get(id) {
            return known.clone();
        }
        let made = self.kept(make());
        let mut recent = recent.borrow_mut();
        let (known, most) = recent.of(id);
        if known.len() >= most {
            known.clear();
        }
        known.insert(id.clone(), made.clone());
        made
    }
}

/// The specs that were asked for last.
#[derive(Default)]
struct Recent {
    nodes: HashMap<ResourceId, Option<Spec>>,
    others: HashMap<ResourceId, Option<Spec>>,
}

impl Recent {
    /// Where a resource is remembered, and how many are there.
    fn of(&mut self, id: &ResourceId) -> (&mut HashMap<ResourceId, Option<Spec>>, usize) {
        match id {
            ResourceId::Fleet | ResourceId::Node(_) => (&mut self.nodes, NODES),
            ResourceId::Site(_) | ResourceId::Env { .. } => (&mut self.others, OTHERS),
        }
    }
}
