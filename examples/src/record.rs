//! A record of what a service was offered and what it admitted, by resource, kept around the layer and not inside of it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use parking_lot::Mutex;
use sentinel_axum::{Http, RequestHead, SentinelLayer, layer, resource};
use sentinel_core::{Clock, Sentinel};

use crate::audit::Admitted;

/// A record; clones are the same one. It grows with every call.
#[derive(Clone, Debug)]
pub struct Record {
    clock: Arc<dyn Clock>,
    resources: Arc<Mutex<BTreeMap<String, Calls>>>,
}

/// The calls of one resource.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// When calls asked to enter, in nanoseconds of the record.
    pub offered: Vec<u64>,
    /// Those that were admitted.
    pub admitted: Vec<Admitted>,
}

impl Record {
    /// An empty record by the clock of the instance that it watches: another one may run some millionths faster, and then
    /// its seconds are not the rule's.
    pub fn new(clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), resources: Arc::default() }
    }

    /// Notes a call that is about to enter, and when that was.
    pub fn offered(&self, resource: &str) -> u64 {
        let mut resources = self.resources.lock();
        // Read under the lock, so that the times are in order.
        let now = self.clock.nanos();
        match resources.get_mut(resource) {
            Some(calls) => calls.offered.push(now),
            None => {
                resources.insert(resource.to_owned(), Calls { offered: vec![now], admitted: Vec::new() });
            }
        }
        now
    }

    /// Notes that a call was admitted.
    pub fn admitted(&self, resource: &str, before: u64) {
        let after = self.clock.nanos();
        if let Some(calls) = self.resources.lock().get_mut(resource) {
            calls.admitted.push(Admitted { before, after });
        }
    }

    /// What is on record of a resource.
    pub fn calls(&self, resource: &str) -> Calls {
        self.resources.lock().get(resource).cloned().unwrap_or_default()
    }

    /// What is on record of every resource, by name.
    pub fn all(&self) -> BTreeMap<String, Calls> {
        self.resources.lock().clone()
    }

    /// Protects a router and notes what comes to the layer and what gets through it.
    pub fn around(&self, router: Router, sentinel: &Sentinel) -> Router {
        self.around_with(router, layer(sentinel))
    }

    /// The same with a layer of one's own, whose resources are methods and routes.
    pub fn around_with(&self, router: Router, layer: SentinelLayer<Http<Body>>) -> Router {
        router
            .layer(from_fn_with_state(self.clone(), inside))
            .layer(layer)
            .layer(from_fn_with_state(self.clone(), outside))
    }
}

/// A request that asked to enter.
#[derive(Clone)]
struct Asked {
    resource: String,
    before: u64,
}

async fn outside(State(record): State<Record>, mut request: Request, next: Next) -> Response {
    let resource = resource(RequestHead::of(&request)).to_string();
    let before = record.offered(&resource);
    request.extensions_mut().insert(Asked { resource, before });
    next.run(request).await
}

async fn inside(State(record): State<Record>, request: Request, next: Next) -> Response {
    if let Some(asked) = request.extensions().get::<Asked>() {
        record.admitted(&asked.resource, asked.before);
    }
    next.run(request).await
}
