//! Telling people and git hosts: what has happened goes into an outbox with the note that it was
//! seen, and from there to where it is wanted. Nothing here ever holds up a reconcile.

mod channels;
mod commit_status;
mod deliver;
mod message;
mod post;
mod resolve;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::error::DaemonError;
use crate::core::condition::{ConditionKind, Standing};
use crate::core::document::fleet::NotifyEvent;
use crate::core::id::ResourceId;
use crate::core::job::ErrorCode;
use crate::core::notice::{self, Noted, Notice};
use crate::core::reconcile::Verdict;
use crate::store::{Channel, NewMessage, Sighting, Store};

pub(super) use channels::sync_channels;
pub use commit_status::{GitHost, StatusTarget};
pub use deliver::{Delivery, keep_delivering};

/// The subject of what is told about revisions of the fleet repo,
const REVISION: &str = "revision";
/// about a revision that nothing is left to do for,
const CONVERGED: &str = "converged";
/// and to a git host about a commit.
const STATUS: &str = "status";

/// Puts what has happened since the last time into the outbox; how many messages.
///
/// # Errors
/// When the database fails.
pub fn note_changes(store: &mut Store, now: Timestamp) -> Result<usize, DaemonError> {
    let channels = store.channels()?;
    if channels.is_empty() {
        return Ok(0);
    }
    let before = store.noted()?;
    let standings = store.standings(now)?;
    let newest = store.last_sighting()?;
    let mut changes = Changes {
        before: &before,
        noted: Vec::new(),
        notices: Vec::new(),
    };
    for standing in &standings {
        // The fleet itself has no jobs; its revisions are told about.
        if standing.id != ResourceId::Fleet {
            changes.of_resource(standing);
        }
    }
    if let Some(newest) = &newest {
        changes.of_revision(newest);
    }
    if let Some(done) = converged(store, newest.as_ref())? {
        changes.of_convergence(&done);
    }
    let (noted, notices) = (changes.noted, changes.notices);
    let mut messages: Vec<NewMessage> = notices
        .iter()
        .flat_map(|notice| {
            let wants = |channel: &&Channel| {
                channel
                    .events
                    .iter()
                    .any(|word| word == notice.event.as_str())
            };
            let told = channels.iter().filter(wants);
            told.map(|channel| NewMessage::new(&channel.name, notice))
        })
        .collect();
    let mut noted = noted;
    if channels
        .iter()
        .any(|channel| channel.name == commit_status::CHANNEL)
        && let Some(newest) = &newest
        && let Some(state) = status(newest, &standings, before.get(STATUS))
    {
        messages.push(state.1);
        noted.push((STATUS.to_owned(), state.0));
    }
    let known: BTreeSet<String> = standings
        .iter()
        .map(|standing| standing.id.to_string())
        .chain([REVISION, CONVERGED, STATUS].map(str::to_owned))
        .collect();
    let gone: Vec<String> = before
        .keys()
        .filter(|subject| !known.contains(*subject))
        .cloned()
        .collect();
    store.tell(&noted, &gone, &messages, now)?;
    Ok(messages.len())
}

/// The revision that nothing was left to do for last.
fn converged(store: &Store, newest: Option<&Sighting>) -> Result<Option<Sighting>, DaemonError> {
    if let Some(newest) = newest.filter(|newest| newest.verdict == Verdict::Accepted) {
        return Ok(newest.converged_at.is_some().then(|| newest.clone()));
    }
    let in_force = store.repository()?.and_then(|known| known.accepted);
    let recent = store.sightings(None, 100)?;
    Ok(recent
        .into_iter()
        .find(|seen| Some(&seen.revision.id) == in_force.as_ref() && seen.converged_at.is_some()))
}

struct Changes<'a> {
    before: &'a BTreeMap<String, Noted>,
    noted: Vec<(String, Noted)>,
    notices: Vec<Notice>,
}

