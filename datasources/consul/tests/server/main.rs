//! The source against a real agent.

mod access;
mod publishing;
mod subject;
mod watching;

use std::{process::ExitCode, time::Duration};

use sentinel_consul::{ConsulSource, Datasource, StartError, Watch};
use sentinel_core::Sentinel;
use sentinel_testing::{
    run,
    servers::{Account, Consul, ConsulOptions, Server as _, Unavailable},
    suite,
};
use tokio::time::{Instant, sleep};

fn main() -> ExitCode {
    let own = [watching::trials(), access::trials(), publishing::trials()];
    run(suite::trials::<subject::Subject>().into_iter().chain(own.into_iter().flatten()))
}

const KEY: &str = "sentinel/rules";

fn rules(threshold: u64) -> String {
    format!(r#"{{"flow": [{{"resource": "orders", "threshold": {threshold}}}]}}"#)
}

/// A server with access control whose key holds rules with this threshold.
async fn server(threshold: u64) -> Result<Consul, Unavailable> {
    let server = Consul::start(ConsulOptions { auth: true, ..ConsulOptions::default() }).await?;
    server.put(KEY, rules(threshold).as_bytes()).await.unwrap();
    Ok(server)
}

fn source(server: &Consul) -> ConsulSource {
    ConsulSource::new(server.endpoint(), KEY).token(Account::WRITER.secret.into())
}

async fn start(source: ConsulSource, sentinel: &Sentinel) -> Result<Watch, StartError> {
    let datasource = Datasource::new(source).name("rules").timeout(Duration::from_secs(2));
    datasource.start_within(Duration::from_secs(2)).start(sentinel).await
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
