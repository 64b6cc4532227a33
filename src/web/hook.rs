//! `POST /hooks/git`: a git host says that something was pushed.
//!
//! All that a believed webhook does is to wake the reconciler, which then looks for itself. All
//! refusals have one body, so that nobody learns from them, and no signature is logged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::address::{self, Peer};
use super::error::{Code, Failure, Result};
use super::login::read_body;
use super::options::{Remote, Wake};
use super::reply;
use super::state::App;
use crate::clock;

/// Bytes of the largest body: a push of many commits.
const LARGEST_BODY: usize = 5 * 1024 * 1024;
/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Headers in which git hosts name a delivery.
const DELIVERY_HEADERS: [&str; 6] = [
    "x-forgejo-delivery",
    "x-gitea-delivery",
    "x-gogs-delivery",
    "x-github-delivery",
    "x-gitlab-event-uuid",
    "idempotency-key",
];
/// Headers that say what happened.
const EVENT_HEADERS: [&str; 4] = [
    "x-forgejo-event",
    "x-gitea-event",
    "x-github-event",
    "x-gitlab-event",
];

/// The answer to a webhook that was believed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Accepted {
    pub(super) accepted: bool,
}

/// What a webhook proves itself with.
enum Proof {
    /// An HMAC-SHA256 of the body: GitHub, Gitea, Forgejo.
    Signature([u8; 32]),
    /// The secret itself: GitLab.
    Token(Vec<u8>),
}

pub(super) async fn hook(State(app): State<App>, request: Request) -> Result<Response> {
    match take(&app, request).await {
        Ok(()) => {
            app.meters.count_webhook("accepted");
            let mut response = reply::json(&Accepted { accepted: true })?;
            *response.status_mut() = StatusCode::ACCEPTED;
            Ok(response)
        }
        Err((status, why)) => {
            app.meters.count_webhook("refused");
            // Whoever sends too many would fill the log with it.
            if status == StatusCode::TOO_MANY_REQUESTS {
                tracing::debug!(why, "a webhook was refused");
            } else {
                tracing::info!(why, "a webhook was refused");
            }
            Err(Failure::new(
                status,
                Code::Refused,
                "the delivery is not accepted",
            ))
        }
    }
}

/// Wakes the reconciler, or says why not: to the log, not to the sender.
async fn take(app: &App, request: Request) -> Result<(), (StatusCode, &'static str)> {
    let refuse = |why| (StatusCode::UNAUTHORIZED, why);
    let peer = request.extensions().get::<Peer>().copied();
    let source = peer.map(|peer| address::source(peer, request.headers(), app.behind_proxy));
    let source = source.ok_or((StatusCode::INTERNAL_SERVER_ERROR, "no peer"))?;
    if !app.hook_rates.allow(address::party(source), Instant::now()) {
        return Err((StatusCode::TOO_MANY_REQUESTS, "too many from one source"));
    }
    let asked = request.headers().clone();
    let proof = proof(&asked).ok_or_else(|| refuse("neither signature nor token"))?;
    // A token needs no body, so a wrong one costs none.
    if let Proof::Token(token) = &proof
        && remote_of_token(&app.remotes, token).is_none()
    {
        return Err(refuse("wrong token"));
    }
    let Some(_turn) = app.hooks.begin(address::party(source)) else {
        return Err((StatusCode::TOO_MANY_REQUESTS, "too many at once"));
    };
    let body = read_body(request, LARGEST_BODY, BODY_PATIENCE)
        .await
        .map_err(|failure| (failure.status, "the body cannot be read"))?;
    let (name, ids) = signer(app, asked.clone(), proof, body)
        .await
        .ok_or_else(|| refuse("wrong signature"))?;
    let now = clock::now();
    let is_new = app
        .pool
        .write(move |store| store.take_delivery(&ids, now))
        .await
        .map_err(|failure| (failure.status, "the delivery cannot be kept"))?;
    if !is_new {
        return Err(refuse("a delivery that was taken before"));
    }
    if event(&asked) == Some("ping") {
        tracing::info!(remote = name, "the webhook works");
        return Ok(());
    }
    tracing::info!(remote = name, "a webhook says that something was pushed");
    (app.wake)(Wake { remote: name });
    Ok(())
}

