//! A real server on loopback, flooded over HTTP by many connections; every sliding interval is audited.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use axum::{Router, http::StatusCode, routing::get};
use sentinel_core::{FlowRule, Rules, Sentinel, TscClock};
use sentinel_examples::{
    audit::{exact_log, most_inside},
    client::Client,
    record::Record,
};
use tokio::{net::TcpListener, task::JoinSet};

const CONNECTIONS: usize = 60;
const FLOOD: Duration = Duration::from_secs(3);
/// Path, permits, and the milliseconds that they are for.
const LIMITS: [(&str, usize, u64); 3] = [("/a", 100, 1_000), ("/b", 300, 1_000), ("/c", 10, 100)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sliding_interval_of_a_flood_holds_more_than_its_limit() -> Result<(), Box<dyn std::error::Error>> {
    let clock = TscClock::new();
    let sentinel = Sentinel::builder().clock(clock.clone()).build()?;
    let record = Record::new(clock);
    let mut app = Router::new();
    let mut rules = Vec::new();
    for (path, threshold, millis) in LIMITS {
        app = app.route(path, get(async || "ok"));
        rules.push(FlowRule::new(format!("GET {path}"), threshold as f64).per(Duration::from_millis(millis)));
    }
    sentinel.rules().replace("test", Rules::new().flow(rules))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, record.around(app, &sentinel)).into_future());

    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (path, ..) = LIMITS[number % LIMITS.len()];
        clients.spawn(async move { (path, flood(address, path).await) });
    }
    let mut served = [0; LIMITS.len()];
    let mut refused = [0; LIMITS.len()];
    for (path, seen) in clients.join_all().await {
        let index = LIMITS.iter().position(|limit| limit.0 == path).ok_or("no such path")?;
        let (ok, blocked) = seen?;
        served[index] += ok;
        refused[index] += blocked;
    }

    for (index, (path, threshold, millis)) in LIMITS.into_iter().enumerate() {
        let interval = millis * 1_000_000;
        let resource = format!("GET {path}");
        let mut calls = record.calls(&resource);
        let worst = most_inside(&mut calls.admitted, interval);
        assert!(worst <= threshold as u64, "{resource}: {worst} of {threshold} in {millis} ms");

        let (admitted, offered) = (calls.admitted.len(), calls.offered.len());
        // Permits may come back a 128th of the interval late.
        let allowed = exact_log(calls.offered, threshold, interval + interval / 128);
        println!("{resource}: {offered} offered, {admitted} admitted, {allowed} allowed, worst {worst} of {threshold}");
        assert!(offered > 2 * admitted, "{resource}: this was no flood: {offered} offered, {admitted} admitted");
        assert!(admitted as f64 >= 0.99 * allowed as f64, "{resource}: {admitted} of {allowed} allowed");

        let totals = sentinel.snapshot_of(&resource).ok_or("no such resource")?.statistics.totals;
        assert_eq!((totals.pass, totals.block), (served[index], refused[index]), "{resource}: as its clients saw it");
        assert_eq!((admitted as u64, totals.complete, totals.error), (totals.pass, totals.pass, 0), "{resource}");
    }
    Ok(())
}

/// Asks again and again; how many answers were served, and how many refused.
async fn flood(address: SocketAddr, path: &str) -> io::Result<(u64, u64)> {
    let mut client = Client::connect(address).await?;
    let (mut served, mut refused) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < FLOOD {
        match client.get(path).await? {
            StatusCode::OK => served += 1,
            StatusCode::TOO_MANY_REQUESTS => refused += 1,
            other => return Err(io::Error::other(format!("answered {other}"))),
        }
    }
    Ok((served, refused))
}
