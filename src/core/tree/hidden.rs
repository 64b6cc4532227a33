//! What a user of a node does not see, who is not root: logs, the names of sites, the processes of others.

use super::units::{drop_in, unit};
use super::{Builder, Item, RenderError};

/// Places what hides them.
///
/// # Errors
/// [`RenderError`] when a template is wrong.
pub(super) fn hide(
    tree: &mut Builder,
    render: &impl Fn(&str) -> Result<String, RenderError>,
) -> Result<(), RenderError> {
    // Its processes open the logs anew after each rotation, as their own user. It makes them readable
    // for everybody; its check makes them first, so they are closed before there is anything in them.
    tree.push(
        Item::directory("/var/log/nginx", "0750")
            .owned("root", "www-data", Some("0750"))
            .then("close-logs"),
    );
    tree.push(Item::directory("/etc/nginx/sites-enabled", "0750"));
    for folder in ["/etc/tmpfiles.d", "/etc/sysusers.d"] {
        tree.push(Item::directory(folder, "0755"));
    }
    tree.push(
        Item::file(
            "/etc/tmpfiles.d/pressluft.conf",
            render("systemd/tmpfiles.conf")?,
        )
        .then("tmpfiles"),
    );
    tree.push(
        Item::file(
            "/etc/sysusers.d/pressluft.conf",
            render("systemd/sysusers.conf")?,
        )
        .then("sysusers"),
    );
    for service in ["systemd-logind.service", "polkit.service"] {
        drop_in(tree, service, render("systemd/proc-group.conf")?);
    }
    tree.push(unit("pressluft-proc.service", render("systemd/proc.service")?).then("proc"));
    tree.push(Item::directory(
        "/etc/systemd/system/sysinit.target.wants",
        "0755",
    ));
    tree.push(Item::link(
        "/etc/systemd/system/sysinit.target.wants/pressluft-proc.service",
        "/etc/systemd/system/pressluft-proc.service",
    ));
    Ok(())
}
