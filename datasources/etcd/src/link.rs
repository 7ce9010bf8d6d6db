use std::{future::ready, io};

use etcd_client::{Channel, Client, ConnectOptions, Error, KvClient, WatchClient};
use hyper_util::rt::TokioIo;
use sentinel_datasource::{
    Fault, Line, SourceError, Tls,
    secrecy::{ExposeSecret as _, SecretString},
};
use tonic::transport;
use tower::service_fn;

use crate::{
    endpoint::Endpoint,
    error::failed,
    source::Patience,
    tasks::{Ending, Tasks},
};

/// A connection to one member. All that it has started ends with it.
pub(crate) struct Link {
    /// The member, as errors name it.
    pub(crate) server: String,
    pub(crate) kv: KvClient,
    pub(crate) watch: WatchClient,
    fault: Fault,
    _ending: Ending,
}

impl Link {
    pub(crate) async fn to(
        endpoint: &Endpoint,
        user: Option<(String, SecretString)>,
        tls: Option<&Tls>,
        patience: &Patience,
    ) -> Result<Self, SourceError> {
        let server = format!("etcd at {endpoint}");
        let place = endpoint.place(tls.is_some())?;
        let tls = place.is_encrypted.then(|| tls.cloned().unwrap_or_default());
        let line = Line::open(&server, &place.address, tls.as_ref(), &["h2"]).await?;
        let fault = line.fault();
        let tasks = Tasks::default();
        let ending = Ending(tasks.clone());
        let transport = transport::Endpoint::from(place.uri.clone())
            .origin(place.uri)
            .executor(tasks)
            .http2_keep_alive_interval(patience.silence)
            .keep_alive_timeout(patience.answer)
            .keep_alive_while_idle(true);
        let mut line = Some(TokioIo::new(line));
        // A line that breaks is the end, and not quietly replaced by another: what it may have missed has to be read.
        let once = service_fn(move |_| ready(line.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))));
        let failed = |error| failed(&server, &fault, error);
        let channel = transport.connect_with_connector(once).await.map_err(|error| failed(error.into()))?;
        // A member that is cut off from the others knows of no changes.
        let mut options = ConnectOptions::new().with_require_leader(true);
        if let Some((name, password)) = user {
            options = options.with_user(name, password.expose_secret());
        }
        let client = Client::from_channel(Channel::Tonic(channel), Some(options)).await.map_err(failed)?;
        Ok(Self { kv: client.kv_client(), watch: client.watch_client(), server, fault, _ending: ending })
    }

    /// What a failed request means.
    pub(crate) fn failed(&self, error: Error) -> SourceError {
        failed(&self.server, &self.fault, error)
    }
}
