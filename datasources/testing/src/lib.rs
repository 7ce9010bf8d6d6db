#![doc = include_str!("../README.md")]

mod certificates;
pub mod http;
mod logs;
pub mod observe;
mod ports;
mod proxy;
pub mod servers;
pub mod suite;
mod trials;

pub use self::{
    certificates::{Certificates, Identity, Pem, Tls},
    logs::Logs,
    proxy::Proxy,
    trials::{Trial, run, trial},
};
