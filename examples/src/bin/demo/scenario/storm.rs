//! Everything at once: several rules on one service, with a dependency that fails and clients that go away.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use parking_lot::Mutex;
use sentinel_axum::{SentinelLayer, by_route};
use sentinel_core::{Arg, BreakerState, Call, Decision, Resource, Sentinel, TscClock};
use sentinel_examples::{
    audit::most_inside,
    client::{Ask, Client, Pool},
    load::{Answers, Load},
    record::Record,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Outcome, Report,
    dependency::{Dependency, well},
    room::Room,
    stage,
};

const RULES: &str = "\
system:
  - {metric: inFlight, threshold: 12}
flow:
  - {resource: 'GET /orders/{id}', threshold: 300}
isolation:
  - {resource: inventory, threshold: 4, maxQueueSize: 4, maxQueueingTimeMs: 50}
hotspot:
  - {resource: 'GET /orders/{id}', paramKey: tenant, threshold: 100}
circuitBreaker:
  - {resource: inventory, strategy: errorRatio, threshold: 0.5, minRequestAmount: 20, retryTimeoutMs: 300, probes: 2}";

const FAMILIES: [&str; 5] = ["system", "flow", "isolation", "hotspot", "circuitBreaker"];
const ORDERS: &str = "GET /orders/{id}";
const REPORTS: &str = "GET /reports";
const TENANT: &str = "x-tenant";
const SECOND: u64 = 1_000_000_000;
const LENGTH: Duration = Duration::from_secs(5);
const BIG: Load = Load { clients: 20, per_second: 500.0, length: LENGTH };
/// Ten tenants in turn.
const SMALL: Load = Load { clients: 20, per_second: 300.0, length: LENGTH };
const PATIENT: Load = Load { clients: 4, per_second: 40.0, length: LENGTH };
/// Clients that go away before a report is done.
const IMPATIENT: usize = 4;
const REPORT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(40);

pub(super) async fn perform(report: &mut Report) -> Outcome {
    report.scene("A shop with an inventory behind it, under rules of five families:", RULES);
    let clock = TscClock::new();
    let sentinel = stage::sentinel(Sentinel::builder().clock(clock.clone()), RULES)?;
    let inventory = Dependency::new(64, Duration::from_millis(20));
    let behind = stage::serve(inventory.router()).await?;
    let shop = Shop::new(&sentinel, behind.address, Record::new(clock));
    let server = stage::serve(shop.router(&sentinel)).await?;

    report.note(
        "One big tenant, ten small ones; reports whose clients wait or go away; the inventory fails from 1.5 to 3 s.",
    );
    let begin = Instant::now();
    let big = BIG.on(server.address, |number| order(number, "big"));
    let small = SMALL.on(server.address, |number| order(number, &format!("small-{}", number % 10)));
    let patient = PATIENT.on(server.address, |_| Ask::get("/reports"));
    let trouble = async {
        sleep(LENGTH * 3 / 10).await;
        inventory.set_failing(true);
        sleep(LENGTH * 3 / 10).await;
        inventory.set_failing(false);
        Ok(())
    };
    let impatient = impatient(server.address);
    let (big, small, patient, gone, ()) = tokio::try_join!(big, small, patient, impatient, trouble)?;
    let took = begin.elapsed().as_secs_f64();
    // All clients are gone, and what they have left behind ends on its own.
    stage::until("nothing is in flight", || sentinel.snapshot().inbound.in_flight == 0).await?;
    stage::end(server).await?;
    stage::end(behind).await?;

    let orders = Answers(big.0.iter().chain(&small.0).copied().collect());
    shop.expect_limits(report, &big, took);
    expect_counts(report, &sentinel, [&orders, &patient], gone);
    let state = sentinel.snapshot_of("inventory").and_then(|of| of.rules.iter().find_map(|rule| rule.breaker));
    let is_closed = state.is_some_and(|breaker| breaker.state == BreakerState::Closed);
    report.expect(is_closed, "the breaker, which the failing inventory had opened, is closed again");
    report.expect_rest(&sentinel);
    Ok(())
}

fn order(number: u64, tenant: &str) -> Ask {
    Ask::get(format!("/orders/{number}")).header(TENANT, tenant)
}

/// Clients that go away; how often they did, and how many answers they had before.
async fn impatient(service: SocketAddr) -> std::io::Result<(u64, u64)> {
    let mut clients = JoinSet::new();
    for _ in 0..IMPATIENT {
        clients.spawn(async move {
            let (begin, mut gone, mut answered) = (Instant::now(), 0, 0);
            while begin.elapsed() < LENGTH {
                let mut client = Client::connect(service).await?;
                match timeout(PATIENCE, client.get("/reports")).await {
                    Ok(answer) => {
                        answer?;
                        answered += 1;
                        sleep(PATIENCE).await;
                    }
                    Err(_) => gone += 1,
                }
            }
            Ok::<_, std::io::Error>((gone, answered))
        });
    }
    let mut sum = (0, 0);
    while let Some(client) = clients.join_next().await {
        let (gone, answered) = client??;
        sum = (sum.0 + gone, sum.1 + answered);
    }
    Ok(sum)
}

