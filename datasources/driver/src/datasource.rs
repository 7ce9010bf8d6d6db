use std::{path::PathBuf, time::Duration};

use sentinel_core::Sentinel;

use crate::{Backoff, Source, StartError, ThreadWatch, Watch};

/// Longer than anybody waits, and short enough to be added to any time.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A source, and how its rules are kept in force.
///
/// # Example
///
/// ```no_run
/// # use sentinel_datasource::{Source, Watch};
/// use std::time::Duration;
/// use sentinel_core::Sentinel;
/// use sentinel_datasource::{Datasource, StartError, WhenMissing};
///
/// # async fn example(sentinel: Sentinel, source: impl Source) -> Result<(), StartError> {
/// let watch = Datasource::new(source)
///     .start_within(Duration::from_secs(3))
///     .snapshot("/var/lib/orders/rules.snapshot")
///     .when_missing(WhenMissing::Keep)
///     .start(&sentinel)
///     .await?; // the rules are in force now, and a moment after each change
///
/// for (name, number) in watch.status().numbers() {
///     println!("datasource_{name} {number}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Datasource<S> {
    pub(crate) source: S,
    pub(crate) settings: Settings,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: Option<String>,
    pub(crate) when_missing: Option<WhenMissing>,
    pub(crate) resync_interval: Option<Duration>,
    pub(crate) max_size: usize,
    pub(crate) min_interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) start_within: Duration,
    pub(crate) must_load: bool,
    pub(crate) snapshot: Option<PathBuf>,
}

/// What becomes of the rules of a key that is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenMissing {
    /// They stay in force, and the status says that the key is missing.
    #[default]
    Keep,
    /// They are taken out of force: a key that is not there has no rules.
    Clear,
}

impl<S: Source> Datasource<S> {
    /// A source with the default settings.
    pub fn new(source: S) -> Self {
        let settings = Settings {
            name: None,
            when_missing: None,
            resync_interval: None,
            max_size: 16 << 20,
            min_interval: Duration::from_millis(100),
            timeout: Duration::from_secs(5),
            backoff: Backoff::default(),
            start_within: Duration::from_secs(5),
            must_load: true,
            snapshot: None,
        };
        Self { source, settings }
    }

    /// The name under which the rules are in force; default [that of the source](Source::name). Two sources of one
    /// instance need two names.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// What becomes of the rules of a key that is gone; the default is [the source's](Source::when_missing).
    #[must_use]
    pub fn when_missing(mut self, what: WhenMissing) -> Self {
        self.settings.when_missing = Some(what);
        self
    }

    /// How often to read without being told of a change; at least 100 ms, the default is
    /// [the source's](Source::resync_interval).
    #[must_use]
    pub fn resync_interval(mut self, interval: Duration) -> Self {
        self.settings.resync_interval = Some(interval.max(Duration::from_millis(100)));
        self
    }

    /// The most bytes that one document may have; default 16 MiB.
    #[must_use]
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.settings.max_size = bytes;
        self
    }

    /// The shortest time from one reading to the next, default 100 ms: of changes that come faster, some are never in
    /// force, but always the last one.
    #[must_use]
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.settings.min_interval = interval.min(FOREVER);
        self
    }

    /// How long connecting or reading may take until the connection counts as broken; default 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// The pauses between attempts to connect.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// How long the start may take to connect and read, all attempts included; default 5 s. What was read by then is put
    /// in force.
    #[must_use]
    pub fn start_within(mut self, time: Duration) -> Self {
        self.settings.start_within = time.min(FOREVER);
        self
    }

    /// Starts also when the source cannot be used yet: its rules are in force once it can.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.settings.must_load = false;
        self
    }

    /// Keeps the last good rules in a file, and starts from there when the source cannot be used.
    ///
    /// The file is written in one step after each change, and can be read by its owner alone. It holds the name of the
    /// source, its keys and their rules, and no secrets. One that is damaged is not used.
    #[must_use]
    pub fn snapshot(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.snapshot = Some(path.into());
        self
    }

    /// Puts the rules in force, now and whenever they change, as a task of the tokio runtime that this is called in, until
    /// the watch is dropped.
    ///
    /// # Errors
    ///
    /// When the rules cannot be had in [time](Datasource::start_within), a document is wrong, or access is denied, and there
    /// is no [snapshot](Datasource::snapshot) to start from: then nothing changes, unless some of several documents are
    /// good. Never when it is [optional](Datasource::optional).
    pub async fn start(self, sentinel: &Sentinel) -> Result<Watch, StartError> {
        Watch::start(self, sentinel).await
    }

    /// Like [`start`](Datasource::start), on a thread of its own, for programs without a runtime. It blocks until the rules
    /// are in force.
    ///
    /// # Errors
    ///
    /// As `start`, and when no thread can be started.
    pub fn start_on_thread(self, sentinel: &Sentinel) -> Result<ThreadWatch, StartError> {
        ThreadWatch::start(self, sentinel)
    }
}
