//! What a node said about itself at provisioning; rendering needs it, so it is recorded.

use serde::{Deserialize, Serialize};

/// The facts of one node, as the module `pressluft.host.facts` returns them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeFacts {
    /// `debian` or `ubuntu`, from `/etc/os-release`.
    pub distribution: String,
    /// For example `12` or `24.04`.
    pub version: String,
    pub codename: String,
    /// In dpkg's words: `amd64`, `arm64`.
    pub architecture: String,
    pub kernel: String,
    pub memory_bytes: u64,
    pub cpus: u32,
    pub machine_id: String,
    pub hostname: String,
    pub python: String,
    /// Where the control plane's SSH connection came from, as the node saw it.
    pub control_address: Option<String>,
    pub ipv4: Vec<String>,
    pub ipv6: Vec<String>,
    /// What systemd calls the kind of machine: `kvm`, `systemd-nspawn`, `none`, …
    pub virtualization: Option<String>,
    /// Whether systemd runs as the first process; nothing works without.
    pub systemd: bool,
    /// Of the file system that holds `/var`.
    pub disk_free_bytes: u64,
}
