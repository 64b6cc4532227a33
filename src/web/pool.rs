//! The database for async code: a few connections that read and one that writes, each used on a
//! thread that may block.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::error::{Failure, Result};
use crate::store::{Store, StoreError};

/// How many requests read at once.
const READERS: usize = 4;

/// Connections to one database.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Store>>,
    writer: Mutex<Store>,
    turns: Arc<Semaphore>,
    /// Who writes. Those who wait for it take no thread from those who read.
    writing: Arc<Semaphore>,
}

impl Pool {
    /// Opens the database, and makes or migrates it where needed.
    pub(super) fn open(path: &Path) -> std::result::Result<Self, StoreError> {
        Ok(Self(Arc::new(Shared {
            path: path.to_owned(),
            writer: Mutex::new(Store::open(path)?),
            idle: Mutex::new(vec![Store::open_read_only(path)?]),
            turns: Arc::new(Semaphore::new(READERS)),
            writing: Arc::new(Semaphore::new(1)),
        })))
    }

    /// What `work` reads.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T> + Send + 'static,
    {
        let turn = turn(&self.0.turns).await?;
        let shared = Arc::clone(&self.0);
        spawn_blocking(move || {
            let _turn = turn;
            let idle = lock(&shared.idle).pop();
            let store = match idle {
                Some(store) => store,
                None => Store::open_read_only(&shared.path)?,
            };
            let result = work(&store);
            lock(&shared.idle).push(store);
            result
        })
        .await
        .unwrap_or_else(|_| Err(Failure::internal()))
    }

    /// What `work` writes.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Store) -> std::result::Result<T, StoreError> + Send + 'static,
    {
        let turn = turn(&self.0.writing).await?;
        let shared = Arc::clone(&self.0);
        spawn_blocking(move || {
            let _turn = turn;
            Ok(work(&mut lock(&shared.writer))?)
        })
        .await
        .unwrap_or_else(|_| Err(Failure::internal()))
    }
}

/// A turn that lasts as long as the work does, also when the client goes away meanwhile.
async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    Arc::clone(turns).acquire_owned().await.map_err(|_| gone())
}

fn gone() -> Failure {
    Failure::unavailable("the endpoint is ending")
}

/// A panic while a connection was held undid its transaction, so the connection is still good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
