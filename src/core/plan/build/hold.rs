//! What is held back on purpose, and by whom.

use super::Work;
use crate::core::aspect::is_nothing;
use crate::core::id::ResourceId;
use crate::core::plan::BlockCode;

impl Work<'_> {
    /// Whether `id` gets no job now, because it or what it belongs to is suspended, or because it
    /// failed before; says so in the plan then.
    pub(super) fn is_held_back(&mut self, id: &ResourceId) -> bool {
        if let Some(reason) = self.input.choice.held.get(id) {
            self.block(id, BlockCode::Held, reason.clone());
            return true;
        }
        self.is_suspended(id)
    }

    fn is_suspended(&mut self, id: &ResourceId) -> bool {
        let mut holders = vec![ResourceId::Fleet, id.clone()];
        holders.extend(id.site().map(|site| ResourceId::Site(site.to_owned())));
        holders.extend(self.node_of(id).map(ResourceId::Node));
        let suspended = holders.into_iter().find(|holder| {
            self.spec(holder)
                .and_then(|spec| spec.get("suspend").cloned())
                .is_some_and(|value| !is_nothing(&value))
        });
        if let Some(holder) = suspended {
            self.block(id, BlockCode::Suspended, format!("`{holder}` is suspended"));
            return true;
        }
        false
    }

    /// Whether the node takes nothing new; says so in the plan if it does not.
    pub(super) fn is_held_by_node(&mut self, id: &ResourceId, node: &str) -> bool {
        let node_id = ResourceId::Node(node.to_owned());
        let state = self
            .spec(&node_id)
            .and_then(|spec| spec.str("state").map(str::to_owned));
        if let Some(state) = state.filter(|state| state != "present") {
            self.block(
                id,
                BlockCode::NodeNotAvailable,
                format!("`{node_id}` is {state} and takes nothing new"),
            );
            return true;
        }
        false
    }
}
