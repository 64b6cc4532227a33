//! Nodes that do not answer: they are asked, and their jobs run when they do.

use std::thread;

use jiff::{SignedDuration, Timestamp};

use super::{Dispatcher, Message};
use crate::clock;
use crate::core::retry;
use crate::daemon::error::DaemonError;
use crate::daemon::run::probe;
use crate::daemon::run::progress::Progress;
use crate::store::UnreachableNode;

/// How many nodes are probed at once.
const PROBES: usize = 16;
/// No probe is planned further ahead than this; a clock that was set back may say so.
const FARTHEST_PROBE: SignedDuration = SignedDuration::from_secs(600);

impl Dispatcher<'_> {
    /// Asks nodes that do not answer whether they do now, each in a thread of its own.
    pub(super) fn probe(&mut self) -> Result<(), DaemonError> {
        let now = clock::now();
        let nodes = self.store.unreachable_nodes()?;
        let unasked = self
            .unasked
            .get_or_insert_with(|| nodes.iter().map(|node| node.node.clone()).collect());
        for node in nodes {
            let ahead = node.next_probe_at.duration_since(now);
            let is_due =
                !ahead.is_positive() || ahead > FARTHEST_PROBE || unasked.contains(&node.node);
            if node.answers || !is_due || self.probing.contains(&node.node) {
                continue;
            }
            if self.probing.len() >= PROBES {
                // The others have their turn when these have had theirs.
                return Ok(());
            }
            unasked.remove(&node.node);
            self.probing.insert(node.node.clone());
            let sender = self.sender.clone();
            thread::Builder::new()
                .name(format!("probe {}", node.node))
                .spawn(move || {
                    let answers = probe::answers(&node.host, node.port);
                    // Nobody reads it when the run is over.
                    drop(sender.send(Message::Probed(node, answers)));
                })
                .map_err(DaemonError::Thread)?;
        }
        Ok(())
    }

    /// What a node that was asked has said.
    pub(super) fn probed(
        &mut self,
        node: &UnreachableNode,
        answers: bool,
    ) -> Result<(), DaemonError> {
        self.probing.remove(&node.node);
        let now = clock::now();
        if answers {
            self.looked = None;
            if self.store.node_answers(&node.node, &self.worker, now)? {
                (self.watch)(Progress::NodeAnswers {
                    node: node.node.clone(),
                });
            }
        } else {
            let away = now.duration_since(node.since);
            let wait = retry::probe_wait(away, node.attempts, rand::random());
            let next = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
            self.store.probe_failed(&node.node, next)?;
        }
        Ok(())
    }
}
