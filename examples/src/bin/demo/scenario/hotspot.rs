//! Hotspot rules: how many calls with one value.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use parking_lot::Mutex;
use sentinel_axum::{SentinelLayer, by_route};
use sentinel_core::{Arg, Call, Sentinel};
use sentinel_examples::{client::Ask, load::Load};
use tokio::time::sleep;

use super::{Outcome, Report, stage};

const RULES: &str = "\
hotspot:
  - {resource: 'GET /items/{id}', paramKey: item, threshold: 50, capacity: 1000}";

const THRESHOLD: f64 = 50.0;
const LENGTH: Duration = Duration::from_secs(3);
const HOT: Load = Load { clients: 8, per_second: 400.0, length: LENGTH };
/// Of 20 items in turn, 10 times a second each.
const ORDINARY: Load = Load { clients: 8, per_second: 200.0, length: LENGTH };
/// Each of another item.
const FLOOD: Load = Load { clients: 24, per_second: 1_200.0, length: LENGTH };

pub(super) async fn perform(report: &mut Report) -> Outcome {
    report.scene("A shop in which everybody wants one item, and somebody asks for all there are:", RULES);
    let sentinel = stage::sentinel(Sentinel::builder(), RULES)?;
    let served: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
    let count = Arc::clone(&served);
    let item = async move |Path(id): Path<String>| *count.lock().entry(id).or_default() += 1;
    let http = by_route().calling(|head, enter| {
        let item = head.uri.path().rsplit('/').next().unwrap_or_default();
        enter.with(&Call::new().named_args(&[("item", Arg::from(item))]))
    });
    let app = Router::new().route("/items/{id}", get(item)).layer(SentinelLayer::new(&sentinel, http));
    let server = stage::serve(app).await?;

    report
        .note("Asked for 400 times a second: item 1; 200 times: 20 items in turn; 1,200 times: another one each time.");
    let begin = Instant::now();
    let hot = HOT.on(server.address, |_| Ask::get("/items/1"));
    let ordinary = ORDINARY.on(server.address, |number| Ask::get(format!("/items/{}", 2 + number % 20)));
    let flood = FLOOD.on(server.address, |number| Ask::get(format!("/items/{}", 1_000 + number)));
    let look = async {
        sleep(LENGTH * 2 / 3).await;
        Ok(sentinel.snapshot_of("GET /items/{id}"))
    };
    let (hot, ordinary, flood, seen) = tokio::try_join!(hot, ordinary, flood, look)?;
    let took = begin.elapsed().as_secs_f64();
    stage::end(server).await?;

    let of_hot = served.lock().get("1").copied().unwrap_or_default();
    let most = THRESHOLD * (1.0 + took);
    let words =
        format!("item 1: {of_hot} of {} served in {took:.1} s, a full bucket and 50 a second are {most:.0}", hot.len());
    report.expect(of_hot as f64 <= most && of_hot as f64 >= 0.8 * most, words);
    report.expect(hot.count(StatusCode::OK) as u64 == of_hot, "its clients count the same");
    for (whom, answers) in [("the 20 other items", ordinary), ("items that are asked for once", flood)] {
        let (good, all) = (answers.count(StatusCode::OK), answers.len());
        report.expect(good == all, format!("{whom}: {good} of {all} served"));
    }

    let hottest = seen.and_then(|of| of.rules.first().map(|rule| rule.hot_values.clone())).unwrap_or_default();
    let shown = hottest.iter().take(4);
    let shown = shown.map(|hot| format!("{} ({:.0} + {:.0})", hot.value, hot.pass_per_second, hot.block_per_second));
    let words =
        format!("hottest in the snapshot (admitted + refused a second): {}", shown.collect::<Vec<_>>().join(", "));
    report.expect(hottest.first().is_some_and(|hot| &*hot.value == "1"), words);
    report.expect_rest(&sentinel);
    Ok(())
}
