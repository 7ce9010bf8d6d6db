//! System rules: a machine with more work than it can do.

use std::{error::Error, time::Duration};

use axum::{Router, routing::get};
use sentinel_axum::layer;
use sentinel_core::Sentinel;
use sentinel_examples::load::Load;

use super::{
    Outcome, Report,
    burn::{Burner, processors},
    order::{Answered, Order},
    stage,
};

const RULES: &str = "\
system:
  - {metric: cpuUsage, threshold: 0.7}";

/// The processor time of a call.
const TAKES: Duration = Duration::from_millis(8);
/// How much more is asked for than the machine can do.
const OVERLOAD: f64 = 3.0;
const CLIENTS: u32 = 80;
const LENGTH: Duration = Duration::from_millis(3_800);
/// From here on it counts: the processor's usage has to be read a few times first.
const SETTLED: Duration = Duration::from_millis(1_800);
const DEADLINE: Duration = Duration::from_millis(150);
const READING: Duration = Duration::from_millis(200);

pub(super) async fn perform(report: &mut Report) -> Outcome {
    report.scene("A service whose calls burn processor time, on a machine that has too little:", RULES);
    let burner = Burner::new(TAKES);
    let capacity = processors() as f64 / TAKES.as_secs_f64();
    report.note(format!(
        "Another process asks {:.0} times a second; {} processors can answer {capacity:.0} at most, {TAKES:?} each.",
        OVERLOAD * capacity,
        processors(),
    ));
    let load = Load { clients: CLIENTS, per_second: OVERLOAD * capacity, length: LENGTH };
    let without = run(&Sentinel::default(), &burner, load).await?;
    report.note(format!("Without the rule: {}", words(&without)));
    let sentinel = stage::sentinel(Sentinel::builder().sampler(READING), RULES)?;
    let with = run(&sentinel, &burner, load).await?;
    report.note(format!("With it:          {}", words(&with)));

    let words = format!("the rule costs nothing: {} answers in time, and {} without it", with.in_time, without.in_time);
    report.expect(with.in_time >= without.in_time && with.in_time > 0, words);
    let words = format!("the p99 of answers is at most a third: {:.1?} of {:.1?}", with.p99, without.p99);
    report.expect(with.p99 * 3 <= without.p99, words);
    let words = format!("a refusal (503) takes a tenth of that: {:.1?} (median of {})", with.refusal, with.refused);
    report.expect(with.refused > 0 && with.refusal * 10 <= without.p99, words);
    let usage = sentinel.signals().cpu_usage();
    report.expect(usage.is_some(), format!("the processor's usage was read: {:.2}", usage.unwrap_or_default()));
    report.expect_rest(&sentinel);
    Ok(())
}

async fn run(sentinel: &Sentinel, burner: &Burner, load: Load) -> Result<Answered, Box<dyn Error>> {
    let burner = burner.clone();
    let app = Router::new().route("/", get(move || burner.clone().burn())).layer(layer(sentinel));
    let server = stage::serve(app).await?;
    let answered = Order::new(server.address, load, SETTLED, DEADLINE).run_elsewhere().await?;
    stage::end(server).await?;
    Ok(answered)
}

fn words(answered: &Answered) -> String {
    let Answered { answered, in_time, p99, refused, .. } = answered;
    format!("{answered} answered, {in_time} of them within {DEADLINE:?}, p99 {p99:.1?}, {refused} refused")
}
