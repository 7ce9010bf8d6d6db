//! HTTP clients for load on loopback: one connection each, one request at a time.

use std::{io, net::SocketAddr};

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;

/// What to ask for.
#[derive(Clone, Debug)]
pub struct Ask {
    path: String,
    headers: Vec<(&'static str, String)>,
}

impl Ask {
    /// A path, without headers of one's own.
    pub fn get(path: impl Into<String>) -> Self {
        Self { path: path.into(), headers: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A connection that is kept alive.
#[derive(Debug)]
pub struct Client {
    requests: SendRequest<Empty<Bytes>>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { requests })
    }

    /// Asks for a path and reads the answer to its end.
    ///
    /// # Errors
    ///
    /// When the path is none, or the connection breaks.
    pub async fn get(&mut self, path: &str) -> io::Result<StatusCode> {
        self.send(&Ask::get(path)).await
    }

    /// Asks and reads the answer to its end. Dropping the future closes the connection.
    ///
    /// # Errors
    ///
    /// When path or headers are none, or the connection breaks.
    pub async fn send(&mut self, ask: &Ask) -> io::Result<StatusCode> {
        let mut request = Request::get(ask.path.as_str()).header("host", "localhost");
        for (name, value) in &ask.headers {
            request = request.header(*name, value.as_str());
        }
        let request = request.body(Empty::new()).map_err(io::Error::other)?;
        self.requests.ready().await.map_err(io::Error::other)?;
        let response = self.requests.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        response.into_body().collect().await.map_err(io::Error::other)?;
        Ok(status)
    }
}

/// Connections to one service, as many as there are requests at a time.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    idle: Mutex<Vec<Client>>,
}

impl Pool {
    /// A pool without a connection yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Asks for a path over a connection that is idle, or a new one.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached, the path is none, or the connection breaks.
    pub async fn get(&self, path: &str) -> io::Result<StatusCode> {
        let idle = self.idle.lock().pop();
        let mut client = match idle {
            Some(client) => client,
            None => Client::connect(self.address).await?,
        };
        let status = client.get(path).await?;
        self.idle.lock().push(client);
        Ok(status)
    }
}
