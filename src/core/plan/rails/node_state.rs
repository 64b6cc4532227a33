//! A node that is drained takes nothing new.

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
    if draft.action != Action::Create || draft.resource == node {
        return None;
    }
    let about = sight.of(&node);
    let state = about.state.as_deref().filter(|state| *state != "present")?;
    let message = format!("`{node}` is {state} and takes nothing new");
    Some((BlockCode::NodeNotAvailable, message))
}
