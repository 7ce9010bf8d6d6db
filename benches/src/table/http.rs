//! What the axum layer costs a service on loopback: the same service with and without it, in turn.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use axum::{Router, extract::Path, routing::get};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use sentinel_core::{FlowRule, Rules, Sentinel};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    task::JoinSet,
};
use tower_governor::{GovernorLayer, governor::GovernorConfigBuilder, key_extractor::GlobalKeyExtractor};

use super::report::{Report, Row};
use crate::{Error, ours, timing::median};

const ROUNDS: usize = 41;
const SLICE: Duration = Duration::from_millis(250);
const CONNECTIONS: usize = 16;

/// What the clients of one service saw in one slice.
struct Slice {
    per_second: f64,
    /// In microseconds.
    p99: f64,
}

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let sentinel = Sentinel::default();
    let rule = FlowRule::new("GET /orders/{id}", ours::PLENTY);
    sentinel.rules().replace("bench", Rules::new().flow([rule]))?;
    let governor = GovernorConfigBuilder::default()
        .per_nanosecond(1)
        .burst_size(1_000_000_000)
        .key_extractor(GlobalKeyExtractor)
        .finish()
        .ok_or("tower_governor refuses its settings")?;
    let services = [
        service(),
        service(),
        service().layer(sentinel_axum::layer(&sentinel)),
        service().layer(GovernorLayer::new(governor)),
    ];
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let [alone, again, ours, governor] = runtime.block_on(compare(services))?;
    let passed = sentinel.snapshot_of("GET /orders/{id}").map_or(0, |resource| resource.statistics.totals.pass);
    let seen: f64 = ours.iter().map(|slice| slice.per_second * SLICE.as_secs_f64()).sum();
    if (passed as f64) < seen / 2.0 {
        return Err(format!("the layer saw {passed} of some {seen:.0} requests").into());
    }

    let of = |slices: &[Slice], what: fn(&Slice) -> f64| median(slices.iter().map(what).collect());
    report.add(&Row::new("axum alone", of(&alone, |slice| slice.per_second), "requests/s"));
    report.add(&Row::new("axum with the layer and one rule", of(&ours, |slice| slice.per_second), "requests/s"));
    report.add(&Row::new("axum with tower_governor", of(&governor, |slice| slice.per_second), "requests/s"));
    report.add(&Row::new("axum alone: p99", of(&alone, |slice| slice.p99), "us"));
    report.add(&Row::new("axum with the layer and one rule: p99", of(&ours, |slice| slice.p99), "us"));
    report.add(&Row::new("axum with tower_governor: p99", of(&governor, |slice| slice.p99), "us"));

    // To the mean of the two in the same round: one alone is off by a hundredth as often as not.
    let ratio = |slices: &[Slice], what: fn(&Slice) -> f64| -> Vec<f64> {
        let rounds = slices.iter().zip(alone.iter().zip(&again));
        rounds.map(|(slice, (one, other))| 2.0 * what(slice) / (what(one) + what(other))).collect()
    };
    let noise = |what: fn(&Slice) -> f64| -> Vec<f64> {
        alone.iter().zip(&again).map(|(one, other)| what(other) / what(one)).collect()
    };
    let throughput = |slices: &[Slice]| median(ratio(slices, |slice| slice.per_second));
    report.add(
        &Row::new("throughput: a second axum alone to the first", median(noise(|slice| slice.per_second)), "x")
            .note("the noise"),
    );
    report.add(&Row::new("throughput: with the layer to alone", throughput(&ours), "x").at_least(0.97));
    report.add(&Row::new("throughput: with tower_governor to alone", throughput(&governor), "x"));
    // Either way: which of two equal services is the slower one is chance.
    let mut noise: Vec<f64> = noise(|slice| slice.p99).iter().map(|ratio| ratio.max(1.0 / ratio)).collect();
    noise.sort_unstable_by(f64::total_cmp);
    let noise = noise[noise.len() * 3 / 4];
    report.add(
        &Row::new("p99: with the layer to alone", median(ratio(&ours, |slice| slice.p99)), "x")
            .at_most(noise)
            .note("target: the upper quartile of two axums alone, the slower to the faster"),
    );
    report.add(&Row::new("p99: with tower_governor to alone", median(ratio(&governor, |slice| slice.p99)), "x"));
    Ok(())
}

fn service() -> Router {
    Router::new().route("/orders/{id}", get(|Path(id): Path<u64>| async move { format!("order {id}") }))
}

/// Loads the services in turn, one at a time.
async fn compare<const N: usize>(services: [Router; N]) -> Result<[Vec<Slice>; N], Error> {
    let mut addresses = Vec::with_capacity(N);
    for service in services {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        addresses.push(listener.local_addr()?);
        tokio::spawn(axum::serve(listener, service).into_future());
    }
    let mut slices = [const { Vec::new() }; N];
    for address in &addresses {
        load(*address).await?;
    }
    for round in 0..ROUNDS {
        for turn in 0..N {
            let index = (round + turn) % N;
            slices[index].push(load(addresses[index]).await?);
        }
    }
    Ok(slices)
}

/// Requests one after the other on each of some connections.
async fn load(address: SocketAddr) -> Result<Slice, Error> {
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        connections.push(requests);
    }
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for mut requests in connections {
        clients.spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < SLICE {
                let asked = Instant::now();
                let request = Request::get("/orders/42").header("host", "localhost").body(Empty::new())?;
                requests.ready().await?;
                let response = requests.send_request(request).await?;
                if !response.status().is_success() {
                    return Err(Error::from(format!("answered {}", response.status())));
                }
                response.into_body().collect().await?;
                times.push(asked.elapsed().as_secs_f64() * 1e6);
            }
            Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(client) = clients.join_next().await {
        times.extend(client??);
    }
    let per_second = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort_unstable_by(f64::total_cmp);
    Ok(Slice { per_second, p99: times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN) })
}
