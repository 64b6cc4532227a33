//! One machine is one node: two of them would be configured over each other.
//!
//! A machine is known by the address and the port of its SSH server: behind one address there may be several machines,
//! each with a port of its own. Visitors come to one port, so a public address leads to one machine. Where names lead
//! is not looked up here; what machine a node really is shows at the first contact.

use std::collections::HashMap;

use super::Index;
use crate::core::desired::Resource;
use crate::core::desired::findings::Findings;
use crate::core::document::Node;
use crate::core::document::node::NodeState;
use crate::core::document::read::Step;

/// What only one node can have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::core::desired) enum Mark {
    /// An address at which its SSH server is.
    Server(String, u16),
    PublicAddress(String),
    HostKey(String),
}

/// What tells the machine of a node from others, with the field that says so.
pub(in crate::core::desired) fn marks(node: &Node) -> Vec<(&'static [&'static str], Mark)> {
    const HOST: &[&str] = &["host"];
    const PUBLIC_IP: &[&str] = &["public_ip"];
    if node.state == NodeState::Absent {
        return Vec::new();
    }
    let port = node.ssh.port.get();
    let host = match node.host.as_str() {
        "localhost" | "::1" => "127.0.0.1",
        host => host,
    };
    let mut marks = vec![(HOST, Mark::Server(host.to_owned(), port))];
    if let Some(ip) = &node.public_ip {
        marks.push((PUBLIC_IP, Mark::PublicAddress(ip.to_string())));
        if ip.as_str() != host {
            marks.push((PUBLIC_IP, Mark::Server(ip.to_string(), port)));
        }
    }
    if let Some(key) = &node.ssh.host_key {
        marks.push((&["ssh", "host_key"], Mark::HostKey(key.to_string())));
    }
    marks
}

pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    let mut known: HashMap<Mark, &Resource<Node>> = HashMap::new();
    for node in &index.draft.nodes {
        let mut told: Vec<&[&str]> = Vec::new();
        for (path, mark) in marks(&node.value) {
            // What cannot be read is like nothing else.
            let is_server = matches!(mark, Mark::Server(..));
            if path.first().is_some_and(|field| node.source.lost(field))
                || (is_server && node.source.lost("ssh"))
            {
                continue;
            }
            let first = *known.entry(mark.clone()).or_insert(node);
            if first.value.name == node.value.name || told.contains(&path) {
                continue;
            }
            told.push(path);
            let is_host = |node: &Node| marks(node).first().map(|(_, host)| host) == Some(&mark);
            let (code, what, hint) = match &mark {
                Mark::Server(..) if is_host(&node.value) && is_host(&first.value) => (
                    "duplicate-host",
                    format!("the host `{}`", node.value.host),
                    SERVER,
                ),
                Mark::Server(address, _) => (
                    "duplicate-address",
                    format!("the address `{address}`"),
                    SERVER,
                ),
                Mark::PublicAddress(address) => (
                    "duplicate-address",
                    format!("the address `{address}`"),
                    PUBLIC,
                ),
                Mark::HostKey(_) => ("duplicate-host-key", "this key".to_owned(), KEY),
            };
            let message = format!("{what} is also that of `{}`", first.id());
            let path: Vec<Step> = path.iter().copied().map(Step::Field).collect();
            findings.error(&node.source, path, code, message).hint(hint);
        }
    }
}

const SERVER: &str =
    "every node is a machine of its own; several behind one address differ in `ssh.port`";
const PUBLIC: &str =
    "visitors come to the same ports of every node: correct one `public_ip`, or remove it";
const KEY: &str = "two machines with one key are one, or were made from one image: give each a key of its own \
                   with `ssh-keygen -A`";
