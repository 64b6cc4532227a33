//! The body of an event stream: pieces as they come, one at a time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;

use super::feed::Room;

/// What a client is sent. Its room is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) receiver: mpsc::Receiver<Bytes>,
    pub(super) _room: Room,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.receiver
            .poll_recv(cx)
            .map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}
