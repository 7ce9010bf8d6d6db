use std::{fs, io::Write as _, path::Path};

use sentinel_core::{Format, Rules};

use crate::FileError;

/// Writes rules to a file, in one step: who reads it sees what was there before or all that is there now.
///
/// A symlink stays one; what it points to is replaced. A file that is there keeps its permissions, a new one can be read and
/// written by its owner alone.
///
/// # Errors
///
/// When the file cannot be written; then it is as it was, and nothing else is left behind.
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
pub fn save(path: impl AsRef<Path>, rules: &Rules, format: Format) -> Result<(), FileError> {
    let path = path.as_ref();
    let text = rules.to_text(format).map_err(|error| FileError::Document { path: path.into(), error })?;
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let io = |error| FileError::io(path, error);
    // In the same folder, since a rename does not cross file systems; gone by itself when dropped.
    let mut file = tempfile::Builder::new().prefix(".rules-").tempfile_in(folder).map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    if let Ok(before) = fs::metadata(&target) {
        file.as_file().set_permissions(before.permissions()).map_err(io)?;
    }
    file.as_file().sync_all().map_err(io)?;
    file.persist(&target).map_err(|error| io(error.error))?;
    // The rename itself has to reach the disk too; where folders cannot be opened, it does without.
    #[cfg(unix)]
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    Ok(())
}
