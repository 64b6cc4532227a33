//! What the planner asks of a resource again and again: where it is, what it is, what keeps it from jobs.

use std::cell::RefCell;
use std::rc::Rc;

use super::PlanInput;
use crate::core::carrier::is_nothing;
use crate::core::fast_map::HashMap;
use crate::core::id::ResourceId;
use crate::core::spec::Spec;

/// A look at the resources of an input, each of which is made from what is kept of it once.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    input: &'a PlanInput<'a>,
    seen: RefCell<HashMap<ResourceId, Rc<About>>>,
}

/// What stays as it is recorded, or as it is going to be made, and what a document says now.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// Whether there is any such resource.
    pub(super) exists: bool,
    node: Option<String>,
    /// The environment that it is made from.
    pub(super) from: Option<String>,
    /// Of an environment.
    pub(super) is_production: bool,
    pub(super) is_suspended: bool,
    /// `present`, `drained` or `absent`, of a node.
    pub(super) state: Option<String>,
}

impl<'a> Sight<'a> {
    pub(super) fn new(input: &'a PlanInput<'a>) -> Self {
        let seen = RefCell::default();
        Self { input, seen }
    }

    pub(super) fn of(&self, id: &ResourceId) -> Rc<About> {
        if let Some(about) = self.seen.borrow().get(id) {
            return Rc::clone(about);
        }
        let about = Rc::new(self.look(id));
        self.seen.borrow_mut().insert(id.clone(), Rc::clone(&about));
        about
    }

    pub(super) fn is_recorded(&self, id: &ResourceId) -> bool {
        self.input.recorded.contains_key(id)
    }

    /// Why a resource that failed before gets no job now.
    pub(super) fn why_held(&self, id: &ResourceId) -> Option<&str> {
        self.input.choice.held.get(id).map(String::as_str)
    }

    pub(super) fn node_of(&self, id: &ResourceId) -> Option<String> {
        match id {
            ResourceId::Fleet => None,
            ResourceId::Node(name) => Some(name.clone()),
            ResourceId::Site(_) => self.of(id).node.clone(),
            ResourceId::Env { site, .. } => {
                let own = self.of(id).node.clone();
                own.or_else(|| self.of(&ResourceId::Site(site.clone())).node.clone())
            }
        }
    }

    fn look(&self, id: &ResourceId) -> About {
        let recorded = self.input.recorded_spec(id);
        let wanted = (self.input.lookup)(id);
        let standing = recorded.as_ref().or(wanted.as_ref());
        let text = |spec: Option<&Spec>, field| spec?.str(field).map(str::to_owned);
        let suspend = wanted.as_ref().and_then(|spec| spec.get("suspend"));
        About {
            exists: standing.is_some(),
            node: text(standing, "node"),
            from: text(standing, "from"),
            is_production: text(standing, "type").as_deref() == Some("production"),
            is_suspended: suspend.is_some_and(|value| !is_nothing(value)),
            state: text(wanted.as_ref(), "state"),
        }
    }
}