impl Changes<'_> {
    fn of_resource(&mut self, standing: &Standing) {
        let subject = standing.id.to_string();
        let Some(now) = notice::settled(standing, self.before.get(&subject)) else {
            return;
        };
        let notice = Notice {
            event: NotifyEvent::Succeeded,
            subject: subject.clone(),
            code: now.code.clone(),
            reason: standing.condition.reason().map(str::to_owned),
            revision: standing.desired_revision.clone(),
            at: standing.changed_at,
        };
        self.note(subject, now, notice);
    }

    fn of_revision(&mut self, newest: &Sighting) {
        let revision = &newest.revision.id;
        let (kind, code, reason) = match (newest.verdict, &newest.refused) {
            (Verdict::Refused, Some(refused)) => (
                ConditionKind::Failed,
                Some(refused.code.as_str()),
                Some(refused.message.clone()),
            ),
            (Verdict::Invalid | Verdict::Refused, _) => (
                ConditionKind::Failed,
                Some("invalid-documents"),
                Some(first_error(newest)),
            ),
            (Verdict::Accepted | Verdict::Superseded, _) => (ConditionKind::Ready, None, None),
        };
        // Another commit with the same fault is news.
        let noted = Noted {
            kind,
            code: code.map(|code| format!("{code} {revision}")),
            revision: None,
        };
        let notice = Notice {
            event: NotifyEvent::Succeeded,
            subject: REVISION.to_owned(),
            code: code.map(str::to_owned),
            reason,
            revision: Some(revision.clone()),
            at: newest.seen_at,
        };
        self.note(REVISION.to_owned(), noted, notice);
    }

    fn of_convergence(&mut self, done: &Sighting) {
        let revision = Some(done.revision.id.clone());
        let known = self.before.get(CONVERGED);
        if known.is_some_and(|known| known.revision == revision) {
            return;
        }
        let noted = Noted {
            kind: ConditionKind::Ready,
            code: None,
            revision: revision.clone(),
        };
        // The state that a fleet is in when somebody begins to listen is no news.
        if !self.before.is_empty() {
            self.notices.push(Notice {
                event: NotifyEvent::Converged,
                subject: REVISION.to_owned(),
                code: None,
                reason: done.revision.message.clone(),
                revision,
                at: done.converged_at.unwrap_or(done.seen_at),
            });
        }
        self.noted.push((CONVERGED.to_owned(), noted));
    }

    /// Notes how a subject stands, and tells what that means.
    fn note(&mut self, subject: String, now: Noted, notice: Notice) {
        let before = self.before.get(&subject);
        if before == Some(&now) {
            return;
        }
        if let Some(event) = notice::event(before, &now, !self.before.is_empty()) {
            self.notices.push(Notice { event, ..notice });
        }
        self.noted.push((subject, now));
    }
}

fn first_error(newest: &Sighting) -> String {
    let first = newest.diagnostics.get(0);
    let text = |field: &str| {
        let value = first.and_then(|first| first.get(field));
        value.map_or_else(String::new, |value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
    };
    let more = newest.diagnostics.as_array().map_or(0, Vec::len);
    let more = match more {
        0 | 1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    format!(
        "{}:{}: {}{more}",
        text("file"),
        text("line"),
        text("message")
    )
}

/// What a git host is told about the newest commit, unless it was told.
fn status(
    newest: &Sighting,
    standings: &[Standing],
    before: Option<&Noted>,
) -> Option<(Noted, NewMessage)> {
    let commit = &newest.revision.id;
    if newest.revision.dirty || newest.verdict == Verdict::Superseded {
        return None;
    }
    let away = ErrorCode::AnsibleHostUnreachable.as_str();
    let failed = standings.iter().filter(|standing| {
        let kind = standing.condition.kind();
        kind == ConditionKind::Failed
            || (kind == ConditionKind::Stalled && standing.condition.code() != Some(away))
    });
    let (state, description) = match (newest.verdict, &newest.refused, failed.count()) {
        (Verdict::Refused, Some(refused), _) => ("failure", refused.message.clone()),
        (Verdict::Invalid | Verdict::Refused, ..) => ("failure", first_error(newest)),
        (_, _, 0) if newest.converged_at.is_some() => ("success", "applied".to_owned()),
        (_, _, 0) => ("pending", "being applied".to_owned()),
        (_, _, count) => ("failure", format!("{count} resources failed")),
    };
    let noted = Noted {
        kind: ConditionKind::Ready,
        code: Some(state.to_owned()),
        revision: Some(commit.clone()),
    };
    if before == Some(&noted) {
        return None;
    }
    let message = NewMessage {
        channel: commit_status::CHANNEL.to_owned(),
        event: STATUS.to_owned(),
        subject: commit.clone(),
        detail: json!({ "state": state, "description": description }),
    };
    Some((noted, message))
}
