//! The other way: rules from here to the server.

use std::{future::Future, time::Duration};

use sentinel_core::{InvalidDocument, Rules};
use tokio::time::timeout;

use crate::SourceError;

/// A source whose keys can be written.
pub trait Publish {
    /// Writes rules to a key of the source, in the key's encoding, in place of all that it holds.
    ///
    /// Returns the revision that the key has now, where the server tells one.
    ///
    /// # Errors
    ///
    /// When the key holds something else than the condition asks for, the rules cannot be written in the key's encoding,
    /// or the server does not take them. Then the key is as it was; only where the connection broke meanwhile it may be
    /// written all the same.
    fn publish(
        &mut self,
        key: &str,
        rules: &Rules,
        condition: Condition,
    ) -> impl Future<Output = Result<Option<String>, PublishError>> + Send;

    /// The revision of a key as it is now, for [`Condition::Revision`]; nothing if the key does not exist.
    ///
    /// # Errors
    ///
    /// When the server cannot be asked, or has no revisions.
    fn revision(&mut self, key: &str) -> impl Future<Output = Result<Option<String>, PublishError>> + Send;
}

/// What a key has to hold for a write to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// Whatever it may be; the default.
    #[default]
    Always,
    /// Nothing.
    Absent,
    /// What it held at this revision.
    Revision(String),
}

/// Why rules were not written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The key holds something else than the condition asks for.
    #[error("`{key}` holds something else by now")]
    Conflict {
        /// The key.
        key: String,
    },
    /// The source has no key of this name.
    #[error("`{key}` is no key of this source")]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// The server cannot write under this condition.
    #[error("{server} cannot write under a condition")]
    Unconditional {
        /// The server.
        server: String,
    },
    /// The rules cannot be written in the key's encoding.
    #[error("`{key}`: {error}")]
    Document {
        /// The key.
        key: String,
        /// What cannot be written.
        error: InvalidDocument,
    },
    /// The server could not be reached, or did not take them.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Waits for a write, or for what is asked before it, so long at most; for sources.
///
/// # Errors
///
/// When it takes longer, or fails.
pub async fn within<T>(
    limit: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, PublishError>>,
) -> Result<T, PublishError> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(SourceError::TimedOut { doing, after: limit }.into()))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_waited_for_so_long_and_no_longer() {
        let limit = Duration::from_secs(5);
        let late = within::<()>(limit, "publishing", pending()).await.unwrap_err();
        assert_eq!(late.to_string(), "publishing took longer than 5000 ms");
        assert_eq!(within(limit, "publishing", ready(Ok(7))).await.unwrap(), 7);
    }
}
