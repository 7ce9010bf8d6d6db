#![doc = include_str!("../README.md")]

mod connection;
mod error;
mod link;
mod publish;
mod source;

pub use sentinel_datasource::{
    Backoff, Condition, Datasource, Key, Pem, Publish, PublishError, Secret, SourceError, StartError, State, Status,
    ThreadWatch, Tls, Watch, WhenMissing,
};

pub use self::{connection::RedisConnection, source::RedisSource};
