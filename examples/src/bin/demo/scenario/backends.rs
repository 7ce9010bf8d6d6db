//! The components for clients: a service with three backends, of which one fails, and then all.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use sentinel_core::{Answer, Backend, Fallback, FallbackConfig, OutlierConfig, OutlierDetector, Sentinel};
use sentinel_examples::{
    client::{Ask, Pool},
    load::Load,
};
use tokio::time::sleep;

use super::{
    Outcome, Report,
    dependency::{Dependency, well},
    stage,
};

const SETTINGS: &str = "\
OutlierConfig: consecutive_errors 5, ejection_time 2 s
FallbackConfig: time_to_live 1500 ms";

const ERRORS: u32 = 5;
const EJECTION: Duration = Duration::from_secs(2);
const TIME_TO_LIVE: Duration = Duration::from_millis(1_500);
const CLIENTS: u32 = 8;
const LOAD: Load = Load { clients: CLIENTS, per_second: 400.0, length: Duration::from_secs(1) };

/// A service that asks one of its backends, and knows what they answered last.
struct Front {
    sentinel: Sentinel,
    detector: OutlierDetector,
    backends: Vec<Backend>,
    pools: BTreeMap<String, Pool>,
    last: Fallback<&'static str, StatusCode>,
}

impl Front {
    /// Asks a backend that is in service.
    async fn ask(&self) -> io::Result<StatusCode> {
        let ticket = self.detector.pick(&self.backends).ok_or_else(|| io::Error::other("no backend"))?;
        let pool = self.pools.get(ticket.backend().name()).ok_or_else(|| io::Error::other("no such backend"))?;
        ticket.run(well(pool)).await.map(|()| StatusCode::OK)
    }

    /// Asks; where that fails, the answer is the last good one, as 203.
    async fn ask_or_remember(&self) -> StatusCode {
        let admitted = self.sentinel.enter("prices").immediately();
        match self.last.run("prices", admitted, self.ask()).await {
            Ok(Answer::Fresh(status)) => *status,
            Ok(Answer::Stale { .. }) => StatusCode::NON_AUTHORITATIVE_INFORMATION,
            Err(_) => StatusCode::BAD_GATEWAY,
        }
    }
}

pub(super) async fn perform(report: &mut Report) -> Outcome {
    report.scene("A service with three backends, of which it ejects one that fails:", SETTINGS);
    let dependencies: Vec<Dependency> = (0..3).map(|_| Dependency::new(64, Duration::from_millis(2))).collect();
    let mut behind = Vec::new();
    for dependency in &dependencies {
        behind.push(stage::serve(dependency.router()).await?);
    }
    let config = OutlierConfig::default().consecutive_errors(ERRORS).ejection_time(EJECTION, EJECTION).seed(1);
    let detector = OutlierDetector::new(config)?;
    let front = Arc::new(Front {
        sentinel: Sentinel::default(),
        backends: behind.iter().map(|server| detector.backend(&server.address.to_string())).collect(),
        pools: behind.iter().map(|server| (server.address.to_string(), Pool::new(server.address))).collect(),
        detector,
        last: Fallback::new(FallbackConfig::default().time_to_live(TIME_TO_LIVE))?,
    });
    let (plain, kept) = (Arc::clone(&front), Arc::clone(&front));
    let ask = async move || plain.ask().await.unwrap_or(StatusCode::BAD_GATEWAY);
    let remember = async move || kept.ask_or_remember().await;
    let server = stage::serve(Router::new().route("/", get(ask)).route("/kept", get(remember))).await?;

    report.note("The first backend fails every call. Clients ask 400 times a second:");
    dependencies[0].set_failing(true);
    let answers = LOAD.on(server.address, |_| Ask::get("/")).await?;
    let (failed, all) = (answers.count(StatusCode::BAD_GATEWAY), answers.len());
    let most = (ERRORS + CLIENTS) as usize;
    let words = format!("{failed} of {all} calls fail, at most {ERRORS} and those of {CLIENTS} clients under way");
    report.expect((1..=most).contains(&failed), format!("{words}; without it a third would"));
    report.expect(front.backends[0].is_ejected(), "it is ejected");

    report.note("It recovers. When its ejection is over and its probes went well, it is called again:");
    dependencies[0].set_failing(false);
    let before = dependencies[0].answered();
    let answers = Load { length: Duration::from_secs(3), ..LOAD }.on(server.address, |_| Ask::get("/")).await?;
    let (good, answered) = (answers.count(StatusCode::OK), dependencies[0].answered() - before);
    report.expect(good == answers.len(), format!("{good} of {} calls are answered", answers.len()));
    report.expect(answered > 50, format!("{answered} of them by it"));

    report.note("All backends fail. Where the last good answer will do, it is given for a while:");
    LOAD.on(server.address, |_| Ask::get("/kept")).await?;
    dependencies.iter().for_each(|dependency| dependency.set_failing(true));
    let load = Load { length: Duration::from_millis(500), ..LOAD };
    let answers = load.on(server.address, |_| Ask::get("/kept")).await?;
    let stale = answers.count(StatusCode::NON_AUTHORITATIVE_INFORMATION);
    report.expect(stale == answers.len(), format!("{stale} of {} calls get it", answers.len()));
    sleep(TIME_TO_LIVE).await;
    let answers = load.on(server.address, |_| Ask::get("/kept")).await?;
    let failed = answers.count(StatusCode::BAD_GATEWAY);
    let words = format!("{failed} of {} fail when it is older than {TIME_TO_LIVE:?}", answers.len());
    report.expect(failed == answers.len(), words);

    stage::end(server).await?;
    let sentinel = front.sentinel.clone();
    drop(front);
    for server in behind {
        stage::end(server).await?;
    }
    report.expect_rest(&sentinel);
    Ok(())
}
