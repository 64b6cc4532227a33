//! What all requests share.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::error::Result;
use super::events::Feeds;
use super::metrics::Meters;
use super::options::{NotReady, Remote, Wake};
use super::pages::Pages;
use super::pool::Pool;
use super::seats::Seats;
use super::standings::Standings;
use super::throttle::{Pending, Rates};

/// The running endpoint, one for all connections.
pub(super) type App = Arc<Shared>;

pub(super) struct Shared {
    pub(super) pool: Pool,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) behind_proxy: bool,
    pub(super) remotes: Vec<Remote>,
    pub(super) wake: Box<dyn Fn(Wake) + Send + Sync>,
    pub(super) ready: Box<dyn Fn() -> Vec<NotReady> + Send + Sync>,
    pub(super) meters: Meters,
    pub(super) standings: Arc<Standings>,
    pub(super) feeds: Feeds,
    pub(super) pages: Pages,
    /// Passwords that are looked at just now: each takes 19 MiB.
    pub(super) hashing: Arc<Semaphore>,
    /// Logins under way, by where they are from.
    pub(super) logins: Pending<IpAddr>,
    /// Webhook bodies that are read just now, by where they are from.
    pub(super) hooks: Pending<IpAddr>,
    pub(super) hook_rates: Rates<IpAddr>,
    /// The connections that are open.
    pub(super) seats: Arc<Seats>,
    /// True once the endpoint is to end.
    pub(super) stop: watch::Receiver<bool>,
}

/// Returns when the endpoint is to end.
pub(super) async fn ended(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody can say so any more, which is an end as well.
    drop(stop.wait_for(|stop| *stop).await);
}

impl Shared {
    /// Why the process is not ready: what its owner says, and whether the database answers.
    pub(super) async fn not_ready(&self) -> Vec<NotReady> {
        let mut reasons = (self.ready)();
        let answers: Result<_> = self.pool.read(|store| Ok(store.pause()?)).await;
        if let Err(failure) = answers {
            reasons.push(NotReady {
                reason: failure.body.message.into_owned(),
                is_of_revision: false,
            });
        }
        reasons
    }
}
