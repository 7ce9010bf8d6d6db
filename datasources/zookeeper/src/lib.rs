#![doc = include_str!("../README.md")]

mod connection;
mod protocol;
mod publish;
mod session;
mod source;

pub use sentinel_datasource::{
    Backoff, Condition, Datasource, Key, Pem, Publish, PublishError, Secret, SourceError, StartError, State, Status,
    ThreadWatch, Tls, Watch, WhenMissing,
};

pub use self::{connection::ZooKeeperConnection, source::ZooKeeperSource};
