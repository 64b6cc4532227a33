//! What a reconcile is made for and what it makes of a revision, in words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::job::{UnknownWord, words};

words! {
    /// What woke the reconcile loop. It never decides what a pass does, only when.
    Cause, "cause" {
        Start = "start",
        Interval = "interval",
        Webhook = "webhook",
        /// A push into a repository on this machine.
        Hook = "hook",
        FileChange = "file-change",
        Signal = "signal",
        Command = "command",
        /// Jobs have ended, or something is due again.
        Jobs = "jobs",
    }
}

words! {
    /// What became of a revision of the fleet repo that was seen.
    Verdict, "verdict" {
        /// It is or was in force.
        Accepted = "accepted",
        /// Its documents have errors; the revision before it stays in force.
        Invalid = "invalid",
        /// It is not trusted; the revision before it stays in force.
        Refused = "refused",
        /// A newer one came before it was looked at.
        Superseded = "superseded",
    }
}

words! {
    /// Why a revision is not trusted.
    Refusal, "refusal" {
        /// It does not follow the revision in force: the branch was rewritten.
        NotFastForward = "not-fast-forward",
        /// A commit that came since carries no signature.
        Unsigned = "unsigned-commit",
        /// A signature is not by anybody on the list.
        UnknownSigner = "unknown-signer",
        /// A signature does not fit its commit.
        BadSignature = "bad-signature",
        /// The commits since the revision in force are not all there to be checked.
        MissingHistory = "missing-history",
        /// Files are not committed, and so nobody has signed them.
        Uncommitted = "uncommitted-files",
    }
}
