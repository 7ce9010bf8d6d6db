//! Isolation rules whose limit finds itself.

use std::time::Duration;

use axum::http::StatusCode;
use sentinel_core::Sentinel;
use sentinel_examples::{client::Ask, load::Load};

use super::{
    Outcome, Report,
    dependency::{Dependency, in_front},
    stage,
};

const RULES: &str = "\
isolation:
  - {resource: inventory, adaptive: vegas, minThreshold: 2, maxThreshold: 64}";

const TAKES: Duration = Duration::from_millis(40);
/// How many calls the inventory works on, one part of the scenario after the other.
const WORKERS: [u32; 3] = [12, 4, 12];
const LOAD: Load = Load { clients: 48, per_second: 600.0, length: Duration::from_millis(2_500) };
/// From here on a part is judged.
const SETTLED: Duration = Duration::from_millis(1_500);

pub(super) async fn perform(report: &mut Report) -> Outcome {
    report.scene("A service that asks an inventory of changing capacity, and does not know it:", RULES);
    let sentinel = stage::sentinel(Sentinel::builder(), RULES)?;
    let inventory = Dependency::new(WORKERS[0] as usize, TAKES);
    let behind = stage::serve(inventory.router()).await?;
    let server = stage::serve(in_front(&sentinel, "inventory", behind.address)).await?;
    let limit =
        || sentinel.snapshot_of("inventory").and_then(|of| Some(of.rules.first()?.threshold)).unwrap_or_default();

    report.note("Clients ask 600 times a second; a call takes the inventory 40 ms.");
    let (mut workers, mut limits) = (WORKERS[0], Vec::new());
    for now in WORKERS {
        if now > workers {
            inventory.add_workers((now - workers) as usize);
        } else {
            inventory.remove_workers(workers - now).await;
        }
        workers = now;
        let answers = LOAD.on(server.address, |_| Ask::get("/")).await?.from(SETTLED).of(StatusCode::OK);
        limits.push(limit());
        let capacity = f64::from(now) / TAKES.as_secs_f64();
        let rate = answers.len() as f64 / (LOAD.length - SETTLED).as_secs_f64();
        let p99 = answers.percentile(0.99);
        let words = format!("room for {now:2} calls, {capacity:.0} a second: the limit is {:.0}", limit());
        let is_good = rate >= 0.6 * capacity && p99 <= 6 * TAKES;
        report.expect(is_good, format!("{words}, {rate:.0} a second are answered, p99 {p99:.0?}"));
    }
    let follows = limits[1] < limits[0] && limits[1] < limits[2];
    report.expect(follows, "the limit followed the capacity down and up again");
    stage::end(server).await?;
    stage::end(behind).await?;
    report.expect_rest(&sentinel);
    Ok(())
}
