//! HTTP clients for load on loopback: one connection each, one request at a time.

use std::{io, net::SocketAddr};

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

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
        let request = Request::get(path).header("host", "localhost").body(Empty::new()).map_err(io::Error::other)?;
        self.requests.ready().await.map_err(io::Error::other)?;
        let response = self.requests.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        response.into_body().collect().await.map_err(io::Error::other)?;
        Ok(status)
    }
}
