//! Flow rules: how many calls per second.

use std::time::Duration;

use axum::{Router, http::StatusCode, routing::get};
use sentinel_core::{Sentinel, TscClock};
use sentinel_examples::{
    audit::{exact_log, most_inside, too_early},
    client::Ask,
    load::Load,
    record::Record,
};

use super::{Outcome, Report, stage};

const RULES: &str = "\
flow:
  - {resource: GET /orders, threshold: 100}
  - {resource: GET /search, threshold: 50, behavior: throttle, maxQueueingTimeMs: 200}";

const SECOND: u64 = 1_000_000_000;
const MAX_WAIT: u64 = SECOND / 5;
const LENGTH: Duration = Duration::from_millis(2_500);

pub(super) async fn perform(report: &mut Report) -> Outcome {
    report.scene("A service whose orders may come 100 times in any second, and whose searches come evenly:", RULES);
    let clock = TscClock::new();
    let sentinel = stage::sentinel(Sentinel::builder().clock(clock.clone()), RULES)?;
    let record = Record::new(clock);
    let app = Router::new().route("/orders", get(async || "order\n")).route("/search", get(async || "found\n"));
    let server = stage::serve(record.around(app, &sentinel)).await?;

    report.note("Clients ask for 1,000 orders and 200 searches a second.");
    let orders = Load { clients: 24, per_second: 1_000.0, length: LENGTH }.on(server.address, |_| Ask::get("/orders"));
    let search = Load { clients: 24, per_second: 200.0, length: LENGTH }.on(server.address, |_| Ask::get("/search"));
    let (orders, search) = tokio::try_join!(orders, search)?;
    stage::end(server).await?;

    let mut calls = record.calls("GET /orders");
    let (asked, admitted) = (calls.offered.len(), calls.admitted.len());
    let worst = most_inside(&mut calls.admitted, SECOND);
    report.expect(worst <= 100, format!("orders: {asked} asked for, {admitted} served, {worst} in the worst second"));
    // Permits may come back a 128th of the interval late.
    let allowed = exact_log(calls.offered, 100, SECOND + SECOND / 128);
    let enough = admitted as f64 >= 0.99 * allowed as f64;
    report.expect(enough, format!("orders: at least 99 % of the {allowed} that an exact log of all calls allows"));

    let mut calls = record.calls("GET /search");
    for call in &mut calls.admitted {
        // The runtime sleeps by a clock of its own, which may run a little faster.
        call.after += MAX_WAIT / 1_000;
    }
    let early = too_early(&calls.admitted, SECOND / 50);
    let (asked, admitted) = (calls.offered.len(), calls.admitted.len());
    report.expect(early == 0, format!("searches: {asked} asked for, {admitted} served, none earlier than 20 ms apart"));

    for (resource, answers) in [("GET /orders", orders), ("GET /search", search)] {
        let totals = sentinel.snapshot_of(resource).map(|of| of.statistics.totals).unwrap_or_default();
        let seen = [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS].map(|status| answers.count(status) as u64);
        let agree = seen == [totals.pass, totals.block] && answers.len() as u64 == totals.pass + totals.block;
        let words =
            format!("{resource}: clients count {} served and {} refused, as the statistics do", seen[0], seen[1]);
        report.expect(agree, words);
    }
    report.expect_rest(&sentinel);
    Ok(())
}
