use std::{
    cell::RefCell,
    fmt, io,
    sync::{Arc, Once},
};

use parking_lot::Mutex;
use sentinel_core::Sentinel;
use sentinel_datasource::{Datasource, Source, StartError, Watch};
use tokio::runtime::{self, Runtime};
use tracing_log::LogTracer;
use tracing_subscriber::{
    filter::{LevelFilter, dynamic_filter_fn},
    fmt::format::{self, FmtSpan},
    layer::SubscriberExt as _,
};

thread_local! {
    /// Where it is written what is logged on this thread, if it is heard.
    static HEARD: RefCell<Option<Written>> = const { RefCell::new(None) };
}

/// Nothing on a thread that is about to end.
fn heard() -> Option<Written> {
    HEARD.try_with(|heard| heard.borrow().clone()).ok().flatten()
}

/// From now on, threads can be heard.
///
/// By one subscriber for all of them: a place in the code that logs asks but once whether anybody listens, on the
/// thread that comes there first. Were it one that nobody hears, the others would not be heard there either.
///
/// # Panics
///
/// When somebody else in this program listens.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // So that what the crate `log` is told is heard too.
        LogTracer::init().expect("nobody else listens");
        let subscriber = tracing_subscriber::fmt()
            .event_format(format::format().with_ansi(false))
            .with_max_level(LevelFilter::TRACE)
            .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
            .with_writer(|| heard().unwrap_or_default())
            .finish()
            .with(dynamic_filter_fn(|_, _| heard().is_some()));
        tracing::subscriber::set_global_default(subscriber).expect("nobody else listens");
        // A place that was come to meanwhile has asked too early.
        tracing::callsite::rebuild_interest_cache();
    });
}

/// All that is logged on its threads, by whatever library and at whatever level.
///
/// # Example
///
/// ```
/// use sentinel_testing::Logs;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let logs = Logs::new();
/// logs.hear(async { tracing::trace!(user = "orders", "logged in") }).await;
/// assert!(logs.text().contains("logged in"));
/// logs.hold_none_of(["hunter2"]);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Logs {
    written: Written,
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl Logs {
    /// Starts the threads.
    ///
    /// # Panics
    ///
    /// When they cannot be started, or another subscriber or logger is that of the program.
    #[expect(clippy::new_without_default, reason = "threads are started on purpose")]
    pub fn new() -> Self {
        listen();
        let written = Written::default();
        let heard = written.clone();
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .on_thread_start(move || HEARD.set(Some(heard.clone())))
            .build();
        Self { written, runtime: Some(runtime.expect("a runtime can be started")) }
    }

    /// Does something on a thread that is heard.
    ///
    /// # Panics
    ///
    /// When it does.
    pub async fn hear<F>(&self, something: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let runtime = self.runtime.as_ref().expect("it is there until this is dropped");
        runtime.spawn(something).await.expect("it comes to an end")
    }

    /// Starts a source, of which everything is heard from now on.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn start<S: Source>(&self, datasource: Datasource<S>, sentinel: &Sentinel) -> Result<Watch, StartError> {
        let sentinel = sentinel.clone();
        self.hear(async move { datasource.start(&sentinel).await }).await
    }

    /// What was logged so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.0.lock()).into_owned()
    }

    /// Fails where a secret was logged so far, as text or as the numbers of its bytes.
    ///
    /// # Panics
    ///
    /// Then.
    pub fn hold_none_of(&self, secrets: impl IntoIterator<Item: AsRef<str>>) {
        let text = self.text();
        for secret in secrets {
            let secret = secret.as_ref();
            let bytes = format!("{:?}", secret.as_bytes());
            let forms = [secret, bytes.trim_matches(['[', ']'])];
            let line = text.lines().find(|line| forms.iter().any(|form| line.contains(form)));
            assert_eq!(line, None, "`{secret}` is in a log");
        }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        // Where this is dropped, nobody may wait for threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SECRET: &str = "hunter2";

    async fn logs_of(log: impl FnOnce() + Send + 'static) -> Logs {
        let logs = Logs::new();
        logs.hear(async { log() }).await;
        logs
    }

    #[tokio::test]
    async fn libraries_are_heard_at_all_levels_by_either_crate_and_others_are_not() {
        let logs = logs_of(|| {
            tracing::trace!("by tracing");
            log::trace!(target: "a::library", "by log");
        });
        let logs = logs.await;
        thread::spawn(|| tracing::error!("elsewhere")).join().unwrap();
        let text = logs.text();
        assert!(text.contains("by tracing") && text.contains("a::library") && text.contains("by log"), "{text}");
        assert!(!text.contains("elsewhere"), "{text}");
        logs.hold_none_of([SECRET]);
    }

    #[tokio::test]
    async fn what_another_thread_has_logged_before_is_heard_all_the_same() {
        let log = || tracing::info!("by both");
        let logs = Logs::new();
        thread::spawn(log).join().unwrap();
        logs.hear(async move { log() }).await;
        assert_eq!(logs.text().matches("by both").count(), 1, "{}", logs.text());
    }

    #[tokio::test]
    async fn tasks_and_blocking_threads_are_heard_too() {
        let logs = Logs::new();
        logs.hear(async {
            tokio::spawn(async { tracing::debug!("a task") }).await.unwrap();
            tokio::task::spawn_blocking(|| tracing::debug!("a thread")).await.unwrap();
        })
        .await;
        assert!(logs.text().contains("a task") && logs.text().contains("a thread"), "{}", logs.text());
    }

    #[tokio::test]
    #[should_panic(expected = "`hunter2` is in a log")]
    async fn a_secret_in_an_event_is_found() {
        logs_of(|| tracing::trace!(password = SECRET, "logs in")).await.hold_none_of([SECRET]);
    }

    #[tokio::test]
    #[should_panic(expected = "`hunter2` is in a log")]
    async fn a_secret_in_the_bytes_of_a_frame_is_found() {
        logs_of(|| tracing::trace!("sent {:?}", format!("AUTH {SECRET}").as_bytes())).await.hold_none_of([SECRET]);
    }

    #[tokio::test]
    #[should_panic(expected = "`hunter2` is in a log")]
    async fn a_secret_in_a_span_without_events_is_found() {
        logs_of(|| drop(tracing::trace_span!("login", password = SECRET))).await.hold_none_of([SECRET]);
    }
}
