#![doc = include_str!("../README.md")]

mod access;
mod client;
mod connection;
mod error;
#[cfg(test)]
mod fake;
pub mod manifests;
mod objects;
mod publish;
mod report;
pub mod resources;
mod source;
mod verdict;

pub use kube;
pub use sentinel_datasource::{
    Backoff, Condition, Datasource, Pem, Publish, PublishError, Secret, SourceError, StartError, State, Status,
    ThreadWatch, Tls, Watch, WhenMissing,
};

pub use self::{access::Access, connection::KubernetesConnection, resources::Kind, source::KubernetesSource};

/// Who is said to have written fields of objects.
const FIELD_MANAGER: &str = "sentinel-kit";
