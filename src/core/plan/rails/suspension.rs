//! `suspend` of the fleet, a node, a site or an environment holds back all that is below it.

use crate::core::id::ResourceId;
use crate::core::plan::BlockCode;
use crate::core::plan::order::Draft;
use crate::core::plan::sight::Sight;

pub(super) fn rail(sight: &Sight<'_>, _: &Draft, id: &ResourceId) -> Option<(BlockCode, String)> {
    let is_suspended = |holder: &ResourceId| sight.of(holder).is_suspended;
    let above = || {
        let site = id.site().map(|site| ResourceId::Site(site.to_owned()));
        let node = sight.node_of(id).map(ResourceId::Node);
        [site, node].into_iter().flatten().find(is_suspended)
    };
    let holder = match (is_suspended(&ResourceId::Fleet), is_suspended(id)) {
        (true, _) => ResourceId::Fleet,
        (false, true) => id.clone(),
        (false, false) => above()?,
    };
    Some((BlockCode::Suspended, format!("`{holder}` is suspended")))
}
