//! `suspend` of the fleet, a node, a site or an environment holds back all that is below it.

use crate::core::id::ResourceId;
use crate::core::plan::BlockCode;
use crate::core::plan::order::Draft;
use crate::core::plan::sight::Sight;

pub(super) fn rail(sight: &Sight<'_>, _: &Draft, id: &ResourceId) -> Option<(BlockCode, String)> {
    let site = id.site().map(|site| ResourceId::Site(site.to_owned()));
    let node = sight.node_of(id).map(ResourceId::Node);
    let mut holders = [Some(ResourceId::Fleet), Some(id.clone()), site, node].into_iter();
    let holder =
        holders.find_map(|holder| holder.filter(|holder| sight.of(holder).is_suspended))?;
    Some((BlockCode::Suspended, format!("`{holder}` is suspended")))
}
