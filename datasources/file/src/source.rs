use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sentinel_core::{Changes, Encoding, Format, Rules, Sentinel, Warning};
use sentinel_datasource::{Datasource, Source, SourceError, StartError, ThreadWatch};

use crate::{
    FileConnection, SaveError,
    read::{Version, read, unsettled},
};

/// A file with rules.
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
/// use sentinel_core::Sentinel;
/// use sentinel_file::{Datasource, FileSource, WhenMissing};
///
/// let sentinel = Sentinel::default();
/// let source = FileSource::new("/etc/service/rules.yaml").debounce(Duration::from_millis(200));
/// source.load(&sentinel)?; // once, here and now
///
/// // And from now on, with what all datasources can be told.
/// let watch = Datasource::new(source)
///     .when_missing(WhenMissing::Clear)
///     .max_size(1 << 20)
///     .start_on_thread(&sentinel)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileSource {
    pub(crate) path: PathBuf,
    pub(crate) encoding: Encoding,
    source: Option<String>,
    max_size: u64,
    pub(crate) debounce: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) poll_only: bool,
}

/// What came of loading a file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// How many rules the file has.
    pub rules: usize,
    /// What became of them.
    pub changes: Changes,
    /// What is odd about the document.
    pub warnings: Vec<Warning>,
}

impl FileSource {
    /// The file at a path; its extension says its format, and where it is none of json, yaml, yml and toml, what is in it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let mut encoding = Encoding::detected();
        encoding.format = Format::from_path(&path);
        Self {
            path,
            encoding,
            source: None,
            max_size: 16 << 20,
            debounce: Duration::from_millis(50),
            poll_interval: Duration::from_secs(2),
            poll_only: false,
        }
    }

    /// The format, whatever the extension.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.encoding.format = Some(format);
        self
    }

    /// How the file is written, whatever the extension.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// The name under which the rules are in force; default `file:` and the path.
    #[must_use]
    pub fn source_name(mut self, name: impl Into<String>) -> Self {
        self.source = Some(name.into());
        self
    }

    /// How long the file has to be left alone before it is read; default 50 ms.
    ///
    /// One that is not, for ten times as long and half a second, counts as unreadable until it is: half of what is being
    /// written is never put in force, as long as the writer does not pause for so long in the middle of it.
    #[must_use]
    pub fn debounce(mut self, debounce: Duration) -> Self {
        self.debounce = debounce;
        self
    }

    /// How often to look at the file without being told of a change; default 2 s, at least 10 ms.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// Does not ask the system to tell of changes: for file systems on which it does not.
    #[must_use]
    pub fn poll_only(mut self) -> Self {
        self.poll_only = true;
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file's rules in force, once.
    ///
    /// # Errors
    ///
    /// When the file cannot be used; then nothing changes.
    pub fn load(&self, sentinel: &Sentinel) -> Result<Loaded, SourceError> {
        let version = self.fetch()?;
        let parsed = Rules::decode(&version.bytes, &self.encoding)
            .map_err(|error| SourceError::Document { key: self.key(), error })?;
        let rules = parsed.rules.len();
        let changes = sentinel
            .rules()
            .replace(&self.name(), parsed.rules)
            .map_err(|error| SourceError::Rules { key: self.key(), error })?;
        Ok(Loaded { rules, changes, warnings: parsed.warnings })
    }

    /// Puts the file's rules in force, now and whenever it changes, until the watch is dropped: with the settings that all
    /// datasources have by [default](Datasource).
    ///
    /// This starts one thread, and, unless only [polling](FileSource::poll_only), one more on which the system tells of
    /// changes. Both end with the watch; what was in force then stays so.
    ///
    /// # Errors
    ///
    /// When the file cannot be used now: then nothing changes. When no thread can be started.
    pub fn watch(self, sentinel: &Sentinel) -> Result<ThreadWatch, StartError> {
        Datasource::new(self).start_on_thread(sentinel)
    }

    /// Saves rules to the file, in one step, in its format; JSON where that is not known.
    ///
    /// # Errors
    ///
    /// As [`save`](crate::save).
    pub fn save(&self, rules: &Rules) -> Result<(), SaveError> {
        crate::save::save_as(&self.path, rules, &self.encoding)
    }

    /// Reads the file.
    pub(crate) fn fetch(&self) -> Result<Version, SourceError> {
        read(&self.path, self.max_size)
    }

    pub(crate) fn unsettled(&self) -> SourceError {
        unsettled(&self.path)
    }

    /// What the file is called among documents.
    pub(crate) fn key(&self) -> String {
        self.path.display().to_string()
    }
}

/// The file is read on the thread that runs the task: where a file system may hang, as those of a network do, a thread of
/// its own ([`FileSource::watch`]) holds up nothing else.
impl Source for FileSource {
    type Connection = FileConnection;

    fn name(&self) -> String {
        self.source.clone().unwrap_or_else(|| format!("file:{}", self.path.display()))
    }

    async fn connect(&mut self) -> Result<FileConnection, SourceError> {
        Ok(FileConnection::new(self.clone()))
    }

    fn limit(&mut self, max_size: usize) {
        self.max_size = max_size as u64;
    }

    /// Never: the file is looked at from time to time anyway.
    fn resync_interval(&self) -> Duration {
        Duration::from_secs(24 * 60 * 60)
    }
}
