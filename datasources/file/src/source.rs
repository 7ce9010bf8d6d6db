use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sentinel_core::{Changes, Format, Rules, Sentinel, Warning};

use crate::{
    FileError, FileWatch,
    read::{Version, read},
};

/// A file with rules.
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
/// use sentinel_core::Sentinel;
/// use sentinel_file::{FileSource, WhenMissing};
///
/// let sentinel = Sentinel::default();
/// let source = FileSource::new("/etc/service/rules.yaml")
///     .debounce(Duration::from_millis(200))
///     .when_missing(WhenMissing::Clear)
///     .max_size(1 << 20);
/// source.load(&sentinel)?;              // once, here and now
/// let watch = source.watch(&sentinel)?; // and from now on
/// # Ok::<(), sentinel_file::FileError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileSource {
    pub(crate) path: PathBuf,
    format: Option<Format>,
    source: Option<String>,
    max_size: u64,
    pub(crate) debounce: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) poll_only: bool,
    pub(crate) when_missing: WhenMissing,
    pub(crate) must_load: bool,
}

/// What becomes of a file's rules when the file is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenMissing {
    /// They stay in force; the default, since a file that is gone is more often an accident than a wish.
    #[default]
    Keep,
    /// They are taken out of force.
    Clear,
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
    /// The file at a path; its extension says its format.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            format: None,
            source: None,
            max_size: 16 << 20,
            debounce: Duration::from_millis(50),
            poll_interval: Duration::from_secs(2),
            poll_only: false,
            when_missing: WhenMissing::default(),
            must_load: true,
        }
    }

    /// The format, whatever the extension.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// The name under which the rules are in force; default `file:` and the path.
    #[must_use]
    pub fn source_name(mut self, name: impl Into<String>) -> Self {
        self.source = Some(name.into());
        self
    }

    /// The most bytes that the file may have; default 16 MiB.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// How long the file has to be left alone before it is read; default 50 ms.
    ///
    /// One that is not, for ten times as long and half a second, counts as [unsettled](FileError::Unsettled) until it
    /// is: half of what is being written is never put in force, as long as the writer does not pause for so long in the
    /// middle of it.
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

    /// What becomes of the rules when the file is gone.
    #[must_use]
    pub fn when_missing(mut self, what: WhenMissing) -> Self {
        self.when_missing = what;
        self
    }

    /// Lets [`watch`](FileSource::watch) start even when the file cannot be used yet.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.must_load = false;
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name under which the rules are in force.
    pub fn name(&self) -> String {
        self.source.clone().unwrap_or_else(|| format!("file:{}", self.path.display()))
    }

    /// Puts the file's rules in force, once.
    ///
    /// # Errors
    ///
    /// When the file cannot be used; then nothing changes.
    pub fn load(&self, sentinel: &Sentinel) -> Result<Loaded, FileError> {
        self.apply(sentinel, &self.fetch()?)
    }

    /// Puts the file's rules in force, now and whenever it changes, until the watch is dropped.
    ///
    /// This starts one thread, and, unless only [polling](FileSource::poll_only), one more on which the system tells of
    /// changes. Both end with the watch; what was in force then stays so.
    ///
    /// # Errors
    ///
    /// When the file cannot be used now, unless it is [optional](FileSource::optional): then nothing changes. When the
    /// format is not known, or no thread can be started.
    pub fn watch(self, sentinel: &Sentinel) -> Result<FileWatch, FileError> {
        FileWatch::start(self, sentinel)
    }

    /// Saves rules to the file, in one step, in its format.
    ///
    /// # Errors
    ///
    /// As [`save`](crate::save), and when the format is not known.
    pub fn save(&self, rules: &Rules) -> Result<(), FileError> {
        crate::save(&self.path, rules, self.known_format()?)
    }

    /// Reads the file.
    pub(crate) fn fetch(&self) -> Result<Version, FileError> {
        read(&self.path, self.max_size)
    }

    /// Puts what was read in force.
    pub(crate) fn apply(&self, sentinel: &Sentinel, version: &Version) -> Result<Loaded, FileError> {
        let path = || self.path.clone();
        let parsed = Rules::parse(&version.bytes, self.known_format()?)
            .map_err(|error| FileError::Document { path: path(), error })?;
        let rules = parsed.rules.len();
        let changes = sentinel
            .rules()
            .replace(&self.name(), parsed.rules)
            .map_err(|error| FileError::Rules { path: path(), error })?;
        Ok(Loaded { rules, changes, warnings: parsed.warnings })
    }

    pub(crate) fn known_format(&self) -> Result<Format, FileError> {
        let known = self.format.or_else(|| Format::from_path(&self.path));
        known.ok_or_else(|| FileError::UnknownFormat { path: self.path.clone() })
    }
}
