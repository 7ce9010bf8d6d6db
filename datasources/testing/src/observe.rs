//! What tests look at again and again: which rules are in force, what is wrong, and how long that takes.

use std::time::Duration;

use sentinel_core::{FlowRule, Rules, Sentinel};
use sentinel_datasource::{Datasource, Source, SourceError, Watch};
use tokio::time::{Instant, sleep};

/// How soon a change is in force.
pub const SOON: Duration = Duration::from_secs(1);

/// How long after a fault everything has to be right again.
pub const RECOVERY: Duration = Duration::from_secs(3);

/// How long is waited for what has no limit of its own.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than any test takes.
pub const NEVER: Duration = Duration::from_secs(3_600);

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// A document of rules that are told from others by their threshold.
pub fn document(threshold: u64) -> String {
    format!(r#"{{"flow": [{{"resource": "orders", "threshold": {threshold}}}]}}"#)
}

/// The same, as rules to be published.
pub fn rules(threshold: f64) -> Rules {
    Rules::new().flow([FlowRule::new("orders", threshold)])
}

/// A source whose rules are called `rules`, with limits that are reached within the time of a test.
pub fn datasource<S: Source>(source: S) -> Datasource<S> {
    Datasource::new(source).name("rules").timeout(Duration::from_secs(2)).start_within(PATIENCE)
}

/// Puts the rules of a source in force. Only what it is told brings a change after that.
///
/// # Panics
///
/// When it does not start.
pub async fn start(source: impl Source, sentinel: &Sentinel) -> Watch {
    let start = datasource(source).resync_interval(NEVER).start(sentinel);
    start.await.unwrap_or_else(|error| panic!("it does not start: {error}"))
}

/// Why a source does not start.
///
/// # Panics
///
/// When it does.
pub async fn refusal(source: impl Source) -> SourceError {
    let start = datasource(source).start_within(Duration::from_secs(2)).start(&Sentinel::default()).await;
    let Err(refused) = start else { panic!("it starts") };
    SourceError::clone(&refused.error)
}

/// The thresholds of all flow rules in force, from the lowest to the highest.
pub fn thresholds(sentinel: &Sentinel) -> Vec<u64> {
    let flow = sentinel.rules().list().into_iter().flat_map(|(_, rules)| rules.flow);
    let mut all: Vec<_> = flow.map(|rule| rule.params.threshold as u64).collect();
    all.sort_unstable();
    all
}

/// What is wrong, in words; nothing where nothing is.
pub fn error(watch: &Watch) -> String {
    watch.status().last_error.map(|(_, error)| error.to_string()).unwrap_or_default()
}

/// Waits until something is so; how long it took.
///
/// # Panics
///
/// When it is not within the limit.
pub async fn within(limit: Duration, what: &str, watch: &Watch, mut is_so: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}\n{:#?}", watch.status());
        sleep(LOOK_INTERVAL).await;
    }
    begin.elapsed()
}

/// Waits until [these thresholds](thresholds) are in force; how long it took.
///
/// # Panics
///
/// When they are not within the limit.
pub async fn until_in_force<const N: usize>(
    limit: Duration,
    expected: [u64; N],
    sentinel: &Sentinel,
    watch: &Watch,
) -> Duration {
    within(limit, &format!("{expected:?} in force"), watch, || thresholds(sentinel) == expected).await
}

/// Waits until these thresholds are in force and nothing is wrong; how long it took.
///
/// # Panics
///
/// When it is not so within the limit.
pub async fn until_healthy<const N: usize>(
    limit: Duration,
    expected: [u64; N],
    sentinel: &Sentinel,
    watch: &Watch,
) -> Duration {
    let is_so = || thresholds(sentinel) == expected && watch.status().is_healthy();
    within(limit, &format!("{expected:?} in force, and healthy"), watch, is_so).await
}

/// Waits until [what is wrong](error) is told in these words; how long it took.
///
/// # Panics
///
/// When it is not within the limit.
pub async fn until_told(limit: Duration, words: &str, watch: &Watch) -> Duration {
    within(limit, words, watch, || error(watch).contains(words)).await
}
