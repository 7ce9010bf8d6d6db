//! The load: real HTTP clients on loopback.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use sentinel_examples::client::Client;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

/// How long a client looks away at most.
const NAP: Duration = Duration::from_millis(50);

/// What happens in a part of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Steady,
    Spike,
    SlowDependency,
    NewRules,
}

impl Phase {
    /// The phase at a share of the whole time; none when it is over.
    pub(crate) fn at(share: f64) -> Option<Self> {
        Some(match share {
            ..0.2 => Self::Steady,
            0.2..0.5 => Self::Spike,
            0.5..0.7 => Self::SlowDependency,
            0.7..1.0 => Self::NewRules,
            _ => return None,
        })
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Steady => "steady load",
            Self::Spike => "spike: far more than the limits",
            Self::SlowDependency => "slow dependency: the database takes 400 ms",
            Self::NewRules => "new rules: the file has changed",
        }
    }
}

/// Requests for one route.
struct Route {
    resource: &'static str,
    path: &'static str,
    clients: u32,
    /// Requests per second: steady, spike, slow dependency, new rules.
    rates: [u64; 4],
}

const ROUTES: [Route; 4] = [
    Route { resource: "GET /orders/{id}", path: "/orders/42", clients: 64, rates: [80, 2_500, 80, 1_500] },
    Route { resource: "GET /search", path: "/search", clients: 48, rates: [40, 400, 40, 100] },
    Route { resource: "GET /reports", path: "/reports", clients: 32, rates: [20, 120, 50, 20] },
    Route { resource: "GET /", path: "/", clients: 8, rates: [200, 400, 200, 200] },
];

/// What clients saw of a route.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) ok: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// One route under load.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) resource: &'static str,
    pub(crate) seen: Seen,
    path: &'static str,
    rates: [u64; 4],
    /// Nanoseconds from one request of a client to its next; 0 is none.
    spacing: AtomicU64,
    clients: u32,
}

pub(crate) struct Flood {
    pub(crate) streams: Vec<Arc<Stream>>,
    stopped: Arc<AtomicBool>,
    clients: Mutex<JoinSet<()>>,
}

impl Flood {
    /// Clients for all routes, unless there is to be no load.
    pub(crate) fn new(address: SocketAddr, none: bool) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut streams = Vec::new();
        let mut clients = JoinSet::new();
        for route in ROUTES.iter().filter(|_| !none) {
            let stream = Arc::new(Stream {
                resource: route.resource,
                seen: Seen::default(),
                path: route.path,
                rates: route.rates,
                spacing: AtomicU64::new(0),
                clients: route.clients,
            });
            for number in 0..route.clients {
                clients.spawn(client(address, Arc::clone(&stream), number, Arc::clone(&stopped)));
            }
            streams.push(stream);
        }
        Self { streams, stopped, clients: Mutex::new(clients) }
    }

    /// Sets the load of a phase.
    pub(crate) fn set(&self, phase: Phase) {
        for stream in &self.streams {
            let rate = stream.rates[phase as usize];
            stream.spacing.store(u64::from(stream.clients) * 1_000_000_000 / rate.max(1), Ordering::Relaxed);
        }
    }

    /// Lets every client finish its request.
    pub(crate) async fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        let clients = std::mem::take(&mut *self.clients.lock());
        clients.join_all().await;
    }
}

async fn client(address: SocketAddr, stream: Arc<Stream>, number: u32, stopped: Arc<AtomicBool>) {
    let mut connection = None;
    let mut before = Duration::ZERO;
    let mut next = Instant::now();
    while !stopped.load(Ordering::Relaxed) {
        let spacing = Duration::from_nanos(stream.spacing.load(Ordering::Relaxed));
        if spacing != before {
            // Clients take turns instead of asking all at once.
            next = Instant::now() + spacing * number / stream.clients;
            before = spacing;
        }
        let now = Instant::now();
        if spacing.is_zero() || now < next {
            // Short naps, so that a new phase begins at once.
            sleep(if spacing.is_zero() { NAP } else { (next - now).min(NAP) }).await;
            continue;
        }
        // What was missed because an answer took long is not made up for.
        next = (next + spacing).max(now);
        let answer = match &mut connection {
            Some(connection) => request(connection, stream.path).await,
            None => match Client::connect(address).await {
                Ok(new) => request(connection.insert(new), stream.path).await,
                Err(_) => None,
            },
        };
        let count = match answer {
            Some(200..300) => &stream.seen.ok,
            Some(429 | 503) => &stream.seen.refused,
            Some(_) => &stream.seen.failed,
            None => {
                connection = None;
                &stream.seen.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The status of the answer, if there is one.
async fn request(connection: &mut Client, path: &str) -> Option<u16> {
    connection.get(path).await.ok().map(|status| status.as_u16())
}
