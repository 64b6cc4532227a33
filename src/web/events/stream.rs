//! One client of an event stream: what it missed, what happens, and the end of its right to look.

use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::state::{App, ended};
use super::body::Pieces;
use super::feed::{Piece, Room, state, state_bytes, task_bytes};
use super::{MOST_BYTES, Place};
use crate::core::recorded::JobId;

/// How often a stream shows that it lives, and looks whether its client still may look.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The client is gone.
struct Gone;

/// Begins the stream of a job after the event at `after`.
pub(super) async fn open(
    app: App,
    viewer: Viewer,
    room: Room,
    id: JobId,
    after: Place,
) -> Result<Pieces> {
    let pieces = app.feeds.subscribe(id).await?;
    let (sender, receiver) = mpsc::channel(1);
    let client = Client {
        app,
        viewer,
        id,
        after,
        sender,
    };
    tokio::spawn(client.run(pieces));
    Ok(Pieces {
        receiver,
        _room: room,
    })
}

struct Client {
    app: App,
    viewer: Viewer,
    id: JobId,
    after: Place,
    sender: mpsc::Sender<Bytes>,
}

impl Client {
    async fn run(mut self, mut pieces: broadcast::Receiver<Piece>) {
        let begun = async {
            self.send(Bytes::from_static(b"retry: 2000\n\n")).await?;
            self.send_state().await?;
            self.catch_up().await
        };
        if begun.await.is_err() {
            return;
        }
        let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = self.app.stop.clone();
        loop {
            let result = tokio::select! {
                piece = pieces.recv() => match piece {
                    Ok(Piece::State(bytes)) => self.send(bytes).await,
                    Ok(Piece::Tasks { upto, first, bytes }) => {
                        self.pass_on(upto, first, bytes).await
                    }
                    Ok(Piece::End) | Err(broadcast::error::RecvError::Closed) => {
                        drop(self.finish().await);
                        return;
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => match self.catch_up().await {
                        Ok(()) => self.send_state().await,
                        gone => gone,
                    },
                },
                _ = beat.tick() => self.beat().await,
                () = self.sender.closed() => return,
                () = ended(&mut stop) => return,
            };
            if result.is_err() {
                return;
            }
        }
    }

    async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.sender.send(bytes).await.map_err(|_| Gone)
    }

    async fn send_state(&self) -> Result<(), Gone> {
        let id = self.id;
        let state = self.app.pool.read(move |store| state(store, id)).await;
        self.send(state_bytes(&state.map_err(|_| Gone)?)).await
    }

    /// Sends what is recorded after the last event that was sent.
    async fn catch_up(&mut self) -> Result<(), Gone> {
        loop {
            let (id, after) = (self.id, self.after);
            let events = self
                .app
                .pool
                .read(move |store| Ok(store.task_events_after(id, after, 200, MOST_BYTES)?))
                .await
                .map_err(|_| Gone)?;
            let Some(last) = events.last() else {
                return Ok(());
            };
            let upto = (last.attempt, last.seq);
            self.send(task_bytes(&events)).await?;
            self.after = upto;
        }
    }

    /// Passes tasks on that were written for all clients, unless this one has some of them.
    async fn pass_on(&mut self, upto: Place, first: Place, bytes: Bytes) -> Result<(), Gone> {
        if upto <= self.after {
            return Ok(());
        }
        if first <= self.after {
            return self.catch_up().await;
        }
        self.after = upto;
        self.send(bytes).await
    }

    /// Shows life, to those who still may look.
    async fn beat(&mut self) -> Result<(), Gone> {
        match self.viewer.again(&self.app).await {
            Ok(viewer) => self.viewer = viewer,
            Err(failure) if failure.status == axum::http::StatusCode::UNAUTHORIZED => {
                drop(
                    self.send(Bytes::from_static(b"event: logout\ndata: {}\n\n"))
                        .await,
                );
                return Err(Gone);
            }
            // A database that cannot be read just now ends nobody's session.
            Err(_) => {}
        }
        self.send(Bytes::from_static(b": alive\n\n")).await
    }

    async fn finish(&mut self) -> Result<(), Gone> {
        self.catch_up().await?;
        self.send_state().await?;
        self.send(Bytes::from_static(b"event: end\ndata: {}\n\n"))
            .await
    }
}
