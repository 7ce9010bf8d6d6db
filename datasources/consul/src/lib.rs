#![doc = include_str!("../README.md")]

mod agent;
mod connection;
mod publish;
mod source;

pub use sentinel_datasource::{
    Backoff, Condition, Datasource, Key, Pem, Publish, PublishError, Secret, SourceError, StartError, State, Status,
    ThreadWatch, Tls, Watch, WhenMissing,
};

pub use self::{connection::ConsulConnection, source::ConsulSource};
