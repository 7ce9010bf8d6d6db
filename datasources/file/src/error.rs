use std::{io, path::PathBuf, sync::Arc};

use sentinel_core::{InvalidDocument, ReplaceError};

/// Why a file's rules are not in force, or could not be saved.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The format is not given, and the extension of the file says none that is known.
    #[error("{}: the format is not given, and the extension is none of json, toml, yaml and yml", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// There is no such file.
    #[error("{}: there is no such file", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than it may be.
    #[error("{}: the file has {size} bytes, but it may have {max}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// The file went on changing, so that what is in it may be half of what will be.
    #[error("{}: the file is not left alone long enough to be read", path.display())]
    Unsettled {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or written: no permission, a folder in its place, a full disk.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: Arc<io::Error>,
    },
    /// What is in the file are no rules.
    #[error("{}: {error}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        error: InvalidDocument,
    },
    /// The rules could not be put in force.
    #[error("{}: {error}", path.display())]
    Rules {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        error: ReplaceError,
    },
    /// The thread that watches could not be started.
    #[error("{}: the file cannot be watched: {error}", path.display())]
    Thread {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: Arc<io::Error>,
    },
}

impl FileError {
    pub(crate) fn io(path: impl Into<PathBuf>, error: io::Error) -> Self {
        let path = path.into();
        if error.kind() == io::ErrorKind::NotFound {
            Self::Missing { path }
        } else {
            Self::Io { path, error: Arc::new(error) }
        }
    }
}
