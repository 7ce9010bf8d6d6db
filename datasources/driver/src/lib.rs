#![doc = include_str!("../README.md")]

mod address;
mod backoff;
mod credentials;
mod datasource;
mod driver;
mod error;
mod key;
#[cfg(feature = "rustls")]
mod line;
mod parts;
mod publish;
mod snapshot;
mod source;
mod status;
mod tls;
mod watch;

pub use secrecy;

#[cfg(feature = "rustls")]
pub use self::line::{Fault, Line};
pub use self::{
    address::Address,
    backoff::Backoff,
    credentials::Secret,
    datasource::{Datasource, WhenMissing},
    error::{Cause, SourceError, StartError},
    key::Key,
    publish::{Condition, Publish, PublishError, within},
    source::{Connection, Content, Document, Outcome, Payload, Reading, Source},
    status::{DocumentStatus, State, Status},
    tls::{Pem, Tls},
    watch::{ThreadWatch, Watch},
};
