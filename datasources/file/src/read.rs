//! Reading a file that somebody may be writing.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    path::Path,
    time::SystemTime,
};

use crate::FileError;

/// Attempts at reading a file that changes meanwhile.
const ATTEMPTS: u32 = 3;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    file: u64,
}

impl Stamp {
    /// The state of the file at a path now.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let file = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let file = 0;
        Self { len: metadata.len(), modified: metadata.modified().ok(), file }
    }
}

/// Reads a whole file in one state.
pub(crate) fn read(path: &Path, max: u64) -> Result<(Vec<u8>, Stamp), FileError> {
    for _ in 0..ATTEMPTS {
        let before = std::fs::metadata(path).map_err(|error| FileError::io(path, error))?;
        if !before.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
            return Err(FileError::io(path, error));
        }
        if before.len() > max {
            return Err(FileError::TooLarge { path: path.into(), size: before.len(), max });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or_default());
        let file = File::open(path).map_err(|error| FileError::io(path, error))?;
        // One byte more than the file had, to see whether it has grown.
        let mut limited = file.take(before.len().saturating_add(1));
        limited.read_to_end(&mut bytes).map_err(|error| FileError::io(path, error))?;
        let stamp = Stamp::from(&before);
        if bytes.len() as u64 == before.len() && Stamp::of(path) == Some(stamp) {
            return Ok((bytes, stamp));
        }
    }
    Err(FileError::Unsettled { path: path.into() })
}
