use std::{path::PathBuf, sync::Arc, time::SystemTime};

use sentinel_core::Warning;

use crate::FileError;

/// How a watched file stands: plain numbers for a health check or an exporter, and words for people.
///
/// Cheap to copy, however many errors and warnings there are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The file.
    pub path: PathBuf,
    /// The name under which its rules are in force.
    pub source: String,
    /// How changes are noticed.
    pub watching: Watching,
    /// How often the file's rules were put in force.
    pub applied: u64,
    /// How often the file became unusable, or unusable for another reason.
    pub failed: u64,
    /// When its rules were last put in force.
    pub last_success: Option<SystemTime>,
    /// Why the file cannot be used as it is now, and since when. The last good rules are in force, unless the file is
    /// missing and they [go with it](crate::WhenMissing::Clear).
    pub last_error: Option<(SystemTime, Arc<FileError>)>,
    /// How many of its rules are in force.
    pub rules: usize,
    /// What is odd about the document in force.
    pub warnings: Arc<[Warning]>,
}

/// How changes of a file are noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Watching {
    /// The system tells, and the file is looked at from time to time nevertheless.
    Notified,
    /// The file is looked at from time to time.
    Polling {
        /// Why the system does not tell, or not of every change.
        reason: String,
    },
    /// No more: the watch was stopped, or its thread has panicked.
    Ended,
}
