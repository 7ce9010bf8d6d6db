use std::{io, path::PathBuf, sync::Arc};

use sentinel_core::InvalidDocument;

/// Why rules could not be saved.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The file could not be written: no permission, a folder in its place, a full disk.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: Arc<io::Error>,
    },
    /// The rules cannot be written in the format of the file.
    #[error("{}: {error}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Why.
        error: InvalidDocument,
    },
}
