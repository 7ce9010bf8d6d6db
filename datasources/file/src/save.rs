use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use sentinel_core::{Encoding, Format, Rules};

use crate::{SaveError, folders::MAX_LINKS};

/// Writes rules to a file, in one step: who reads it sees what was there before or all that is there now.
///
/// A symlink stays one; what it points to is replaced. A file that is there keeps its permissions, and its owner where
/// the system allows it; a new one can be read and written by its owner alone. Many may save at the same time: the last
/// one wins.
///
/// # Errors
///
/// When the file cannot be written; then it is as it was, and nothing else is left behind. Only when all is written
/// except the entry in its folder, which a power failure may then undo, there is an error although the file is new.
///
/// # Example
///
/// ```
/// use sentinel_core::{FlowRule, Format, Rules};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("flow.yaml");
/// sentinel_file::save(&path, &Rules::new().flow([FlowRule::new("orders", 100.0)]), Format::Yaml)?;
/// assert_eq!(std::fs::read_to_string(&path)?, "flow:\n- resource: orders\n  threshold: 100\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn save(path: impl AsRef<Path>, rules: &Rules, format: Format) -> Result<(), SaveError> {
    save_as(path.as_ref(), rules, &Encoding::native(format))
}

pub(crate) fn save_as(path: &Path, rules: &Rules, encoding: &Encoding) -> Result<(), SaveError> {
    let text = rules.encode(encoding).map_err(|error| SaveError::Document { path: path.into(), error })?;
    replace(path, text.as_bytes()).map_err(|error| SaveError::Io { path: path.into(), error: Arc::new(error) })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = behind_links(path)?;
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let before = fs::metadata(&target).ok();
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    // In the same folder, since a rename does not cross file systems; gone by itself when dropped.
    let mut file = tempfile::Builder::new().prefix(".rules-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Some(before) = before {
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt as _, fchown};
            // Only the superuser may give files away.
            let _ = fchown(file.as_file(), Some(before.uid()), Some(before.gid()));
        }
        file.as_file().set_permissions(before.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    // The rename itself has to reach the disk too; where folders cannot be opened, it does without.
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// The file that a path leads to, which need not be there yet.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = fs::read_link(&target) else { return Ok(target) };
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "too many links lead to each other"))
}
