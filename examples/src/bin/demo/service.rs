//! The service that is protected.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use sentinel_axum::layer;
use sentinel_core::{Kind, Sentinel, Target};
use sentinel_examples::record::Record;
use tokio::time::sleep;

use crate::flood::Phase;

/// The resource whose limit the demo raises.
pub(crate) const ORDERS: &str = "GET /orders/{id}";
/// What the service calls itself.
pub(crate) const DATABASE: &str = "db";

/// Milliseconds of a query.
const FAST: u64 = 10;
const SLOW: u64 = 400;

/// A database that can become slow.
#[derive(Debug)]
pub(crate) struct Dependency {
    millis: AtomicU64,
}

impl Default for Dependency {
    fn default() -> Self {
        Self { millis: AtomicU64::new(FAST) }
    }
}

impl Dependency {
    pub(crate) fn set(&self, phase: Phase) {
        let millis = if phase == Phase::SlowDependency { SLOW } else { FAST };
        self.millis.store(millis, Ordering::Relaxed);
    }

    async fn query(&self) {
        sleep(Duration::from_millis(self.millis.load(Ordering::Relaxed))).await;
    }
}

/// The service, protected, and on record if there is one.
pub(crate) fn router(sentinel: &Sentinel, record: Option<&Record>, dependency: &Arc<Dependency>) -> Router {
    let report = {
        let (sentinel, record, dependency) = (sentinel.clone(), record.cloned(), Arc::clone(dependency));
        async move || report(&sentinel, record.as_ref(), &dependency).await
    };
    let app = Router::new()
        .route("/", get(async || "free\n"))
        .route("/orders/{id}", get(async |Path(id): Path<u64>| format!("order {id}\n")))
        .route("/search", get(async || "found\n"))
        .route("/reports", get(report));
    match record {
        Some(record) => record.around(app, sentinel),
        None => app.layer(layer(sentinel)),
    }
}

/// A report needs the database, which has a limit of its own.
async fn report(sentinel: &Sentinel, record: Option<&Record>, dependency: &Dependency) -> (StatusCode, &'static str) {
    let before = record.map(|record| (record, record.offered(DATABASE)));
    match sentinel.enter(Target::new(DATABASE).kind(Kind::Db)).admitted(sleep).await {
        Ok(entry) => {
            if let Some((record, before)) = before {
                record.admitted(DATABASE, before);
            }
            dependency.query().await;
            drop(entry);
            (StatusCode::OK, "report\n")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database is busy\n"),
    }
}
