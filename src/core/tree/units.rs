//! Units of systemd among the files.

use super::{Builder, Item};

/// A unit of the node.
pub(super) fn unit(name: &str, content: String) -> Item {
    Item::file(format!("/etc/systemd/system/{name}"), content).then("daemon-reload")
}

/// Settings of ours for a service that a package brings.
pub(super) fn drop_in(tree: &mut Builder, service: &str, content: String) {
    let folder = format!("{service}.d");
    tree.push(Item::directory(
        format!("/etc/systemd/system/{folder}"),
        "0755",
    ));
    tree.push(unit(&format!("{folder}/pressluft.conf"), content));
}

/// A unit that is not there.
pub(super) fn no_unit(name: &str) -> Item {
    Item::absent(format!("/etc/systemd/system/{name}")).then("daemon-reload")
}
