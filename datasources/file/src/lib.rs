#![doc = include_str!("../README.md")]

mod connection;
mod error;
mod folders;
mod read;
mod save;
mod settling;
mod source;

pub use sentinel_datasource::{
    Backoff, Datasource, SourceError, StartError, State, Status, ThreadWatch, Watch, WhenMissing,
};

pub use self::{
    connection::FileConnection,
    error::SaveError,
    save::save,
    source::{FileSource, Loaded},
};
