//! The source against a server of its own, which misbehaves where it is told to.

mod access;
mod faults;
mod publishing;
mod subject;

use std::{process::ExitCode, time::Duration};

use sentinel_core::Sentinel;
use sentinel_datasource::{Datasource, StartError, Watch};
use sentinel_http::HttpSource;
use sentinel_testing::{http::HttpServer, run, suite};
use tokio::time::{Instant, sleep};

fn main() -> ExitCode {
    let own = [faults::trials(), access::trials(), publishing::trials()];
    run(suite::trials::<subject::Subject>().into_iter().chain(own.into_iter().flatten()))
}

/// How often servers are asked here.
const INTERVAL: Duration = Duration::from_millis(100);

fn rules(threshold: u64) -> String {
    format!(r#"{{"flow": [{{"resource": "orders", "threshold": {threshold}}}]}}"#)
}

/// A server that has rules with this threshold.
async fn server(threshold: u64) -> HttpServer {
    let server = HttpServer::start().await;
    server.serve("application/json", rules(threshold));
    server
}

fn source(server: &HttpServer) -> HttpSource {
    HttpSource::new(server.url()).interval(INTERVAL)
}

async fn start(source: HttpSource, sentinel: &Sentinel) -> Result<Watch, StartError> {
    Datasource::new(source).name("rules").timeout(Duration::from_secs(2)).start(sentinel).await
}

fn threshold(sentinel: &Sentinel) -> Option<u64> {
    Some(sentinel.rules().get("rules")?.flow.first()?.params.threshold as u64)
}

fn error(watch: &Watch) -> String {
    watch.status().last_error.map(|(_, error)| error.to_string()).unwrap_or_default()
}

async fn until(watch: &Watch, what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(5), "{what}\n{:#?}", watch.status());
        sleep(Duration::from_millis(2)).await;
    }
}
