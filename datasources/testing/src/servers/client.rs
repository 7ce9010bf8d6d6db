//! HTTP as far as tests need it to talk to servers themselves.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{Certificates, Tls};

/// Longer, no server takes for a request.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a server did not do what a test asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The connection could not be made, or broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// There was no answer in time.
    #[error("there was no answer within {LIMIT:?}")]
    TimedOut,
    /// The server refused.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The answer was none that its protocol has.
    #[error("the answer was not understood: {0}")]
    Protocol(&'static str),
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        Self::Io(io::Error::other(error))
    }
}

/// A stream, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How to reach a server.
#[derive(Clone)]
pub(crate) struct Route {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Route {
    pub(crate) fn new(address: SocketAddr, tls: Tls, certificates: &Certificates) -> Self {
        let connector = || TlsConnector::from(Arc::new(certificates.client_config()));
        Self { address, tls: (tls != Tls::None).then(connector) }
    }

    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => {
                let name = ServerName::IpAddress(self.address.ip().into());
                Ok(Box::new(tls.connect(name, stream).await?))
            }
        }
    }
}

/// Waits for an answer, but not for ever.
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    time::timeout(LIMIT, answer).await.unwrap_or(Err(Failure::TimedOut))
}

/// What an HTTP server has answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body of a good answer.
    pub(crate) fn good(self) -> Result<Bytes, Failure> {
        if self.is_good() { Ok(self.body) } else { Err(self.refused()) }
    }

    /// What a good answer says in JSON.
    pub(crate) fn json(self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.good()?).map_err(|_| Failure::Protocol("what is no JSON"))
    }

    /// The body of a good answer, unless what was asked for is not there.
    pub(crate) fn found(self) -> Result<Option<Vec<u8>>, Failure> {
        if self.status == 404 { Ok(None) } else { self.good().map(|body| Some(body.into())) }
    }

    fn refused(&self) -> Failure {
        Failure::Refused(format!("{} {}", self.status, String::from_utf8_lossy(&self.body)))
    }
}

/// Sends requests to one server, each by a connection of its own, so that none remembers what the server has been.
#[derive(Clone)]
pub(crate) struct Web {
    route: Route,
    headers: Vec<(header::HeaderName, String)>,
}

impl Web {
    pub(crate) fn new(route: Route) -> Self {
        Self { route, headers: Vec::new() }
    }

    /// Adds a header to each request.
    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header::HeaderName::from_static(name), value.into()));
        self
    }

    pub(crate) async fn request(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Result<Answer, Failure> {
        let host = self.route.address.to_string();
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into())).expect("a request that can be sent");
        in_time(async {
            let stream = TokioIo::new(self.route.connect().await?);
            let (mut sender, connection) = http1::handshake(stream).await?;
            let exchange = async {
                let response = sender.send_request(request).await?;
                let status = response.status().as_u16();
                Ok(Answer { status, body: response.into_body().collect().await?.to_bytes() })
            };
            tokio::select! {
                answer = exchange => answer,
                // Without the connection's work, there is no exchange.
                Err(error) = connection => Err(error.into()),
            }
        })
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.request(Method::GET, path, Bytes::new()).await
    }
}
