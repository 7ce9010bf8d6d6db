//! Circuit breaker rules: a service behind this one that fails, and recovers.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use parking_lot::Mutex;
use sentinel_core::{BreakerState, Event, Sentinel};
use sentinel_examples::{
    client::{Ask, Client},
    load::Load,
};
use tokio::{task::JoinSet, time::sleep};

use super::{
    Outcome, Report,
    dependency::{Dependency, in_front},
    stage,
};

const RULES: &str = "\
circuitBreaker:
  - resource: inventory
    strategy: errorRatio
    threshold: 0.5
    windowCalls: 20
    minRequestAmount: 10
    retryTimeoutMs: 1000
    probes: 3";

const RETRY: Duration = Duration::from_secs(1);
const PROBES: u64 = 3;
/// What the dependency takes.
const TAKES: Duration = Duration::from_millis(30);
const HEALTHY: Load = Load { clients: 8, per_second: 100.0, length: Duration::from_millis(500) };
const IN_VAIN: Load = Load { clients: 8, per_second: 300.0, length: Duration::from_millis(400) };
/// All at the same time, when probes are due.
const CROWD: usize = 10;

type Changes = Arc<Mutex<Vec<(Instant, BreakerState, BreakerState)>>>;

pub(super) async fn perform(report: &mut Report) -> Outcome {
    report.scene("A service that asks an inventory, which fails for a while:", RULES);
    let sentinel = stage::sentinel(Sentinel::builder(), RULES)?;
    let changes = Changes::default();
    let heard = Arc::clone(&changes);
    let begin = Instant::now();
    let subscription = sentinel.subscribe(move |event| {
        if let Event::BreakerChanged { from, to, .. } = event {
            heard.lock().push((Instant::now(), *from, *to));
        }
    });
    let inventory = Dependency::new(64, TAKES);
    let behind = stage::serve(inventory.router()).await?;
    let server = stage::serve(in_front(&sentinel, "inventory", behind.address)).await?;
    let reached = || inventory.room().all();

    let answers = HEALTHY.on(server.address, |_| Ask::get("/")).await?;
    let (good, all) = (answers.count(StatusCode::OK), answers.len());
    report.expect(good == all && all as u64 == reached(), format!("while it is well, all of {all} calls go through"));

    report.note("The inventory fails now. One client goes on asking.");
    inventory.set_failing(true);
    let (before, mut client) = (reached(), Client::connect(server.address).await?);
    while client.get("/").await? == StatusCode::BAD_GATEWAY && reached() < before + 100 {}
    let failed = reached() - before;
    report.expect(failed == 10, format!("it opens with the 10th failure, half of the last 20 calls: {failed}"));

    let (before, answers) = (reached(), IN_VAIN.on(server.address, |_| Ask::get("/")).await?);
    let refused = answers.of(StatusCode::SERVICE_UNAVAILABLE);
    let words = format!("while it is open, {} of {} calls are refused here", refused.len(), answers.len());
    report.expect(refused.len() == answers.len() && reached() == before, format!("{words}, none gets there"));
    let took = refused.percentile(0.5);
    report.expect(took < TAKES / 2, format!("a refusal takes {took:.1?} (median), and the inventory {TAKES:.0?}"));

    sleep(RETRY).await;
    let (before, probe, after) = (reached(), client.get("/").await?, client.get("/").await?);
    let is_open = (probe, after) == (StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE);
    let words = format!("after {RETRY:?} one probe gets there, fails, and opens it again");
    report.expect(is_open && reached() == before + 1, words);

    report.note("The inventory is well again, but does not answer yet.");
    inventory.set_failing(false);
    inventory.remove_workers(64).await;
    sleep(RETRY).await;
    let before = reached();
    let probes = crowd(server.address, || inventory.add_workers(64), || reached() - before).await?;
    let words = format!("of {CROWD} calls at a time, {} get there as probes, the others are refused", probes.0);
    report.expect(probes == (PROBES, CROWD - PROBES as usize), words);

    let answers = HEALTHY.on(server.address, |_| Ask::get("/")).await?;
    let (good, all) = (answers.count(StatusCode::OK), answers.len());
    report.expect(good == all, format!("after good probes, all of {all} calls go through again"));

    drop(client);
    stage::end(server).await?;
    stage::end(behind).await?;
    drop(subscription);
    expect_changes(report, begin, &changes.lock());
    report.expect_rest(&sentinel);
    Ok(())
}

/// Calls that come at the same time: how many got there, and how many were refused meanwhile.
async fn crowd(
    service: SocketAddr,
    answer: impl FnOnce(),
    reached: impl Fn() -> u64,
) -> Result<(u64, usize), Box<dyn Error>> {
    let refused = Arc::new(AtomicUsize::new(0));
    let mut calls = JoinSet::new();
    for _ in 0..CROWD {
        let refused = Arc::clone(&refused);
        calls.spawn(async move {
            let status = Client::connect(service).await?.get("/").await?;
            if status == StatusCode::SERVICE_UNAVAILABLE {
                refused.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<_, io::Error>(())
        });
    }
    let known = || reached() as usize + refused.load(Ordering::SeqCst);
    stage::until("every call has got there or was refused", || known() == CROWD).await?;
    let seen = (reached(), refused.load(Ordering::SeqCst));
    answer();
    while let Some(call) = calls.join_next().await {
        call??;
    }
    Ok(seen)
}

/// Prints the changes that were told, and expects these.
fn expect_changes(report: &mut Report, begin: Instant, changes: &[(Instant, BreakerState, BreakerState)]) {
    use BreakerState::{Closed, HalfOpen, Open};
    let told: Vec<String> =
        changes.iter().map(|(at, _, to)| format!("{to:?} at {:.1?}", at.duration_since(begin))).collect();
    let states: Vec<_> = changes.iter().map(|(_, from, to)| (*from, *to)).collect();
    let expected = [(Closed, Open), (Open, HalfOpen), (HalfOpen, Open), (Open, HalfOpen), (HalfOpen, Closed)];
    report.expect(states == expected, format!("its listener was told: {}", told.join(", ")));
}
