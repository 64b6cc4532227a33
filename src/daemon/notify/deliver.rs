//! The thread that empties the outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::commit_status::{self, StatusTarget};
use super::message;
use super::post::Client;
use crate::clock;
use crate::core::id::ResourceId;
use crate::core::retry;
use crate::core::secret_owner::{Owners, Reserved, User};
use crate::daemon::error::DaemonError;
use crate::secrets::{self, Identity, Origin};
use crate::store::{Channel, Message, Store};

/// How often it is asked whether anything was written.
const TICK: Duration = Duration::from_millis(250);
/// How often the outbox is looked at although nothing was.
const LOOK: Duration = Duration::from_secs(5);
/// After a message the next one to the same place waits so long: what comes meanwhile is one
/// digest.
const GAP: SignedDuration = SignedDuration::from_secs(10);
/// How long after a first failure it is tried again.
const RETRY: SignedDuration = SignedDuration::from_secs(5);
/// So many failures in a row, which take about an hour and a half, are the end of what was to be
/// told.
const TRIES: u32 = 15;
/// So many messages go out as one.
const DIGEST: u32 = 1000;

/// What deliveries take.
#[expect(missing_debug_implementations, reason = "holds keys")]
pub struct Delivery {
    pub identity: Identity,
    pub statuses: Option<StatusTarget>,
    /// The names of secrets that are no addresses, whatever a fleet says.
    pub reserved: Reserved,
    /// Set when it is to end.
    pub end: Arc<AtomicBool>,
}

/// Delivers what is in the outbox until it is to end.
pub fn keep_delivering(store: &mut Store, delivery: &Delivery) {
    let client = Client::new();
    let mut version = None;
    let mut looked: Option<Instant> = None;
    while !delivery.end.load(Ordering::SeqCst) {
        let now_at = store.version().ok();
        let is_due = looked.is_none_or(|at| at.elapsed() >= LOOK);
        if is_due || now_at != version {
            (version, looked) = (now_at, Some(Instant::now()));
            if let Err(error) = deliver(store, delivery, &client, clock::now()) {
                tracing::warn!(%error, "cannot deliver notifications");
            }
        }
        thread::sleep(TICK);
    }
}

/// One round: everything that may go out at `now`.
fn deliver(
    store: &mut Store,
    delivery: &Delivery,
    client: &Client,
    now: Timestamp,
) -> Result<(), DaemonError> {
    for (channel, failures, messages) in store.deliverable(now, DIGEST)? {
        let result = send(store, delivery, client, &channel, &messages)?;
        let ids: Vec<u64> = messages.iter().map(|message| message.id).collect();
        let failures = failures + 1;
        let (wait, give_up) = match &result {
            // Hosts show each state of a commit; there is nothing to collect.
            Ok(()) if channel.name == commit_status::CHANNEL => (SignedDuration::ZERO, false),
            Ok(()) => (GAP, false),
            Err(_) => (
                retry::fetch_wait(RETRY, failures, rand::random()),
                failures >= TRIES,
            ),
        };
        if let Err(error) = &result {
            tracing::warn!(channel = %channel.name, %error, failures, "a notification was not taken");
        }
        let next_at = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let error = result.as_ref().err().map(String::as_str);
        store.delivered(&channel.name, &ids, error, give_up, next_at, now)?;
    }
    Ok(())
}

/// Sends messages to a channel; why they were not taken, if they were not.
fn send(
    store: &Store,
    delivery: &Delivery,
    client: &Client,
    channel: &Channel,
    messages: &[Message],
) -> Result<Result<(), String>, DaemonError> {
    if channel.name == commit_status::CHANNEL {
        return Ok(match &delivery.statuses {
            Some(target) => target.send(client, messages),
            None => Err("no git host is set up".to_owned()),
        });
    }
    let owners = Owners {
        grants: &[],
        reserved: &delivery.reserved,
    };
    if let Err(refused) = owners.check(&channel.name, &User::Resource(ResourceId::Fleet)) {
        return Ok(Err(refused.to_string()));
    }
    let origin = match &channel.secret_digest {
        Some(digest) => Origin::Repo {
            digest: digest.clone(),
        },
        None => Origin::Store,
    };
    let address = match secrets::reveal(store, &delivery.identity, &channel.name, &origin) {
        Ok(address) => address,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let fleet = store.recorded(&ResourceId::Fleet)?;
    let fleet = fleet.as_ref().and_then(|fleet| fleet.spec.str("name"));
    let (content_type, body) = message::body(&channel.format, fleet.unwrap_or("fleet"), messages);
    Ok(client.post(address.expose().trim(), &[], content_type, &body))
}
