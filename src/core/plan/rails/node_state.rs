//! A node that is drained takes nothing new, and one that is to be gone nothing at all.

use crate::core::id::ResourceId;
use crate::core::plan::order::Draft;
use crate::core::plan::sight::Sight;
use crate::core::plan::{Action, BlockCode};

pub(super) fn rail(
    sight: &Sight<'_>,
    draft: &Draft,
    _: &ResourceId,
) -> Option<(BlockCode, String)> {
    let node = ResourceId::Node(draft.node.clone());
    let about = sight.of(&node);
    let is_new = draft.action == Action::Create && draft.resource != node;
    match about.state.as_deref() {
        Some("absent") => {
            let message = format!("`{node}` is absent and takes nothing");
            Some((BlockCode::NodeNotAvailable, message))
        }
        Some(state) if state != "present" && is_new => {
            let message = format!("`{node}` is {state} and takes nothing new");
            Some((BlockCode::NodeNotAvailable, message))
        }
        Some(_) | None => None,
    }
}
