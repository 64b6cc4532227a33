//! How the status endpoint is opened: `PRESSLUFT_LISTEN_ADDR`, then `pressluft.toml`.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::{self, JoinHandle};

use serde_json::json;

use super::context::Context;
use super::env::env_text;
use super::error::CliError;
use super::exit::Exit;
use super::settings::{ListenAddr, Settings};
use super::{git_settings, output};
use crate::core::causes::chain;
use crate::core::reconcile::Cause;
use crate::daemon::{Hindrance, Shared};
use crate::secrets::Secret;
use crate::store::Store;
use crate::web::{Handle, NotReady, Options, Remote, Server, WebError};

/// Says that there is to be no endpoint.
const OFF: &str = "off";

/// An endpoint that answers in a thread of its own.
#[derive(Debug)]
pub(crate) struct Endpoint {
    handle: Handle,
    thread: JoinHandle<()>,
}

impl Endpoint {
    /// Lets requests finish and ends event streams.
    pub(crate) fn end(self) {
        self.handle.stop();
        if self.thread.join().is_err() {
            tracing::error!("the status endpoint broke off");
        }
    }
}

/// Opens the endpoint of a daemon, or none where the settings say so.
///
/// # Errors
/// When a setting is wrong, a secret cannot be opened, or an address cannot be had.
pub(crate) fn open(
    context: &Context,
    store: &Store,
    shared: &Shared,
    is_json: bool,
) -> Result<Option<Endpoint>, CliError> {
    let settings = &context.settings;
    let listen = addresses(settings)?;
    if listen.is_empty() {
        return Ok(None);
    }
    let waker = shared.waker.clone();
    let readiness = shared.readiness.clone();
    let options = Options {
        listen,
        allowed_hosts: settings.allowed_hosts.clone(),
        behind_proxy: settings.behind_proxy,
        plain_http: settings.plain_http,
        remotes: remotes(context, store)?,
        wake: Box::new(move |_| waker.wake(Cause::Webhook)),
        ready: Box::new(move || {
            let reasons = readiness.reasons().into_iter();
            let said = reasons.map(|reason| NotReady {
                reason: reason.to_string(),
                is_of_revision: matches!(
                    reason.what,
                    Hindrance::RevisionInvalid | Hindrance::RevisionRefused
                ),
            });
            said.collect()
        }),
        ..Options::new(&context.db_path)
    };
    let server = Server::bind(options).map_err(|error| refused(&error))?;
    for address in server.addresses() {
        let url = format!("http://{address}/");
        if is_json {
            output::json_line(&json!({ "type": "listening", "url": url }))?;
        } else {
            output::note(&format!("the status endpoint is at {url}"))?;
        }
    }
    let handle = server.handle();
    let thread = thread::Builder::new()
        .name("web".to_owned())
        .spawn(move || server.run())?;
    Ok(Some(Endpoint { handle, thread }))
}

fn addresses(settings: &Settings) -> Result<Vec<SocketAddr>, CliError> {
    let (said, texts) = match (env_text("PRESSLUFT_LISTEN_ADDR"), &settings.listen_addr) {
        (Some(text), _) => {
            let texts = text.split(',').map(|part| part.trim().to_owned()).collect();
            ("PRESSLUFT_LISTEN_ADDR", texts)
        }
        (None, Some(ListenAddr::One(text))) => ("listen_addr", vec![text.clone()]),
        (None, Some(ListenAddr::Many(texts))) => ("listen_addr", texts.clone()),
        (None, None) => return Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))]),
    };
    if texts == [OFF] {
        return Ok(Vec::new());
    }
    let address = |text: &String| {
        text.parse().map_err(|_| {
            CliError::new(format!("`{said}`: `{text}` is no address with a port"))
                .exit(Exit::Usage)
                .hint("write it like `127.0.0.1:8080` or `[::1]:8080`, or `off` for no endpoint")
        })
    };
    texts.iter().map(address).collect()
}

fn remotes(context: &Context, store: &Store) -> Result<Vec<Remote>, CliError> {
    let mut remotes = Vec::new();
    for (name, secret) in &context.settings.webhooks {
        let value = git_settings::revealed(context, store, Some(secret))?.unwrap_or_default();
        // An empty secret would believe everybody.
        if value.is_empty() {
            return Err(
                CliError::new(format!("the secret of the webhook `{name}` is empty"))
                    .exit(Exit::Usage)
                    .hint(format!(
                        "set it with `pressluft secret set {}`",
                        secret.name()
                    )),
            );
        }
        remotes.push(Remote {
            name: name.clone(),
            secret: Secret::new(value),
        });
    }
    Ok(remotes)
}

fn refused(error: &WebError) -> CliError {
    let refused = CliError::new(chain(error));
    match error.hint() {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}
