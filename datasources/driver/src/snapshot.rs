//! The last good rules on disk.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use sentinel_core::{Format, Rules};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Cause, SourceError};

/// What this version writes.
const VERSION: u32 = 1;

/// A file with the last good rules of a source: one line that says what follows, and the rules.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
    source: String,
    max_size: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    snapshot: u32,
    source: String,
    crc32: u32,
}

impl Snapshot {
    /// `max_size` is the most bytes that one document may have.
    pub(crate) fn new(path: PathBuf, source: String, max_size: usize) -> Self {
        // Written out with every default named and escaped, rules are longer than they came, but not a hundred times.
        Self { path, source, max_size: (max_size as u64).saturating_mul(100) }
    }

    /// Writes it in one step, readable by its owner alone.
    pub(crate) fn save<'a>(&self, rules: impl Iterator<Item = (&'a str, &'a Rules)>) -> Result<(), SourceError> {
        self.try_save(rules).map_err(|error| self.error(error.into()))
    }

    fn try_save<'a>(&self, rules: impl Iterator<Item = (&'a str, &'a Rules)>) -> io::Result<()> {
        let body = serde_json::to_vec(&rules.collect::<BTreeMap<_, _>>())?;
        let header = Header { snapshot: VERSION, source: self.source.clone(), crc32: crc32fast::hash(&body) };
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Temporary files are their owner's alone from the start, and gone by themselves when dropped.
        let mut file = tempfile::Builder::new().prefix(".snapshot-").tempfile_in(folder)?;
        serde_json::to_writer(&mut file, &header)?;
        file.write_all(b"\n")?;
        file.write_all(&body)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        #[cfg(unix)]
        fs::File::open(folder)?.sync_all()?;
        Ok(())
    }

    /// Reads it, if it is whole, and this source's.
    pub(crate) fn load(&self) -> Result<BTreeMap<String, Rules>, SourceError> {
        self.try_load().map_err(|cause| self.error(cause))
    }

    fn try_load(&self) -> Result<BTreeMap<String, Rules>, Cause> {
        let size = fs::metadata(&self.path)?.len();
        if size > self.max_size {
            return Err(Cause::text(format!("it has {size} bytes, but it may have {}", self.max_size)));
        }
        let bytes = fs::read(&self.path)?;
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| Cause::text("it is none"))?;
        let (header, body) = (&bytes[..end], &bytes[end + 1..]);
        let header: Header = serde_json::from_slice(header)?;
        if header.snapshot != VERSION {
            return Err(Cause::text(format!("its version is {}, but {VERSION} is what is known", header.snapshot)));
        }
        if header.source != self.source {
            return Err(Cause::text(format!("it is of `{}`, and not of `{}`", header.source, self.source)));
        }
        if header.crc32 != crc32fast::hash(body) {
            return Err(Cause::text("it is damaged: its checksum is another"));
        }
        let documents: BTreeMap<String, Value> = serde_json::from_slice(body)?;
        let read = |(key, document): (String, Value)| {
            Ok((key, Rules::parse(document.to_string().as_bytes(), Format::Json)?.rules))
        };
        documents.into_iter().map(read).collect()
    }

    fn error(&self, cause: Cause) -> SourceError {
        SourceError::Snapshot { path: self.path.clone(), cause }
    }
}

#[cfg(test)]
mod tests {
    use sentinel_core::FlowRule;

    use super::*;

    fn snapshot(folder: &tempfile::TempDir) -> Snapshot {
        Snapshot::new(folder.path().join("rules.snapshot"), "etcd:a".to_owned(), 1 << 20)
    }

    fn rules() -> BTreeMap<String, Rules> {
        let rules = |threshold| Rules::new().flow([FlowRule::new("orders", threshold).id("limit")]);
        BTreeMap::from([("a".to_owned(), rules(1.5)), ("b".to_owned(), rules(2.0)), ("c".to_owned(), Rules::new())])
    }

    fn save(snapshot: &Snapshot) {
        let rules = rules();
        snapshot.save(rules.iter().map(|(key, rules)| (&**key, rules))).unwrap();
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = snapshot(&folder);
        save(&snapshot);
        save(&snapshot);
        assert_eq!(snapshot.load().unwrap(), rules());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let snapshot = snapshot(&folder);
        save(&snapshot);
        assert_eq!(fs::metadata(&snapshot.path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn one_that_is_damaged_cut_off_or_of_another_source_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = snapshot(&folder);
        let error = |snapshot: &Snapshot| snapshot.load().unwrap_err().to_string();
        assert!(error(&snapshot).contains("rules.snapshot"), "{}", error(&snapshot));

        save(&snapshot);
        let whole = fs::read(&snapshot.path).unwrap();
        for end in 0..whole.len() {
            fs::write(&snapshot.path, &whole[..end]).unwrap();
            assert!(snapshot.load().is_err(), "cut off at {end}");
        }
        for index in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[index] ^= 1;
            fs::write(&snapshot.path, &damaged).unwrap();
            assert!(snapshot.load().is_err(), "damaged at {index}");
        }
        fs::write(&snapshot.path, &whole).unwrap();
        let other = Snapshot { source: "etcd:b".to_owned(), ..snapshot };
        assert!(error(&other).ends_with("it is of `etcd:a`, and not of `etcd:b`"), "{}", error(&other));
    }
}
