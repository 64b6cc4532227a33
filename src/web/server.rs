//! The listening side: connections, their limits, and the end.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service;

use super::address::Peer;
use super::events::Feeds;
use super::metrics::Meters;
use super::options::Options;
use super::pages::Pages;
use super::pool::Pool;
use super::stalled::Stalled;
use super::standings::Standings;
use super::state::{App, Shared, ended};
use super::throttle::{Pending, Rates};
use super::{password, routes};
use crate::store::StoreError;

/// The most connections at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 1_024;
/// How long a client may take for its headers, and how long an idle connection is kept.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of headers that are read at most.
const LARGEST_HEADERS: usize = 16 * 1024;
/// How long requests may take to finish when the endpoint ends.
const END_PATIENCE: Duration = Duration::from_secs(10);

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
            hashing: Semaphore::new(2),
            logins: Pending::new(2, 64),
            hooks: Semaphore::new(8),
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
            let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
            let mut accepting = JoinSet::new();
            for listener in listeners {
                accepting.spawn(accept(
                    listener,
                    router.clone(),
                    app.stop.clone(),
                    Arc::clone(&room),
                ));
            }
            while accepting.join_next().await.is_some() {}
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// Takes connections until the end, then waits for those that are left.
async fn accept(
    listener: tokio::net::TcpListener,
    router: Router,
    mut stop: watch::Receiver<bool>,
    room: Arc<Semaphore>,
) {
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            break;
        };
        tokio::select! {
            () = ended(&mut stop) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer, router.clone(), stop.clone(), permit));
                }
                Err(error) => {
                    // Such as too many open files; some of them are closed in a moment.
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let left = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(END_PATIENCE, left).await.is_err() {
        tracing::warn!("connections did not end in time");
    }
}

async fn serve(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    router: Router,
    mut stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended at once");
        return;
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(unfailing(router.call(request.map(Body::new)).await)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(LARGEST_HEADERS)
        .serve_connection(TokioIo::new(Stalled::new(stream)), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = ended(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke");
    }
}

fn unfailing<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
    }
}
