//! One connection: who may have it, what it may send, and when it ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower_service::Service;

use super::address::Peer;
use super::seats::{AtWork, Full, Seat};
use super::stalled::Stalled;
use super::state::{App, ended};
use super::strict::Gate;

/// How long a client may take for the head of a request, and how long an idle connection is kept.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that the parser holds: more than a head may have, so that it is never the one to refuse.
const PARSER_ROOM: usize = 32 * 1_024;
/// How long requests may take to finish when the endpoint ends.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// What a client is told that is turned away before it asked for anything.
const TURNED_AWAY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 74\r\n\
    Retry-After: 5\r\n\
    Connection: close\r\n\r\n\
    {\"code\":\"unavailable\",\"message\":\"too many connections are open from here\"}";

/// Takes connections until the end, then waits for those that are left.
pub(super) async fn accept(listener: TcpListener, router: Router, app: App) {
    let mut stop = app.stop.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = ended(&mut stop) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match app.seats.take(peer.ip()) {
                    Ok((seat, closed)) => {
                        for _ in 0..closed {
                            app.meters.count_refusal("waited_longest");
                        }
                        connections.spawn(serve(stream, peer, router.clone(), Arc::clone(&app), seat));
                    }
                    Err(full) => turn_away(&app, &stream, full),
                },
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

/// Closes a connection at once. Nothing is waited for, so this costs no place.
fn turn_away(app: &App, stream: &TcpStream, full: Full) {
    app.meters.count_refusal(full.reason());
    if let Err(error) = stream.try_write(TURNED_AWAY) {
        tracing::debug!(%error, "a client that was turned away was not told");
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, app: App, seat: Seat) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended at once");
        return;
    }
    let seat = &seat;
    let service = service_fn(move |mut request: Request<Incoming>| {
        let work = seat.work();
        request.extensions_mut().insert(Peer(peer));
        let mut router = router.clone();
        async move {
            let response = unfailing(router.call(request.map(Body::new)).await);
            Ok::<_, Infallible>(response.map(|body| Answer { body, _work: work }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(PARSER_ROOM)
        .serve_connection(TokioIo::new(Gate::new(Stalled::new(stream))), service);
    tokio::pin!(connection);
    let mut stop = app.stop.clone();
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = ended(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = seat.asked_to_go() => {
            if seat.is_waiting() {
                return;
            }
            // A request came just then.
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

/// The body of an answer. Its connection is at work until all of it is handed on.
struct Answer {
    body: Body,
    _work: AtWork,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_is_told_in_the_usual_shape() {
        let text = std::str::from_utf8(TURNED_AWAY).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a body");
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
        let failure: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(failure["code"], "unavailable");
    }
}
