#![doc = include_str!("../README.md")]

mod bell;
mod error;
mod folders;
mod read;
mod save;
mod settling;
mod source;
mod status;
mod watch;

pub use self::{
    error::FileError,
    save::save,
    source::{FileSource, Loaded, WhenMissing},
    status::{Status, Watching},
    watch::FileWatch,
};
