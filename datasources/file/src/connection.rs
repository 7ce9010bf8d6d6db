use std::{
    fmt,
    sync::Arc,
    time::{Instant, SystemTime},
};

use sentinel_datasource::{Connection, Content, Document, Payload, Reading, SourceError};
use tokio::{sync::Notify, time::timeout};

use crate::{
    FileSource,
    folders::Folders,
    read::Stamp,
    settling::{Settled, Settling},
};

/// A file that is being watched.
pub struct FileConnection {
    source: FileSource,
    folders: Folders,
    bell: Arc<Notify>,
    /// What was last read as a document.
    seen: Option<Seen>,
    writing: Writing,
    /// How far it has come to rest, while somebody writes it.
    settling: Option<Settling<Option<Stamp>>>,
}

#[derive(Clone, Copy)]
struct Seen {
    stamp: Stamp,
    /// Whether every change since has another stamp.
    is_settled: bool,
}

/// Whether somebody is writing the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// Nobody, as far as is known.
    Unnoticed,
    /// Nobody any more: it can be read.
    Over,
    /// It has changed, and may be half of what it will be.
    GoingOn,
    /// It is not left alone.
    Endless,
}

impl FileConnection {
    pub(crate) fn new(source: FileSource) -> Self {
        let bell = Arc::<Notify>::default();
        let folders = if source.poll_only { Folders::unwatched() } else { Folders::watched(Arc::clone(&bell)) };
        let mut connection = Self { source, folders, bell, seen: None, writing: Writing::Over, settling: None };
        // Before the first look, so that no change between the two goes unnoticed.
        connection.folders.follow(&connection.source.path);
        connection
    }

    /// Waits until the file may be another than it was.
    async fn told(&self) {
        loop {
            let told = timeout(self.source.poll_interval, self.bell.notified()).await;
            if told.is_ok() || !self.is_as_seen() {
                return;
            }
        }
    }

    /// Waits until the file is left alone: whether it is. What was seen of that is kept where the wait is given up.
    async fn is_left_alone(&mut self) -> bool {
        let (path, pause) = (&self.source.path, self.source.debounce);
        let settling = self.settling.get_or_insert_with(|| Settling::new(pause, Stamp::of(path), Instant::now()));
        let is_left_alone = loop {
            let told = timeout(settling.rest(Instant::now()), self.bell.notified()).await.is_ok();
            match settling.observe(Stamp::of(path), told, Instant::now()) {
                Settled::Yes => break true,
                Settled::Never => break false,
                // However short the debounce, others have their turn.
                Settled::NotYet => tokio::task::yield_now().await,
            }
        };
        self.settling = None;
        is_left_alone
    }

    /// Whether the file is what was last read, as far as can be told without reading it.
    fn is_as_seen(&self) -> bool {
        self.seen.is_some_and(|seen| seen.is_settled && Stamp::of(&self.source.path) == Some(seen.stamp))
    }

    fn document(&mut self) -> Document {
        let now = SystemTime::now();
        let version = match self.source.fetch() {
            Ok(version) => version,
            Err(SourceError::Missing { key }) => return Document::missing(key),
            Err(error) => return Document::unusable(self.source.key(), error),
        };
        self.seen = Some(Seen { stamp: version.stamp, is_settled: version.stamp.is_settled(now) });
        Document::new(self.source.key(), version.bytes, self.source.encoding.clone())
    }
}

impl Connection for FileConnection {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        let document = match self.writing {
            Writing::GoingOn => return Ok(Reading::Unchanged),
            Writing::Unnoticed => {
                // It is read once it is left alone.
                if !self.is_as_seen() {
                    self.writing = Writing::GoingOn;
                }
                return Ok(Reading::Unchanged);
            }
            Writing::Over => {
                self.writing = Writing::Unnoticed;
                if self.is_as_seen() {
                    return Ok(Reading::Unchanged);
                }
                self.seen = None;
                self.document()
            }
            // Half of what is being written is never read.
            Writing::Endless => {
                self.seen = None;
                Document::unusable(self.source.key(), self.source.unsettled())
            }
        };
        let is_there = matches!(document.payload, Payload::Text { .. });
        let content = Content::new([document]);
        let modified = self.seen.and_then(|seen| seen.stamp.modified_since_1970());
        Ok(match modified.filter(|_| is_there) {
            Some(modified) => content.revision(format!("{}.{:09}", modified.as_secs(), modified.subsec_nanos())),
            None => content,
        }
        .into())
    }

    async fn changed(&mut self) -> Result<(), SourceError> {
        // While it is being written, nobody may tell of the end of that.
        if self.writing == Writing::Unnoticed {
            self.told().await;
            self.writing = Writing::GoingOn;
        }
        let is_left_alone = self.is_left_alone().await;
        self.writing = if is_left_alone { Writing::Over } else { Writing::Endless };
        self.folders.follow(&self.source.path);
        Ok(())
    }

    fn remark(&self) -> Option<String> {
        self.folders.trouble().map(|reason| format!("the file is polled: {reason}"))
    }
}

impl fmt::Debug for FileConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileConnection").field("source", &self.source).finish_non_exhaustive()
    }
}
