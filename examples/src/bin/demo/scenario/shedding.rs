//! Shedding rules: a service behind this one that refuses most calls.

use std::time::Duration;

use axum::http::StatusCode;
use sentinel_axum::layer;
use sentinel_core::{FlowRule, Rules, Sentinel};
use sentinel_examples::{client::Ask, load::Load};

use super::{
    Outcome, Report,
    dependency::{Dependency, in_front},
    stage,
};

const RULES: &str = "\
shedding:
  - {resource: inventory, k: 2, intervalMs: 1000}";

const K: f64 = 2.0;
/// What the inventory answers per second, and what it is asked for.
const ANSWERS: f64 = 50.0;
/// Spread over the second.
const TENTH: Duration = Duration::from_millis(100);
const LOAD: Load = Load { clients: 24, per_second: 400.0, length: Duration::from_secs(1) };
/// How much more than K times is chance.
const CHANCE: f64 = 1.25;

pub(super) async fn perform(report: &mut Report) -> Outcome {
    report.scene("A service that asks an inventory, which refuses all but 50 calls a second:", RULES);
    let sentinel = stage::sentinel(Sentinel::builder(), RULES)?;
    let (inventory, its_own) = (Dependency::new(64, Duration::from_millis(5)), Sentinel::default());
    its_own
        .rules()
        .replace("inventory", Rules::new().flow([FlowRule::new("GET /", ANSWERS * TENTH.as_secs_f64()).per(TENTH)]))?;
    let behind = stage::serve(inventory.router().layer(layer(&its_own))).await?;
    let server = stage::serve(in_front(&sentinel, "inventory", behind.address)).await?;
    let reached =
        || its_own.snapshot_of("GET /").map_or(0, |of| of.statistics.totals.pass + of.statistics.totals.block);

    report.note("Clients ask 400 times a second; the first second shows the rule how things are, in the next two:");
    LOAD.on(server.address, |_| Ask::get("/")).await?;
    let (got, answered) = (reached(), inventory.answered());
    let load = Load { length: Duration::from_secs(2), ..LOAD };
    let answers = load.on(server.address, |_| Ask::get("/")).await?;
    let (got, answered) = (reached() - got, inventory.answered() - answered);
    let times = got as f64 / answered.max(1) as f64;
    let words =
        format!("of {} calls {got} got there and {answered} were answered: {times:.2} times as many", answers.len());
    report.expect(times <= K * CHANCE, format!("{words}, at most about {K}"));
    let unspared = answers.len() as f64 / (ANSWERS * load.length.as_secs_f64());
    report.expect(times < unspared / 2.0, format!("without the rule it would be {unspared:.1} times"));
    let enough = answered as f64 >= 0.6 * ANSWERS * load.length.as_secs_f64();
    report.expect(enough, format!("and the inventory is used: {answered} answers in {:?}", load.length));

    report.note("The inventory refuses nothing any more. After three seconds:");
    its_own.rules().replace("inventory", Rules::new())?;
    Load { length: Duration::from_secs(3), ..LOAD }.on(server.address, |_| Ask::get("/")).await?;
    let answers = LOAD.on(server.address, |_| Ask::get("/")).await?;
    let (good, all) = (answers.count(StatusCode::OK), answers.len());
    report.expect(good as f64 >= 0.95 * all as f64, format!("{good} of {all} calls are answered"));
    stage::end(server).await?;
    stage::end(behind).await?;
    report.expect_rest(&sentinel);
    Ok(())
}
