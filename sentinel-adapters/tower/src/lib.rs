#![doc = include_str!("../README.md")]

mod calls;
mod enter;
mod future;
mod guard;
pub mod http;
mod layer;
mod name;
mod protocol;

pub use self::{
    calls::{CallError, Calls},
    enter::Enter,
    future::ResponseFuture,
    guard::Guard,
    http::Http,
    layer::{SentinelLayer, SentinelService},
    name::Name,
    protocol::Protocol,
};
