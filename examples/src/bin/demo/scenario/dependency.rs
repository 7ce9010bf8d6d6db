//! A service behind the service: slow, failing, or with room for a few calls at a time, as told.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use sentinel_core::Sentinel;
use sentinel_examples::client::Pool;
use tokio::{sync::Semaphore, time::sleep};

use super::room::Room;

/// A dependency that answers `GET /`; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Dependency(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    room: Room,
    takes: Duration,
    fails: AtomicBool,
    /// How many calls it works on at a time; the others wait.
    workers: Semaphore,
    answered: AtomicU64,
}

impl Dependency {
    /// So many calls at a time, each of which takes so long.
    pub(super) fn new(workers: usize, takes: Duration) -> Self {
        Self(Arc::new(Inner {
            room: Room::default(),
            takes,
            fails: AtomicBool::new(false),
            workers: Semaphore::new(workers),
            answered: AtomicU64::new(0),
        }))
    }

    pub(super) fn router(&self) -> Router {
        let dependency = self.clone();
        Router::new().route("/", get(move || dependency.clone().answer()))
    }

    /// Lets all calls fail from now on, or none.
    pub(super) fn set_failing(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }

    /// Adds workers.
    pub(super) fn add_workers(&self, more: usize) {
        self.0.workers.add_permits(more);
    }

    /// Takes workers away, as soon as they are free.
    pub(super) async fn remove_workers(&self, fewer: u32) {
        if let Ok(workers) = self.0.workers.acquire_many(fewer).await {
            workers.forget();
        }
    }

    /// Who came.
    pub(super) fn room(&self) -> &Room {
        &self.0.room
    }

    /// How many calls went well.
    pub(super) fn answered(&self) -> u64 {
        self.0.answered.load(Ordering::SeqCst)
    }

    async fn answer(self) -> StatusCode {
        let Inner { room, takes, fails, workers, answered } = &*self.0;
        let inside = room.enter();
        let worker = workers.acquire().await;
        sleep(*takes).await;
        drop((worker, inside));
        if fails.load(Ordering::SeqCst) {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        answered.fetch_add(1, Ordering::SeqCst);
        StatusCode::OK
    }
}

/// A service that asks a resource behind it: 503 where a rule refuses that, and 502 where it goes wrong.
pub(super) fn in_front(sentinel: &Sentinel, resource: &str, behind: SocketAddr) -> Router {
    let (resource, pool) = (sentinel.resource(resource), Arc::new(Pool::new(behind)));
    let ask = async move || {
        let Ok(entry) = resource.enter().admitted(sleep).await else { return StatusCode::SERVICE_UNAVAILABLE };
        entry.run(well(&pool)).await.map_or(StatusCode::BAD_GATEWAY, |()| StatusCode::OK)
    };
    Router::new().route("/", get(ask))
}

/// Asks, and takes anything but a success for an error.
pub(super) async fn well(pool: &Pool) -> io::Result<()> {
    let status = pool.get("/").await?;
    if status.is_success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}
