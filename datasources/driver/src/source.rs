//! What a datasource has to bring.

use std::{future::Future, sync::Arc, time::Duration};

use sentinel_core::Encoding;

use crate::{SourceError, WhenMissing};

/// Where documents come from: a server, a file.
///
/// A source only connects; [`Connection`] reads and waits. Everything else (retries, what is kept on errors, merging,
/// status, snapshots) is the driver's, and the same for all.
///
/// # Example
///
/// A source whose one document is told through a channel:
///
/// ```
/// use sentinel_core::{Encoding, Sentinel};
/// use sentinel_datasource::{Connection, Content, Datasource, Document, Reading, Source, SourceError};
/// use tokio::sync::watch;
///
/// struct Told(watch::Receiver<String>);
/// struct Listening(watch::Receiver<String>);
///
/// impl Source for Told {
///     type Connection = Listening;
///
///     fn name(&self) -> String {
///         "told".to_owned()
///     }
///
///     async fn connect(&mut self) -> Result<Listening, SourceError> {
///         Ok(Listening(self.0.clone()))
///     }
/// }
///
/// impl Connection for Listening {
///     async fn read(&mut self) -> Result<Reading, SourceError> {
///         let text = self.0.borrow_and_update().clone();
///         Ok(Content::new([Document::new("rules", text, Encoding::detected())]).into())
///     }
///
///     async fn changed(&mut self) -> Result<(), SourceError> {
///         self.0.changed().await.map_err(|_| SourceError::Ended)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sentinel = Sentinel::default();
/// let (sender, told) = watch::channel("{\"flow\": [{\"resource\": \"orders\", \"threshold\": 100}]}".to_owned());
/// let watch = Datasource::new(Told(told)).start(&sentinel).await?;
/// assert_eq!(watch.status().rules, 1);
/// # Ok(())
/// # }
/// ```
pub trait Source: Send + 'static {
    /// One connection to the source.
    type Connection: Connection;

    /// The name under which its rules are in force, such as `etcd:/orders/rules`. It holds no secrets.
    fn name(&self) -> String;

    /// Makes a connection. What tells of changes has to be set up when this is done, or by the first
    /// [`read`](Connection::read), so that no change after that goes unnoticed.
    ///
    /// The driver gives it a limited time, and calls it again after a pause when it fails or the connection does:
    /// secrets and certificates are read anew each time.
    ///
    /// # Errors
    ///
    /// When there is no connection to be had now.
    fn connect(&mut self) -> impl Future<Output = Result<Self::Connection, SourceError>> + Send;

    /// Hears the most bytes that a document may have, before the first connection: what is larger need not be read whole.
    fn limit(&mut self, max_size: usize) {
        let _ = max_size;
    }

    /// What becomes of the rules of a key that is gone, when the user does not say.
    fn when_missing(&self) -> WhenMissing {
        WhenMissing::Keep
    }

    /// How often to read without being told of a change, when the user does not say: what finds a connection that is
    /// dead without anybody having said so.
    fn resync_interval(&self) -> Duration {
        Duration::from_secs(15)
    }
}

/// A connection to a source. Dropping it ends it, and all that it has started.
pub trait Connection: Send {
    /// Reads all that is there now.
    ///
    /// The driver gives it a limited time, and makes a new connection when it fails.
    ///
    /// # Errors
    ///
    /// When it cannot be read. What is wrong with one document alone is told in its [`Payload`].
    fn read(&mut self) -> impl Future<Output = Result<Reading, SourceError>> + Send;

    /// Waits until what is there may be another than what was last read. Many changes may be told as one.
    ///
    /// Cancel-safe: the driver drops it when it is time to look anyway, and reads then.
    ///
    /// # Errors
    ///
    /// When changes will not be told any more; the driver makes a new connection.
    fn changed(&mut self) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Hears what became of the documents that were read last, in their order.
    ///
    /// For sources that tell their authors. An error is logged, and changes nothing.
    ///
    /// # Errors
    ///
    /// When it could not be told.
    fn settled(&mut self, outcomes: &[Outcome]) -> impl Future<Output = Result<(), SourceError>> + Send {
        let _ = outcomes;
        async { Ok(()) }
    }

    /// What is worth knowing about how changes are noticed, for the status.
    fn remark(&self) -> Option<String> {
        None
    }
}

/// What reading came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reading {
    /// What was last read is still so.
    Unchanged,
    /// This is there.
    Content(Content),
}

/// All documents of a source at one time.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Content {
    /// What the source calls this state of it.
    pub revision: Option<String>,
    /// The documents, each of another key.
    pub documents: Vec<Document>,
}

/// What one key holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Document {
    /// The key.
    pub key: String,
    /// What is there.
    pub payload: Payload,
}

/// What may be found at a key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Payload {
    /// Something to be read as rules.
    Text {
        /// The bytes.
        bytes: Vec<u8>,
        /// How they are written.
        encoding: Encoding,
    },
    /// Nothing.
    Missing,
    /// Something that cannot be had, or is no text.
    Unusable(SourceError),
}

/// What became of one document.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The key.
    pub key: String,
    /// How many rules of it are in force, or why it cannot be used as it is now.
    pub result: Result<usize, Arc<SourceError>>,
}

impl Content {
    /// Documents without a revision.
    pub fn new(documents: impl IntoIterator<Item = Document>) -> Self {
        Self { revision: None, documents: documents.into_iter().collect() }
    }

    /// Names this state.
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }
}

impl From<Content> for Reading {
    fn from(content: Content) -> Self {
        Self::Content(content)
    }
}

impl Document {
    /// A key that holds something.
    pub fn new(key: impl Into<String>, bytes: impl Into<Vec<u8>>, encoding: Encoding) -> Self {
        Self { key: key.into(), payload: Payload::Text { bytes: bytes.into(), encoding } }
    }

    /// A key that does not exist.
    pub fn missing(key: impl Into<String>) -> Self {
        Self { key: key.into(), payload: Payload::Missing }
    }

    /// How many bytes it has.
    pub(crate) fn size(&self) -> usize {
        match &self.payload {
            Payload::Text { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }

    /// A key that holds what cannot be used.
    pub fn unusable(key: impl Into<String>, error: SourceError) -> Self {
        Self { key: key.into(), payload: Payload::Unusable(error) }
    }
}
