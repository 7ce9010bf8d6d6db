//! Bytes to a server and back, and what broke that.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// A connection of TCP, encrypted or not.
pub(crate) struct Line {
    stream: Pin<Box<dyn Stream>>,
    /// Why nothing can be written any more.
    unwritable: Option<io::ErrorKind>,
    fault: Fault,
}

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// What a line broke of, if it did.
///
/// Requests are told no more than that the connection is gone; that a server does not take our certificate, it says to the
/// line alone, and after both sides have begun to talk.
#[derive(Clone, Default)]
pub(crate) struct Fault(Arc<OnceLock<io::Error>>);

impl Line {
    pub(crate) async fn open(
        address: (&str, u16),
        tls: Option<(TlsConnector, ServerName<'static>)>,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream: Pin<Box<dyn Stream>> = match tls {
            Some((connector, name)) => Box::pin(connector.connect(name, stream).await?),
            None => Box::pin(stream),
        };
        Ok(Self { stream, unwritable: None, fault: Fault::default() })
    }

    pub(crate) fn fault(&self) -> Fault {
        self.fault.clone()
    }
}

impl Fault {
    pub(crate) fn get(&self) -> Option<&io::Error> {
        self.0.get()
    }

    /// Keeps an error, and hands one on that says the same. Only the first is the reason of all others.
    fn note(&self, error: io::Error) -> io::Error {
        let told = io::Error::new(error.kind(), error.to_string());
        self.0.get_or_init(|| error);
        told
    }
}

impl Line {
    /// Writes, as long as it can be. From then on, it is waited for what the other side has said last: that tells more than
    /// that it is gone, and what is written may break before that has come.
    fn poll_outgoing<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut (dyn Stream + 'static)>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let unwritable = match self.unwritable {
            Some(kind) => kind,
            None => match write(self.stream.as_mut(), cx) {
                Poll::Ready(Err(error)) => *self.unwritable.insert(error.kind()),
                outcome => return outcome,
            },
        };
        let mut bytes = [0; 1 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let words = match ready!(self.stream.as_mut().poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => continue,
                Ok(()) => unwritable.into(),
                Err(words) => words,
            };
            return Poll::Ready(Err(self.fault.note(words)));
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let outcome = self.stream.as_mut().poll_read(cx, buffer);
        outcome.map_err(|error| self.fault.note(error))
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_outgoing(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_outgoing(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_outgoing(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_outgoing(cx, AsyncWrite::poll_shutdown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_line_passes_bytes_and_keeps_what_it_broke_of() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut line = Line::open(("127.0.0.1", address.port()), None).await.unwrap();
        let fault = line.fault();
        let (mut other, _) = listener.accept().await.unwrap();
        line.write_all(b"question").await.unwrap();
        let mut bytes = [0; 8];
        other.read_exact(&mut bytes).await.unwrap();
        other.write_all(&bytes).await.unwrap();
        line.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"question");
        assert!(fault.get().is_none());

        other.set_zero_linger().unwrap();
        drop(other);
        let told = line.read(&mut bytes).await.unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(fault.get().map(ToString::to_string), Some(told.to_string()));
    }
}
