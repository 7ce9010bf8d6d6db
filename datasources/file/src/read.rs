//! Reading a file that somebody may be writing.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _},
    path::Path,
    time::{Duration, SystemTime},
};

use sentinel_datasource::{Cause, SourceError};

/// Attempts at reading a file that changes meanwhile.
const ATTEMPTS: u32 = 3;

/// The coarsest step in which a file system keeps times: that of FAT.
const COARSEST_TIME: Duration = Duration::from_secs(2);

/// The content of a file at one time.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) bytes: Vec<u8>,
    pub(crate) stamp: Stamp,
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    /// Unlike the other, no program can set this time back.
    changed: Option<SystemTime>,
    /// Device and number: what a rename puts in place of the file is another one.
    #[cfg(unix)]
    file: (u64, u64),
}

impl Stamp {
    /// The state of the file at a path now.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }

    /// Whether the last change is so long ago that a further one has another time.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let is_past = |time: SystemTime| now.duration_since(time).is_ok_and(|age| age > COARSEST_TIME);
        self.modified.is_some_and(is_past) && self.changed.is_some_and(is_past)
    }

    /// When the content was last written.
    pub(crate) fn modified_since_1970(&self) -> Option<Duration> {
        self.modified?.duration_since(SystemTime::UNIX_EPOCH).ok()
    }
}

impl From<&Metadata> for Stamp {
    #[cfg(unix)]
    fn from(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;

        let since_1970 = u64::try_from(metadata.ctime()).ok().zip(u32::try_from(metadata.ctime_nsec()).ok());
        Self {
            len: metadata.len(),
            modified: metadata.modified().ok(),
            changed: since_1970.and_then(|(seconds, nanos)| {
                SystemTime::UNIX_EPOCH
                    .checked_add(Duration::from_secs(seconds))?
                    .checked_add(Duration::from_nanos(nanos.into()))
            }),
            file: (metadata.dev(), metadata.ino()),
        }
    }

    #[cfg(not(unix))]
    fn from(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        Self { len: metadata.len(), modified, changed: modified }
    }
}

/// Reads a whole file in one state.
pub(crate) fn read(path: &Path, max: u64) -> Result<Version, SourceError> {
    let key = || path.display().to_string();
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => SourceError::Missing { key: key() },
        _ => SourceError::Unreadable { key: key(), cause: Cause::from(error) },
    };
    // Looked at before it is opened: opening a pipe waits for somebody to write.
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(SourceError::Unreadable { key: key(), cause: Cause::text("it is no regular file") });
    }
    for _ in 0..ATTEMPTS {
        let file = File::open(path).map_err(io)?;
        let stamp = Stamp::from(&file.metadata().map_err(io)?);
        if stamp.len > max {
            return Err(SourceError::TooLarge { key: key(), size: stamp.len, max });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(stamp.len).unwrap_or_default());
        // One byte more than the file had, to see whether it has grown.
        (&file).take(stamp.len.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
        let after = Stamp::from(&file.metadata().map_err(io)?);
        if after == stamp && bytes.len() as u64 == stamp.len {
            return Ok(Version { bytes, stamp });
        }
    }
    Err(unsettled(path))
}

/// A file that is being written may be half of what it will be.
pub(crate) fn unsettled(path: &Path) -> SourceError {
    let cause = Cause::text("it is not left alone long enough to be read");
    SourceError::Unreadable { key: path.display().to_string(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_trusted_only_when_the_change_is_long_ago() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "a").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        let modified = stamp.modified.unwrap();
        assert!(!stamp.is_settled(modified), "just now");
        assert!(!stamp.is_settled(modified - Duration::from_secs(60)), "in the future");
        assert!(stamp.is_settled(modified + COARSEST_TIME + Duration::from_secs(1)));
    }

    #[cfg(unix)]
    #[test]
    fn a_change_whose_time_was_set_back_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "a").unwrap();
        let set_back =
            || File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        set_back();
        let before = Stamp::of(&path).unwrap();
        let beside = folder.path().join("beside");
        fs::write(&beside, "b").unwrap();
        fs::rename(beside, &path).unwrap();
        set_back();
        let after = Stamp::of(&path).unwrap();
        assert_eq!((before.len, before.modified), (after.len, after.modified));
        assert_ne!(before, after);
    }

    #[test]
    fn the_largest_size_is_included() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "1234").unwrap();
        assert_eq!(read(&path, 4).unwrap().bytes, b"1234");
        assert!(matches!(read(&path, 3), Err(SourceError::TooLarge { size: 4, max: 3, .. })));
    }
}
