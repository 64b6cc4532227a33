//! What the endpoint is told when it is opened.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::secrets::Secret;

/// How the status endpoint is set up.
#[expect(
    missing_debug_implementations,
    reason = "it holds secrets and functions"
)]
pub struct Options {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Host names that requests may ask for besides loopback ones, without ports.
    pub allowed_hosts: Vec<String>,
    /// Whether a proxy on this machine stands in front and ends TLS: cookies are then `Secure`,
    /// and `X-Forwarded-For` of that proxy tells where a request is from.
    pub behind_proxy: bool,
    /// Whether plain HTTP may be spoken on addresses that are not loopback.
    pub plain_http: bool,
    /// The database.
    pub database: PathBuf,
    /// Whose webhooks are believed.
    pub remotes: Vec<Remote>,
    /// Called, from any thread, when a webhook was believed.
    pub wake: Box<dyn Fn(Wake) + Send + Sync>,
    /// Why the process is not ready, asked by `/readyz`; nothing when it is.
    pub ready: Box<dyn Fn() -> Vec<NotReady> + Send + Sync>,
}

impl Options {
    /// The endpoint of `database` on 127.0.0.1:8080, with nothing to wake and always ready.
    #[must_use]
    pub fn new(database: &Path) -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))],
            allowed_hosts: Vec::new(),
            behind_proxy: false,
            plain_http: false,
            database: database.to_owned(),
            remotes: Vec::new(),
            wake: Box::new(|_| {}),
            ready: Box::new(Vec::new),
        }
    }
}

/// A git host whose webhooks are believed.
#[expect(missing_debug_implementations, reason = "it holds a secret")]
pub struct Remote {
    pub name: String,
    /// What both sides know: the key of the signature, or GitLab's token.
    pub secret: Secret<String>,
}

/// A webhook that was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The name of the remote.
    pub remote: String,
}

/// One reason why the process is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NotReady {
    pub reason: String,
    /// Whether it is something about a revision of the fleet repo.
    #[serde(skip)]
    pub is_of_revision: bool,
}
