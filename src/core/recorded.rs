//! What the database holds about resources, as values: the other half of a diff.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fingerprint::Fingerprints;
use super::id::ResourceId;
use super::job::{UnknownWord, words};
use super::spec::{Spec, SpecHash};

macro_rules! uuid_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The `UUIDv7` of the moment `now` and ten random bytes.
            #[must_use]
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id! {
    /// The identity of one job.
    JobId
}
uuid_id! {
    /// The identity of one plan as it was queued.
    PlanId
}

words! {
    /// How a recorded resource is, mirroring the job that works on it.
    ResourceStatus, "resource status" {
        New = "new",
        Provisioning = "provisioning",
        Active = "active",
        Unreachable = "unreachable",
        Decommissioned = "decommissioned",
        Cloning = "cloning",
        Deploying = "deploying",
        Restoring = "restoring",
        Failed = "failed",
    }
}

/// What a diff needs of a recorded resource, small enough to read for a whole fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedHead {
    pub spec_hash: SpecHash,
    /// Counts the times that a spec was recorded, from 1.
    pub generation: u64,
    pub status: ResourceStatus,
    pub protect: bool,
    /// What its files are made of besides the spec.
    pub fingerprints: Fingerprints,
}

/// Where in the fleet repo a resource is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Source {
    pub file: String,
    pub line: u32,
}

/// What the last successful job left of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedResource {
    pub id: ResourceId,
    pub spec: Spec,
    pub spec_hash: SpecHash,
    pub generation: u64,
    pub status: ResourceStatus,
    /// The name of the node that it is on, if it is a site or an environment.
    pub node: Option<String>,
    /// A key of the recorded revisions: a commit, or `dirty:` and a digest.
    pub revision: String,
    pub source: Source,
    /// What its files are made of besides the spec.
    pub fingerprints: Fingerprints,
    pub protect: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
