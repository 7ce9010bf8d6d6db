//! What every datasource has to stand: the same trials for all of them, against real servers.

mod faults;
mod life;
mod updates;

use std::{
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sentinel_core::Sentinel;
use sentinel_datasource::{Datasource, Source, Status, Watch};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use crate::{Proxy, Trial, servers::Unavailable, trial};

/// What the suite has to know of a datasource and its server.
pub trait Subject: Sized + Send + Sync + 'static {
    /// The source.
    type Source: Source;

    /// The largest payload that is tried, in bytes.
    const LARGE: usize = 1_000_000;

    /// Changes that are written in rapid succession.
    const RAPID: u32 = 2_000;

    /// What is told of a document that is cut off.
    const CUT_OFF: &'static str = "is not";

    /// How soon an update is in force.
    const SOON: Duration = Duration::from_secs(1);

    /// Starts the server with access control on. The key holds nothing yet.
    ///
    /// # Errors
    ///
    /// When this machine does not have it.
    fn start() -> impl Future<Output = Result<Self, Unavailable>> + Send;

    /// What lies between source and server. The source is pointed at the first one.
    fn proxies(&self) -> impl Future<Output = Vec<Proxy>> + Send;

    /// A source of the one key, with good credentials, which it reads for each connection.
    fn source(&self, address: SocketAddr) -> Self::Source;

    /// The same with wrong credentials.
    fn stranger(&self, address: SocketAddr) -> Self::Source;

    /// What must appear in no error and no `Debug` output.
    fn secrets(&self) -> Vec<String>;

    /// Changes the credentials, on the server and for the source: whether that was done.
    fn rotate(&mut self) -> impl Future<Output = bool> + Send;

    /// Writes the key by other means than the source.
    ///
    /// # Errors
    ///
    /// When the server does not take it.
    fn put(&self, document: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Deletes the key by other means than the source.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    fn delete(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// Kills the server.
    fn kill(&mut self);

    /// Starts the server again, where it was and with what it has kept.
    fn restart(&mut self) -> impl Future<Output = ()> + Send;
}

/// The trials of the suite for one datasource.
pub fn trials<S: Subject>() -> Vec<Trial> {
    macro_rules! trials {
        ($($module:ident::$trial:ident),+ $(,)?) => {
            vec![$(trial(stringify!($trial), $module::$trial::<S>),)+]
        };
    }
    trials![
        updates::an_update_is_in_force_soon,
        updates::of_rapid_changes_the_last_one_is_in_force,
        updates::a_large_payload_is_in_force,
        updates::one_that_is_too_large_changes_nothing,
        updates::garbage_and_wrong_rules_change_nothing_and_are_named,
        updates::a_key_that_is_deleted_keeps_its_rules_where_it_should,
        updates::a_key_that_is_deleted_takes_its_rules_with_it_where_it_should,
        faults::a_server_that_is_killed_under_a_stream_of_updates_ends_in_the_right_state,
        faults::what_changes_while_the_network_is_cut_is_in_force_when_it_is_back,
        faults::a_network_that_stalls_is_noticed_and_made_up_for,
        faults::a_start_from_a_snapshot_needs_no_server,
        faults::wrong_credentials_are_denied_at_once_and_shown_to_nobody,
        faults::credentials_that_change_are_taken_up,
        life::a_watch_ends_while_it_connects,
        life::a_watch_that_ended_leaves_no_task_behind,
        life::a_watch_that_reconnects_again_and_again_leaves_no_task_behind,
    ]
}

/// How long after a fault everything has to be right again.
const RECOVERY: Duration = Duration::from_secs(3);

/// How long is waited for what has no limit of its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server, a line to it, and an instance.
struct Stage<S> {
    subject: S,
    proxies: Vec<Proxy>,
    sentinel: Sentinel,
}

impl<S: Subject> Stage<S> {
    /// A server whose key holds the rules with this threshold.
    async fn with(threshold: u64) -> Result<Self, Unavailable> {
        let stage = Self::empty().await?;
        stage.put(threshold).await;
        Ok(stage)
    }

    async fn empty() -> Result<Self, Unavailable> {
        let subject = S::start().await?;
        let proxies = subject.proxies().await;
        Ok(Self { subject, proxies, sentinel: Sentinel::default() })
    }

    fn address(&self) -> SocketAddr {
        self.proxies[0].address()
    }

    /// The source, with limits that are reached within the time of a test.
    fn datasource(&self) -> Datasource<S::Source> {
        Datasource::new(self.subject.source(self.address()))
            .name("rules")
            .timeout(Duration::from_secs(2))
            .start_within(PATIENCE)
    }

    async fn watch(&self) -> Watch {
        self.datasource().start(&self.sentinel).await.unwrap_or_else(|error| panic!("it does not start: {error}"))
    }

    async fn put(&self, threshold: u64) {
        self.write(&rules(threshold)).await;
    }

    async fn write(&self, document: &str) {
        self.subject.put(document).await.unwrap_or_else(|error| panic!("the server does not take it: {error}"));
    }

    async fn delete(&self) {
        self.subject.delete().await.unwrap_or_else(|error| panic!("the server does not delete it: {error}"));
    }

    async fn cut(&self) {
        for proxy in &self.proxies {
            proxy.cut().await;
        }
    }

    fn stall(&self) {
        self.proxies.iter().for_each(Proxy::stall);
    }

    async fn heal(&self) {
        for proxy in &self.proxies {
            proxy.heal().await;
        }
    }

    /// The threshold in force.
    fn threshold(&self) -> Option<u64> {
        Some(self.sentinel.rules().get("rules")?.flow.first()?.params.threshold as u64)
    }

    /// Waits until this threshold is in force, at most so long; how long it took.
    async fn until(&self, threshold: u64, limit: Duration, watch: &Watch) -> Duration {
        let told = format!("threshold {threshold} in force");
        within(limit, &told, watch, || self.threshold() == Some(threshold)).await
    }
}

/// Waits until something is so; how long it took.
async fn within(limit: Duration, what: &str, watch: &Watch, mut is_so: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !is_so() {
        let status = watch.status();
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}\n{status:#?}");
        sleep(Duration::from_millis(2)).await;
    }
    begin.elapsed()
}

/// Rules that are told from others by a threshold.
fn rules(threshold: u64) -> String {
    format!(r#"{{"flow": [{{"resource": "orders", "threshold": {threshold}}}]}}"#)
}

/// What is wrong, in words.
fn error(status: &Status) -> String {
    status.last_error.as_ref().map(|(_, error)| error.to_string()).unwrap_or_default()
}

/// Tells a figure that was measured: for people who run the trials alone.
fn report<S: Subject>(what: &str, figure: impl fmt::Display) {
    eprintln!("{}: {what}: {figure}", std::any::type_name::<S>());
}

/// Waits until no more tasks are alive than before.
async fn until_tasks(before: usize) {
    let begin = Instant::now();
    let alive = || Handle::current().metrics().num_alive_tasks();
    while alive() > before {
        assert!(begin.elapsed() < RECOVERY, "{} tasks are alive, {before} were before", alive());
        sleep(Duration::from_millis(10)).await;
    }
}

/// Numbers that are all different.
fn next() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(1_000);
    LAST.fetch_add(1, Ordering::Relaxed)
}
