//! What trials do again and again.

use std::time::Duration;

use sentinel_core::Sentinel;
use sentinel_nacos::{Datasource, NacosSource, SourceError, Watch};
use sentinel_testing::servers::{Nacos, NacosOptions, Server as _, Unavailable};
use tokio::time::{Instant, sleep};

pub(crate) const KEY: &str = "sentinel-rules";

/// How soon a change is in force.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// How long is waited for what takes a few attempts.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A server that lets in everybody.
pub(crate) async fn open_server() -> Result<Nacos, Unavailable> {
    Nacos::start(NacosOptions::default()).await
}

/// The data id of most trials.
pub(crate) fn source(nacos: &Nacos) -> NacosSource {
    NacosSource::new(nacos.address().to_string(), KEY)
}

pub(crate) fn rules(threshold: u64) -> String {
    format!("flow: [{{resource: orders, threshold: {threshold}}}]")
}

pub(crate) async fn put(nacos: &Nacos, threshold: u64) {
    nacos.put(KEY, rules(threshold).as_bytes()).await.unwrap();
}

pub(crate) fn datasource(source: NacosSource) -> Datasource<NacosSource> {
    Datasource::new(source).name("rules").timeout(Duration::from_secs(2)).start_within(PATIENCE)
}

pub(crate) async fn start(source: NacosSource, sentinel: &Sentinel) -> Watch {
    datasource(source).start(sentinel).await.unwrap_or_else(|error| panic!("it does not start: {error}"))
}

/// Why it does not start.
pub(crate) async fn refusal(source: NacosSource) -> SourceError {
    let refused = datasource(source).start_within(SOON).start(&Sentinel::default()).await;
    (*refused.expect_err("it starts").error).clone()
}

/// The threshold in force.
pub(crate) fn threshold(sentinel: &Sentinel) -> Option<u64> {
    Some(sentinel.rules().get("rules")?.flow.first()?.params.threshold as u64)
}

/// What is wrong, in words.
pub(crate) fn error(watch: &Watch) -> String {
    watch.status().last_error.map(|(_, error)| error.to_string()).unwrap_or_default()
}

/// Waits until something is so.
pub(crate) async fn until(limit: Duration, watch: &Watch, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < limit, "not within {limit:?}: {:#?}", watch.status());
        sleep(Duration::from_millis(5)).await;
    }
}
