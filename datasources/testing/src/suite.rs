//! What every datasource has to stand: the same trials for all of them, against real servers.

mod credential;
mod encryption;
mod faults;
mod life;
mod publishing;
mod updates;

use std::{
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sentinel_core::Sentinel;
use sentinel_datasource::{Datasource, Source, Watch};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

pub use self::{credential::Credential, encryption::Encrypted, publishing::Writable};
use crate::{
    Proxy, Tls, Trial,
    observe::{RECOVERY, SOON, datasource, document, thresholds, until_healthy, until_in_force},
    servers::Unavailable,
    trials,
};

/// What the suite has to know of a datasource and its server.
pub trait Subject: Sized + Send + Sync + 'static {
    /// The source.
    type Source: Source + fmt::Debug;

    /// The largest payload that is tried, in bytes.
    const LARGE: usize = 1_000_000;

    /// Changes that are written in rapid succession.
    const RAPID: u32 = 2_000;

    /// What is told of a document that is cut off.
    const CUT_OFF: &'static str = "is not";

    /// How soon an update is in force.
    const SOON: Duration = SOON;

    /// What the source's libraries log, which shows that they are heard; or the driver, where they log nothing.
    const HEARD: &'static str = "sentinel_datasource::driver";

    /// What a log would call the secrets that the server itself gives to whom it lets in.
    const GIVEN: &'static [&'static str] = &[];

    /// Starts the server with access control on, and encrypted as is asked of those that are [`Encrypted`]. The key
    /// holds nothing yet.
    ///
    /// # Errors
    ///
    /// When this machine does not have it.
    fn start(tls: Tls) -> impl Future<Output = Result<Self, Unavailable>> + Send;

    /// What lies between source and server. The source is pointed at the first one.
    fn proxies(&self) -> impl Future<Output = Vec<Proxy>> + Send;

    /// A source of the one key, with good credentials, which it reads for each connection.
    fn source(&self, address: SocketAddr) -> Self::Source;

    /// The same with wrong credentials.
    fn stranger(&self, address: SocketAddr) -> Self::Source;

    /// What must appear in no error, no `Debug` output and no log.
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

/// All trials, for a datasource that encrypts and publishes.
pub fn all<S: Encrypted + Writable>() -> Vec<Trial> {
    [trials::<S>(), encryption::<S>(), publishing::<S>()].into_iter().flatten().collect()
}

/// What every datasource has to stand.
pub fn trials<S: Subject>() -> Vec<Trial> {
    trials![
        updates::an_update_is_in_force_soon::<S>,
        updates::of_rapid_changes_the_last_one_is_in_force::<S>,
        updates::a_large_payload_is_in_force::<S>,
        updates::one_that_is_too_large_changes_nothing::<S>,
        updates::garbage_and_wrong_rules_change_nothing_and_are_named::<S>,
        updates::a_key_that_is_deleted_keeps_its_rules_where_it_should::<S>,
        updates::a_key_that_is_deleted_takes_its_rules_with_it_where_it_should::<S>,
        faults::a_server_that_is_killed_under_a_stream_of_updates_ends_in_the_right_state::<S>,
        faults::what_changes_while_the_network_is_cut_is_in_force_when_it_is_back::<S>,
        faults::a_network_that_stalls_is_noticed_and_made_up_for::<S>,
        faults::a_start_from_a_snapshot_needs_no_server::<S>,
        faults::wrong_credentials_are_denied_at_once_and_shown_to_nobody::<S>,
        faults::credentials_that_change_are_taken_up_and_in_no_log::<S>,
        life::a_watch_ends_while_it_connects::<S>,
        life::a_watch_that_ended_leaves_no_task_behind::<S>,
        life::a_watch_that_reconnects_again_and_again_leaves_no_task_behind::<S>,
    ]
}

/// What a datasource has to stand that encrypts.
pub fn encryption<S: Encrypted>() -> Vec<Trial> {
    trials![
        encryption::connections_are_encrypted_and_the_server_has_to_show_who_it_is::<S>,
        encryption::certificates_of_clients_are_read_for_each_connection::<S>,
    ]
}

/// What a datasource has to stand that publishes.
pub fn publishing<S: Writable>() -> Vec<Trial> {
    trials![
        publishing::what_is_published_is_in_force_where_nobody_else_has_written::<S>,
        publishing::of_many_who_have_read_the_same_one_writes::<S>,
        publishing::what_cannot_be_written_is_an_error_and_changes_nothing::<S>,
    ]
}

/// A server, a line to it, and an instance.
struct Stage<S> {
    subject: S,
    proxies: Vec<Proxy>,
    sentinel: Sentinel,
}

impl<S: Subject> Stage<S> {
    /// A server whose key holds the rules with this threshold.
    async fn with(threshold: u64) -> Result<Self, Unavailable> {
        Self::encrypted(Tls::None, threshold).await
    }

    async fn encrypted(tls: Tls, threshold: u64) -> Result<Self, Unavailable> {
        let subject = S::start(tls).await?;
        let proxies = subject.proxies().await;
        let stage = Self { subject, proxies, sentinel: Sentinel::default() };
        stage.put(threshold).await;
        Ok(stage)
    }

    fn address(&self) -> SocketAddr {
        self.proxies[0].address()
    }

    fn datasource(&self) -> Datasource<S::Source> {
        datasource(self.subject.source(self.address()))
    }

    async fn watch(&self) -> Watch {
        self.datasource().start(&self.sentinel).await.unwrap_or_else(|error| panic!("it does not start: {error}"))
    }

    async fn put(&self, threshold: u64) {
        self.write(&document(threshold)).await;
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

    fn thresholds(&self) -> Vec<u64> {
        thresholds(&self.sentinel)
    }

    async fn until_in_force<const N: usize>(&self, limit: Duration, expected: [u64; N], watch: &Watch) -> Duration {
        until_in_force(limit, expected, &self.sentinel, watch).await
    }

    async fn until_healthy<const N: usize>(&self, limit: Duration, expected: [u64; N], watch: &Watch) -> Duration {
        until_healthy(limit, expected, &self.sentinel, watch).await
    }
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
