//! Plugins that the fleet forbids.

use super::Draft;
use crate::core::desired::findings::Findings;
use crate::core::document::read::Step;
use crate::core::document::site::ExtensionState;

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let Some(fleet) = &draft.fleet else { return };
    let denied = &fleet.value.deny_plugins;
    if denied.is_empty() {
        return;
    }
    for site in &draft.sites {
        for (position, plugin) in site.value.plugins.iter().enumerate() {
            if plugin.state != ExtensionState::Absent && denied.contains(&plugin.name) {
                let at = vec![
                    Step::Field("plugins"),
                    Step::Item(position),
                    Step::Field("name"),
                ];
                findings
                    .error(
                        &site.source,
                        at,
                        "denied-plugin",
                        format!("the fleet forbids the plugin `{}`", plugin.name),
                    )
                    .hint("remove it, or take it out of the fleet's `deny_plugins`");
            }
        }
    }
}
