#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod client;
mod connection;
mod credentials;
mod page;
mod publish;
mod rest;
mod source;

pub use sentinel_datasource::{
    Backoff, Condition, Datasource, Key, Pem, Publish, PublishError, Secret, SourceError, StartError, State, Status,
    ThreadWatch, Tls, Watch, WhenMissing,
};

pub use self::{connection::HttpConnection, source::HttpSource};
