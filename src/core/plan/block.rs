//! Why something has no job.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::core::job::{UnknownWord, words};

words! {
    /// The stable word for why something that is asked for has no job.
    BlockCode, "block code" {
        Suspended = "suspended",
        /// It failed before, and is left alone.
        Held = "held",
        OutsideWindow = "outside-window",
        /// Its node takes nothing new.
        NodeNotAvailable = "node-not-available",
        /// What it needs is blocked.
        DependencyBlocked = "dependency-blocked",
        /// What it needed failed.
        DependencyFailed = "dependency-failed",
        /// Environments are made from each other in a ring.
        Cycle = "cycle",
        /// Nothing of this version carries it out.
        NotSupported = "not-supported",
        /// It cannot change once the resource exists.
        FixedField = "fixed-field",
        /// No document asks for it any more.
        Removed = "removed",
    }
}

impl BlockCode {
    /// Whether it keeps a resource from being made at all, and with it what builds on it.
    #[must_use]
    pub fn holds_dependents(self) -> bool {
        match self {
            Self::Suspended | Self::Held | Self::NodeNotAvailable | Self::DependencyBlocked => true,
            Self::OutsideWindow
            | Self::DependencyFailed
            | Self::Cycle
            | Self::NotSupported
            | Self::FixedField
            | Self::Removed => false,
        }
    }

    /// Whether somebody wants it to wait.
    #[must_use]
    pub fn is_on_purpose(self) -> bool {
        matches!(self, Self::Suspended | Self::OutsideWindow)
    }

    /// Whether waiting changes nothing about it: it takes another document or another version. So it keeps nobody from
    /// saying that the rest is done.
    #[must_use]
    pub fn is_lasting(self) -> bool {
        matches!(self, Self::NotSupported | Self::FixedField | Self::Removed)
    }

    /// Whether it only waits for something else, which is told itself.
    #[must_use]
    pub fn is_told_elsewhere(self) -> bool {
        matches!(
            self,
            Self::Held | Self::DependencyBlocked | Self::DependencyFailed
        )
    }
}
