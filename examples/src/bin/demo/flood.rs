//! The load: real HTTP clients on loopback.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use parking_lot::Mutex;
use sentinel_examples::client::Client;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::shutdown::Grace;

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
            Self::NewRules => "new rules, while it runs",
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

/// A connection takes two descriptors of this process, and some systems give it no more than 256.
const ROUTES: [Route; 4] = [
    Route { resource: "GET /orders/{id}", path: "/orders/42", clients: 34, rates: [80, 2_500, 80, 1_500] },
    Route { resource: "GET /search", path: "/search", clients: 24, rates: [40, 400, 40, 100] },
    Route { resource: "GET /reports", path: "/reports", clients: 24, rates: [20, 120, 50, 20] },
    Route { resource: "GET /", path: "/", clients: 6, rates: [200, 400, 200, 200] },
];

/// What clients saw of a route.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) ok: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Why the first of those failed.
    pub(crate) first_failure: OnceLock<String>,
}

/// One route under load.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) resource: &'static str,
    pub(crate) seen: Seen,
    pub(crate) path: &'static str,
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

    /// Lets every client finish its request, as long as there is time.
    pub(crate) async fn stop(&self, grace: &mut Grace) {
        self.stopped.store(true, Ordering::Relaxed);
        let mut clients = std::mem::take(&mut *self.clients.lock());
        if grace.wait(async { while clients.join_next().await.is_some() {} }).await.is_none() {
            clients.shutdown().await;
        }
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
        match request(&mut connection, address, stream.path).await {
            Ok(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => count(&stream.seen.refused),
            Ok(status) if status.is_success() => count(&stream.seen.ok),
            Ok(status) => stream.seen.fail(format!("answered {status}")),
            Err(error) => {
                connection = None;
                stream.seen.fail(error.to_string());
            }
        }
    }
}

/// Asks once, over the connection that there is or a new one.
async fn request(connection: &mut Option<Client>, address: SocketAddr, path: &str) -> io::Result<StatusCode> {
    let client = match connection {
        Some(client) => client,
        None => connection.insert(Client::connect(address).await?),
    };
    client.get(path).await
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Seen {
    fn fail(&self, why: String) {
        count(&self.failed);
        self.first_failure.get_or_init(|| why);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::shutdown::Interrupts;

    #[test]
    fn both_ends_of_all_connections_fit_the_descriptors_of_a_process() {
        assert!(ROUTES.iter().map(|route| route.clients).sum::<u32>() <= 90);
    }

    #[tokio::test]
    async fn requests_that_reach_nobody_are_failures_with_a_reason() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let flood = Flood::new(address, false);
        flood.set(Phase::Spike);
        while flood.streams.iter().any(|stream| stream.seen.first_failure.get().is_none()) {
            sleep(NAP).await;
        }
        let mut grace = Grace::begin(Interrupts::listen().unwrap());
        flood.stop(&mut grace).await;
        assert!(grace.kept());
        for Stream { seen, .. } in flood.streams.iter().map(|stream| &**stream) {
            assert!(seen.failed.load(Ordering::Relaxed) > 0);
            assert!(seen.first_failure.get().unwrap().contains("refused"), "{seen:?}");
        }
    }

    #[tokio::test]
    async fn clients_that_wait_for_an_answer_are_not_waited_for_without_end() {
        // Connections are taken by the system, and nobody answers.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let flood = Flood::new(listener.local_addr().unwrap(), false);
        flood.set(Phase::Spike);
        let _accepted = listener.accept().await.unwrap();
        let mut grace = Grace::begin(Interrupts::listen().unwrap());
        flood.stop(&mut grace).await;
        assert!(!grace.kept());
    }
}