/// The remote that made a proof, and what its delivery is known by. A signature is made again of
/// the whole body, which takes too long for a thread that others wait for.
async fn signer(
    app: &App,
    asked: HeaderMap,
    proof: Proof,
    body: Zeroizing<Vec<u8>>,
) -> Option<(String, Vec<[u8; 32]>)> {
    let app = Arc::clone(app);
    let found = spawn_blocking(move || {
        let remote = match &proof {
            Proof::Token(token) => remote_of_token(&app.remotes, token),
            Proof::Signature(signature) => remote_of_signature(&app.remotes, signature, &body),
        }?;
        let ids = delivery_ids(&asked, &remote.name, &proof, &body);
        Some((remote.name.clone(), ids))
    });
    // A panic is no signature.
    found.await.unwrap_or_default()
}

/// The proof that a request carries. One that carries several is judged by the first kind in
/// this order; Gitea and Forgejo also send the headers of those that they are compatible with.
fn proof(asked: &HeaderMap) -> Option<Proof> {
    let one = |name: &str| {
        let mut values = asked.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Some(value.as_bytes()),
            _ => None,
        }
    };
    let bare = one("x-forgejo-signature").or_else(|| one("x-gitea-signature"));
    if let Some(hex) = bare.or_else(|| one("x-hub-signature-256")?.strip_prefix(b"sha256=")) {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()?;
        return bytes.try_into().ok().map(Proof::Signature);
    }
    one("x-gitlab-token")
        .filter(|token| !token.is_empty() && token.len() <= 1_024)
        .map(|token| Proof::Token(token.to_vec()))
}

/// The remote with this token. All are compared, each in constant time, by digests, so that
/// neither length nor place shows.
fn remote_of_token<'a>(remotes: &'a [Remote], token: &[u8]) -> Option<&'a Remote> {
    let digest = blake3::hash(token);
    let mut found = None;
    for remote in remotes {
        let known = blake3::hash(remote.secret.expose().as_bytes());
        if bool::from(digest.as_bytes().ct_eq(known.as_bytes())) {
            found = Some(remote);
        }
    }
    found
}

/// The remote whose secret made this signature of `body`.
fn remote_of_signature<'a>(
    remotes: &'a [Remote],
    signature: &[u8; 32],
    body: &[u8],
) -> Option<&'a Remote> {
    let mut found = None;
    for remote in remotes {
        let key = remote.secret.expose().as_bytes();
        let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else {
            continue;
        };
        mac.update(body);
        if mac.verify_slice(signature).is_ok() {
            found = Some(remote);
        }
    }
    found
}

/// What a delivery is known by: the name that the host gave it and, where it is signed, what was
/// signed, since the name is not part of that.
fn delivery_ids(asked: &HeaderMap, remote: &str, proof: &Proof, body: &[u8]) -> Vec<[u8; 32]> {
    let digest = |kind: &str, content: &[u8]| {
        let mut hasher = blake3::Hasher::new_derive_key("pressluft 2026 webhook delivery v1");
        for part in [remote.as_bytes(), kind.as_bytes(), content] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    };
    let mut ids: Vec<[u8; 32]> = DELIVERY_HEADERS
        .iter()
        .find_map(|name| asked.get(*name))
        .map(|value| digest("name", value.as_bytes()))
        .into_iter()
        .collect();
    if let Proof::Signature(_) = proof {
        ids.push(digest("body", body));
    }
    ids
}

fn event(asked: &HeaderMap) -> Option<&str> {
    EVENT_HEADERS
        .iter()
        .find_map(|name| asked.get(*name)?.to_str().ok())
}
