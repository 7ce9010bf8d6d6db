use std::{error::Error, fmt};

use sentinel_datasource::{Address, Cause, SourceError, Tls};
use tokio::net::TcpStream;

use crate::stream::Stream;

/// A server that may be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server(pub(crate) Address);

impl Server {
    /// Connects, and encrypts for this protocol where that is asked for. Returns also the own address.
    pub(crate) async fn open(
        &self,
        tls: Option<&Tls>,
        protocol: &str,
    ) -> Result<(Box<dyn Stream>, String), SourceError> {
        let Address { host, port } = &self.0;
        let stream = TcpStream::connect((&**host, *port)).await.map_err(|error| self.broken(&error))?;
        stream.set_nodelay(true).map_err(|error| self.broken(&error))?;
        let local = stream.local_addr().map_err(|error| self.broken(&error))?.ip().to_string();
        let Some(tls) = tls else { return Ok((Box::new(stream), local)) };
        let (connector, domain) = tls.connector(host, &[protocol])?;
        let stream = connector.connect(domain, stream).await.map_err(|error| self.broken(&error))?;
        Ok((Box::new(stream), local))
    }

    /// What came of a connection that is not there, or not any more.
    pub(crate) fn broken(&self, error: &(dyn Error + 'static)) -> SourceError {
        let (server, cause) = (self.to_string(), Cause::from(error));
        if Tls::is_refused(error) {
            SourceError::Denied { server, cause }
        } else {
            SourceError::Unreachable { server, cause }
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