/// The service, and what it counts itself.
#[derive(Clone)]
struct Shop {
    inventory: Resource,
    pool: Arc<Pool>,
    record: Record,
    /// Requests inside of the layer.
    inbound: Room,
    /// Calls of the inventory that were admitted.
    asked: Room,
    /// Refusals by family.
    refusals: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Shop {
    fn new(sentinel: &Sentinel, behind: SocketAddr, record: Record) -> Self {
        Self {
            inventory: sentinel.resource("inventory"),
            pool: Arc::new(Pool::new(behind)),
            record,
            inbound: Room::default(),
            asked: Room::default(),
            refusals: Arc::default(),
        }
    }

    fn router(&self, sentinel: &Sentinel) -> Router {
        let (shop, refusals) = (self.clone(), Arc::clone(&self.refusals));
        let http = by_route().calling(move |head, enter| {
            let tenant = head.headers.get(TENANT).map_or(&b""[..], |value| value.as_bytes());
            let decision = enter.with(&Call::new().named_args(&[("tenant", Arg::from(tenant))]));
            if let Decision::Block(blocked) = &decision {
                *refusals.lock().entry(blocked.family()).or_default() += 1;
            }
            decision
        });
        let router = Router::new()
            .route("/orders/{id}", get(move || shop.clone().order()))
            .route("/reports", get(async || sleep(REPORT).await))
            .layer(from_fn_with_state(self.inbound.clone(), counted));
        self.record.around_with(router, SentinelLayer::new(sentinel, http))
    }

    /// 502 where the inventory may not be asked or fails, which tells it from refusals of the order itself.
    async fn order(self) -> StatusCode {
        let entry = match self.inventory.enter().admitted(sleep).await {
            Ok(entry) => entry,
            Err(blocked) => {
                *self.refusals.lock().entry(blocked.family()).or_default() += 1;
                return StatusCode::BAD_GATEWAY;
            }
        };
        let asked = entry.run(async {
            let inside = self.asked.enter();
            let asked = well(&self.pool).await;
            drop(inside);
            asked
        });
        asked.await.map_or(StatusCode::BAD_GATEWAY, |()| StatusCode::OK)
    }

    /// Expects that no limit was exceeded, and that each rule had something to refuse.
    fn expect_limits(&self, report: &mut Report, big: &Answers, took: f64) {
        let most = self.inbound.most();
        report.expect(most <= 12, format!("system: {most} requests inside at most, of 12"));
        let mut calls = self.record.calls(ORDERS);
        let worst = most_inside(&mut calls.admitted, SECOND);
        report.expect(worst <= 300, format!("flow: {worst} orders in the worst second, of 300"));
        let most = self.asked.most();
        report.expect(most <= 4, format!("isolation: {most} calls of the inventory at a time at most, of 4"));
        let admitted = big.count(StatusCode::OK) + big.count(StatusCode::BAD_GATEWAY);
        let bucket = 100.0 * (1.0 + took);
        let words = format!("hotspot: {admitted} orders of the big tenant in {took:.1} s, of {bucket:.0}");
        report.expect(admitted as f64 <= bucket, words);
        let refusals = self.refusals.lock();
        let all = FAMILIES.iter().all(|family| refusals.get(family).is_some_and(|count| *count > 0));
        let shown: Vec<String> = refusals.iter().map(|(family, count)| format!("{family} {count}")).collect();
        report.expect(all, format!("each rule had something to refuse: {}", shown.join(", ")));
    }
}

async fn counted(State(room): State<Room>, request: Request, next: Next) -> Response {
    let inside = room.enter();
    let response = next.run(request).await;
    drop(inside);
    response
}

/// Expects that statistics and clients have counted the same; `gone` is how often clients went away, and how many
/// answers they had before.
fn expect_counts(report: &mut Report, sentinel: &Sentinel, answers: [&Answers; 2], gone: (u64, u64)) {
    let snapshot = sentinel.snapshot();
    let totals = |resource| snapshot.resource(resource).map(|of| of.statistics.totals).unwrap_or_default();
    let (orders, reports, inbound) = (totals(ORDERS), totals(REPORTS), snapshot.inbound.totals);

    let count = |statuses: [StatusCode; 2]| statuses.map(|status| answers[0].count(status) as u64).iter().sum::<u64>();
    let admitted = count([StatusCode::OK, StatusCode::BAD_GATEWAY]);
    let refused = count([StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE]);
    let agree = (orders.pass, orders.block) == (admitted, refused) && answers[0].len() as u64 == admitted + refused;
    report.expect(
        agree,
        format!("orders: clients count {admitted} admitted and {refused} refused, as the statistics do"),
    );

    let answered = answers[1].len() as u64 + gone.1;
    let counted = reports.pass + reports.block;
    let words = format!("reports: {counted} counted, {answered} answered, and {} clients went away", gone.0);
    report.expect((answered..=answered + gone.0).contains(&counted) && reports.ignored > 0, words);

    let sum = (orders.pass + reports.pass, orders.block + reports.block);
    let words = format!("all inbound traffic together: {} admitted and {} refused, the sum of both", sum.0, sum.1);
    report.expect((inbound.pass, inbound.block) == sum, words);
}
