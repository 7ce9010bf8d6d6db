use std::{error::Error, fmt, path::PathBuf, sync::Arc, time::Duration};

use sentinel_core::{InvalidDocument, ReplaceError};

/// Why the rules of a source are not in force, or may be old.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no connection.
    #[error("{server} cannot be reached: {cause}")]
    Unreachable {
        /// The server, without credentials.
        server: String,
        /// What the client says.
        cause: Cause,
    },
    /// The server refuses these credentials, or what they may do is not enough.
    #[error("{server} refuses access: {cause}")]
    Denied {
        /// The server, without credentials.
        server: String,
        /// What the server says.
        cause: Cause,
    },
    /// The server does not do what it was asked for.
    #[error("{server} failed: {cause}")]
    Failed {
        /// The server, without credentials.
        server: String,
        /// What the server or the client says.
        cause: Cause,
    },
    /// It took too long.
    #[error("{doing} took longer than {} ms", after.as_millis())]
    TimedOut {
        /// What was waited for.
        doing: &'static str,
        /// How long.
        after: Duration,
    },
    /// The source will not tell of changes any more.
    #[error("the source has ended")]
    Ended,
    /// A setting of the source cannot be right.
    #[error("{setting} cannot be used: {cause}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        cause: Cause,
    },
    /// The key does not exist.
    #[error("`{key}` does not exist")]
    Missing {
        /// The key.
        key: String,
    },
    /// The key holds more than it may.
    #[error("`{key}` holds {size} bytes, but it may hold {max}")]
    TooLarge {
        /// The key.
        key: String,
        /// Its size in bytes; where the source does not tell, what was read of it.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// What the key holds could not be read.
    #[error("`{key}` cannot be read: {cause}")]
    Unreadable {
        /// The key.
        key: String,
        /// Why.
        cause: Cause,
    },
    /// What the key holds are no rules.
    #[error("`{key}`: {error}")]
    Document {
        /// The key.
        key: String,
        /// Everything that is wrong with it.
        error: InvalidDocument,
    },
    /// Two keys of the source have a rule of the same name.
    #[error("`{key}`: the {family} rule `{id}` is in `{other}` already")]
    Conflict {
        /// The key that came later in order, whose rules are not in force.
        key: String,
        /// The key whose rule is in force.
        other: String,
        /// The family of the rules.
        family: &'static str,
        /// Their name.
        id: String,
    },
    /// The rules could not be put in force.
    #[error("`{key}`: {error}")]
    Rules {
        /// The key.
        key: String,
        /// What is wrong with them.
        error: ReplaceError,
    },
    /// The snapshot cannot be used.
    #[error("the snapshot {}: {cause}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: Cause,
    },
    /// The thread that was asked for could not be started.
    #[error("no thread could be started: {cause}")]
    Thread {
        /// What the system says.
        cause: Cause,
    },
}

impl SourceError {
    /// Whether it stays so until somebody changes something, so that trying again soon is of no use.
    pub(crate) fn is_lasting(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Failed { .. } | Self::TimedOut { .. } | Self::Ended)
    }
}

/// What lies behind an error, in words.
///
/// Clients tell the reason in the causes of their errors, so all of them are in the text, and none twice.
#[derive(Clone)]
pub struct Cause(Arc<str>);

impl Cause {
    /// Only these words.
    pub fn text(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }
}

impl<E: Error> From<E> for Cause {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            let words = cause.to_string();
            if !text.contains(&words) {
                text = format!("{text}: {words}");
            }
            next = cause.source();
        }
        Self::text(text)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a source was not started.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{source_name}: {error}")]
#[non_exhaustive]
pub struct StartError {
    /// The name of the source.
    pub source_name: String,
    /// What is wrong.
    pub error: Arc<SourceError>,
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("transport error")]
    struct Transport(#[source] io::Error);

    #[test]
    fn a_cause_tells_all_causes_behind_it_and_none_twice() {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        assert_eq!(Cause::from(Transport(refused())).to_string(), "transport error: connection refused");
        assert_eq!(Cause::from(io::Error::other(refused())).to_string(), "connection refused");
    }
}
