//! What stands between a connection and the parser.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::head::{Head, Look};

/// Bytes that are read at once while a head is waited for.
const PIECE: usize = 4 * 1_024;
/// How long, and for how many bytes, a client is listened to that was answered before it had
/// sent everything. Without that, the kernel throws the answer away.
const LINGER: Duration = Duration::from_secs(1);
const MOST_LINGERING: usize = 256 * 1_024;

/// A connection of which the parser sees whole heads that were looked at, and bodies of the
/// length that they say. In place of a refused head it sees one that stands for it, and then
/// nothing.
pub(in crate::web) struct Gate<S> {
    inner: S,
    /// What came and was not handed on.
    buffer: Vec<u8>,
    /// Bytes of the buffer that may be handed on, from its beginning.
    cleared: usize,
    next: Next,
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

/// What comes after the bytes that are cleared.
enum Next {
    Head(Head),
    /// A body with this many bytes left.
    Body(u64),
    /// Nothing: the head was refused.
    Nothing,
}

impl<S> Gate<S> {
    pub(in crate::web) fn new(inner: S) -> Self {
        Self {
            inner,
            buffer: Vec::new(),
            cleared: 0,
            next: Next::Head(Head::default()),
            lingering: None,
        }
    }

    /// Clears what may be handed on of the buffer; false when more has to come first.
    fn clear(&mut self) -> bool {
        if self.cleared > 0 {
            return true;
        }
        if let Next::Body(0) = self.next {
            self.next = Next::Head(Head::default());
        }
        if self.buffer.is_empty() {
            return false;
        }
        match &mut self.next {
            Next::Nothing => return false,
            Next::Body(left) => {
                let here = usize::try_from(*left)
                    .map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
                *left -= here as u64;
                self.cleared = here;
            }
            Next::Head(head) => match head.look(&self.buffer) {
                Ok(Look::More) => return false,
                Ok(Look::Whole { head, body }) => {
                    self.cleared = head;
                    self.next = Next::Body(body);
                }
                Err(refusal) => {
                    self.buffer = refusal.standing_in();
                    self.cleared = self.buffer.len();
                    self.next = Next::Nothing;
                }
            },
        }
        true
    }

    /// Whether the client was answered before all that it had begun to send was read.
    fn is_cut_short(&self) -> bool {
        match &self.next {
            Next::Head(_) => !self.buffer.is_empty(),
            Next::Body(left) => *left > 0 || !self.buffer.is_empty(),
            Next::Nothing => true,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.clear() {
                let count = this.cleared.min(out.remaining());
                out.put_slice(&this.buffer[..count]);
                this.buffer.drain(..count);
                this.cleared -= count;
                return Poll::Ready(Ok(()));
            }
            match &mut this.next {
                // An end would be taken for a client that is gone, and not be answered.
                Next::Nothing => return Poll::Pending,
                Next::Body(left) => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let room = most.min(out.remaining());
                    let mut part = ReadBuf::new(out.initialize_unfilled_to(room));
                    ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
                    let count = part.filled().len();
                    out.advance(count);
                    *left -= count as u64;
                    return Poll::Ready(Ok(()));
                }
                Next::Head(_) => {
                    let mut piece = [0; PIECE];
                    let mut piece = ReadBuf::new(&mut piece);
                    ready!(Pin::new(&mut this.inner).poll_read(cx, &mut piece))?;
                    if piece.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    this.buffer.extend_from_slice(piece.filled());
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Says that nothing more comes, and listens on for a moment where the client is still
    /// sending.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let is_cut_short = this.is_cut_short();
        let (timer, taken) = match &mut this.lingering {
            Some((timer, taken)) => (timer, taken),
            None => {
                ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
                if !is_cut_short {
                    return Poll::Ready(Ok(()));
                }
                let begun = this.lingering.insert((Box::pin(sleep(LINGER)), 0));
                (&mut begun.0, &mut begun.1)
            }
        };
        loop {
            if *taken >= MOST_LINGERING || timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            match ready!(Pin::new(&mut this.inner).poll_read(cx, &mut piece)) {
                Ok(()) if !piece.filled().is_empty() => *taken += piece.filled().len(),
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
