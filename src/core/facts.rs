//! What a node said about itself at provisioning; rendering needs it, so it is recorded.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most addresses of one kind that a node has.
const MOST_ADDRESSES: usize = 64;
const LONGEST_WORD: usize = 64;
const LONGEST_KERNEL: usize = 128;
/// More bytes than any machine has.
const MOST_BYTES: u64 = 1 << 53;
const MOST_CPUS: u32 = 65_536;
/// The most of a wrong value that is shown.
const SHOWN: usize = 60;

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

/// Facts that no node has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongFacts {
    #[error("{0}")]
    Shape(String),
    #[error("`{field}` is `{value}`")]
    Value { field: &'static str, value: String },
    #[error("`{0}` has more than {MOST_ADDRESSES} addresses")]
    TooMany(&'static str),
    #[error("they have a field that is none of theirs")]
    Field,
}

impl NodeFacts {
    /// The facts in what a node has answered.
    ///
    /// # Errors
    /// When one is missing or is not what a node can have, or there is another one.
    pub fn read(value: &Value) -> Result<Self, WrongFacts> {
        let facts = Self::deserialize(value)
            .map_err(|error| WrongFacts::Shape(cut(&error.to_string()).to_owned()))?;
        facts.check()?;
        match serde_json::to_value(&facts) {
            Ok(ours) if ours == *value => Ok(facts),
            Ok(_) | Err(_) => Err(WrongFacts::Field),
        }
    }

    /// Whether the node knows what machine it is: an image that has not booted yet does not.
    #[must_use]
    pub fn has_machine_id(&self) -> bool {
        !matches!(self.machine_id.as_str(), "" | "uninitialized")
    }

    fn check(&self) -> Result<(), WrongFacts> {
        for (field, text) in [
            ("distribution", &self.distribution),
            ("version", &self.version),
            ("codename", &self.codename),
            ("architecture", &self.architecture),
            ("machine_id", &self.machine_id),
            ("python", &self.python),
        ] {
            word(field, text, LONGEST_WORD)?;
        }
        word("kernel", &self.kernel, LONGEST_KERNEL)?;
        word("hostname", &self.hostname, LONGEST_WORD)?;
        if let Some(kind) = &self.virtualization {
            word("virtualization", kind, LONGEST_WORD)?;
        }
        if let Some(address) = &self.control_address {
            require(
                "control_address",
                address,
                address.parse::<std::net::IpAddr>().is_ok(),
            )?;
        }
        addresses("ipv4", &self.ipv4, |text| text.parse::<Ipv4Addr>().is_ok())?;
        addresses("ipv6", &self.ipv6, |text| text.parse::<Ipv6Addr>().is_ok())?;
        for (field, bytes) in [
            ("memory_bytes", self.memory_bytes),
            ("disk_free_bytes", self.disk_free_bytes),
        ] {
            require(field, &bytes.to_string(), bytes <= MOST_BYTES)?;
        }
        let cpus = self.cpus;
        require("cpus", &cpus.to_string(), (1..=MOST_CPUS).contains(&cpus))
    }
}

/// Letters, digits and what stands between them in names and versions.
fn word(field: &'static str, text: &str, longest: usize) -> Result<(), WrongFacts> {
    let may_be = |c: char| c.is_ascii_alphanumeric() || "._+~:-".contains(c);
    require(
        field,
        text,
        text.len() <= longest && text.chars().all(may_be),
    )
}

fn addresses(
    field: &'static str,
    texts: &[String],
    is_address: impl Fn(&str) -> bool,
) -> Result<(), WrongFacts> {
    if texts.len() > MOST_ADDRESSES {
        return Err(WrongFacts::TooMany(field));
    }
    texts
        .iter()
        .try_for_each(|text| require(field, text, is_address(text)))
}

fn require(field: &'static str, text: &str, holds: bool) -> Result<(), WrongFacts> {
    if holds {
        return Ok(());
    }
    let value = cut(&super::event::visible(text)).replace('\n', "\\n");
    Err(WrongFacts::Value { field, value })
}

/// A value that a node said, short enough to be told.
pub(super) fn shown(value: &Value) -> String {
    cut(&value.to_string()).to_owned()
}

fn cut(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(SHOWN)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}
