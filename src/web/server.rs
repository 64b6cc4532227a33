//! The listening side: connections, their limits, and the end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::events::Feeds;
use super::metrics::Meters;
use super::options::Options;
use super::pages::Pages;
use super::pool::Pool;
use super::seats::{Limits, Seats};
use super::standings::Standings;
use super::state::{App, Shared};
use super::throttle::{Pending, Rates};
use super::{connection, password, routes};
use crate::store::StoreError;

/// Why the endpoint cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("{0} is not a loopback address, and plain HTTP would show passwords to the network")]
    Plain(SocketAddr),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a template of the pages is wrong: {0}")]
    Template(String),
    #[error("cannot start: {0}")]
    Start(std::io::Error),
}

impl WebError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Listen { .. } => {
                Some("another program may listen there: choose another `listen_addr`")
            }
            Self::Plain(_) => Some(
                "listen on 127.0.0.1 and let a proxy on this machine speak TLS (`behind_proxy = \
                 true`), or say `plain_http = true` for a network that you trust",
            ),
            Self::Store(error) => error.hint(),
            Self::Template(_) | Self::Start(_) => None,
        }
    }
}

/// A status endpoint that listens already and answers as soon as it is run.
pub struct Server {
    runtime: Runtime,
    listeners: Vec<tokio::net::TcpListener>,
    addresses: Vec<SocketAddr>,
    app: App,
    stop: Arc<watch::Sender<bool>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// Ends a running endpoint, from any thread.
#[derive(Clone, Debug)]
pub struct Handle(Arc<watch::Sender<bool>>);

impl Handle {
    /// Lets requests finish and ends event streams; [`Server::run`] returns then.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Opens the database and the listening sockets.
    ///
    /// # Errors
    /// [`WebError`] when one of them cannot be opened, or an address would show passwords.
    pub fn bind(options: Options) -> Result<Self, WebError> {
        for address in &options.listen {
            if !address.ip().is_loopback() && !options.behind_proxy && !options.plain_http {
                return Err(WebError::Plain(*address));
            }
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(12)
            .thread_name("web")
            .enable_io()
            .enable_time()
            .build()
            .map_err(WebError::Start)?;
        let _entered = runtime.enter();
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for address in &options.listen {
            let wrong = |source| WebError::Listen {
                address: *address,
                source,
            };
            let listener = TcpListener::bind(address).map_err(wrong)?;
            listener.set_nonblocking(true).map_err(wrong)?;
            addresses.push(listener.local_addr().map_err(wrong)?);
            listeners.push(tokio::net::TcpListener::from_std(listener).map_err(wrong)?);
        }
        let (stop, stopped) = watch::channel(false);
        let pool = Pool::open(&options.database)?;
        let app = Arc::new(Shared {
            feeds: Feeds::new(pool.clone()),
            standings: Arc::new(Standings::new(pool.clone())),
            pool,
            allowed_hosts: options
                .allowed_hosts
                .iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            behind_proxy: options.behind_proxy,
            remotes: options.remotes,
            wake: options.wake,
            ready: options.ready,
            meters: Meters::default(),
            pages: Pages::new().map_err(|error| WebError::Template(format!("{error:#}")))?,
            hashing: Arc::new(Semaphore::new(2)),
            logins: Pending::new(2, 64),
            hooks: Pending::new(2, 8),
            seats: Arc::new(Seats::new(Limits::of(descriptors()))),
            hook_rates: Rates::new(30, Duration::from_secs(1)),
            stop: stopped,
        });
        drop(_entered);
        Ok(Self {
            runtime,
            listeners,
            addresses,
            app,
            stop: Arc::new(stop),
        })
    }

    /// Where it listens: with the port that the kernel chose where port 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What ends it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.stop))
    }

    /// Answers until [`Handle::stop`]; blocks this thread for as long.
    pub fn run(self) {
        let Self {
            runtime,
            listeners,
            app,
            ..
        } = self;
        runtime.spawn_blocking(password::warm_up);
        let router = routes::router(Arc::clone(&app));
        runtime.block_on(async {
            let mut accepting = JoinSet::new();
            for listener in listeners {
                accepting.spawn(connection::accept(
                    listener,
                    router.clone(),
                    Arc::clone(&app),
                ));
            }
            while accepting.join_next().await.is_some() {}
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// How many files this process may have open, sockets among them.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(1_024)
}
