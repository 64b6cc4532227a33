//! What failed before is left alone for a while.

use crate::core::id::ResourceId;
use crate::core::plan::BlockCode;
use crate::core::plan::order::Draft;
use crate::core::plan::sight::Sight;

pub(super) fn rail(sight: &Sight<'_>, _: &Draft, id: &ResourceId) -> Option<(BlockCode, String)> {
    Some((BlockCode::Held, sight.why_held(id)?.to_owned()))
}
