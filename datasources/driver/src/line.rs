//! Bytes to a server and back, and what broke that.

use std::{
    error::Error,
    fmt,
    io::{self, IoSlice},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{Address, SourceError, Tls};

/// A connection of TCP, encrypted or not, that keeps what it broke of; for sources (feature `rustls`).
pub struct Line {
    stream: Pin<Box<dyn Stream>>,
    local_ip: IpAddr,
    /// Why nothing can be written any more.
    unwritable: Option<Arc<io::Error>>,
    fault: Fault,
}

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// What a [`Line`] broke of, if it did; for sources (feature `rustls`).
///
/// What is built upon it may tell no more than that the connection is gone; that a server does not take our certificate, it
/// says to the line alone, and after both sides have begun to talk.
#[derive(Clone, Debug, Default)]
pub struct Fault(Arc<OnceLock<Arc<io::Error>>>);

/// An error that all who ask are told of.
#[derive(Debug)]
struct Told(Arc<io::Error>);

impl Line {
    /// Connects to a server, which errors name like this, and encrypts with certificates as they are now, for the protocols
    /// that may be spoken then.
    ///
    /// # Errors
    ///
    /// When certificates cannot be used, the name to check is none, or no connection can be made.
    pub async fn open(
        server: &str,
        address: &Address,
        tls: Option<&Tls>,
        protocols: &[&str],
    ) -> Result<Self, SourceError> {
        let Address { host, port } = address;
        let encryption = tls.map(|tls| tls.connector(host, protocols)).transpose()?;
        let opening = async {
            let stream = TcpStream::connect((&**host, *port)).await?;
            stream.set_nodelay(true)?;
            let local_ip = stream.local_addr()?.ip();
            let stream: Pin<Box<dyn Stream>> = match encryption {
                Some((connector, name)) => Box::pin(connector.connect(name, stream).await?),
                None => Box::pin(stream),
            };
            Ok(Self { stream, local_ip, unwritable: None, fault: Fault::default() })
        };
        opening.await.map_err(|error: io::Error| SourceError::disconnected(server, &error))
    }

    /// The address of this side.
    pub fn local_ip(&self) -> IpAddr {
        self.local_ip
    }

    /// What it will have broken of.
    pub fn fault(&self) -> Fault {
        self.fault.clone()
    }

    /// Writes, as long as the other side is there.
    fn poll_outgoing<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut (dyn Stream + 'static)>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let unwritable = match &self.unwritable {
            Some(error) => Arc::clone(error),
            None => match write(self.stream.as_mut(), cx) {
                Poll::Ready(Err(error)) if is_gone(&error) => Arc::clone(self.unwritable.insert(Arc::new(error))),
                outcome => return outcome.map_err(|error| self.fault.note(error.into())),
            },
        };
        self.poll_last_words(unwritable, cx).map(Err)
    }

    /// Waits for what the other side has said last: that tells more than that nothing can be written, which may be noticed
    /// before that has come.
    fn poll_last_words(&mut self, unwritable: Arc<io::Error>, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut bytes = [0; 1 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let reason = match ready!(self.stream.as_mut().poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => continue,
                Ok(()) => unwritable,
                Err(words) => words.into(),
            };
            return Poll::Ready(self.fault.note(reason));
        }
    }
}

impl Fault {
    /// What the line broke of, or else this error of what is built upon it.
    pub fn or<'a>(&'a self, error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
        self.0.get().map_or(error, |fault| &**fault)
    }

    /// Keeps the first error, which is the reason of all others, and hands it on.
    fn note(&self, error: Arc<io::Error>) -> io::Error {
        let first = self.0.get_or_init(|| error);
        io::Error::new(first.kind(), Told(Arc::clone(first)))
    }
}

/// Whether an error says that there is nobody on the other side. One of encryption says more than that.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // What comes now may have a gap before it.
        if let Some(unwritable) = &self.unwritable {
            let unwritable = Arc::clone(unwritable);
            return self.poll_last_words(unwritable, cx).map(Err);
        }
        let outcome = self.stream.as_mut().poll_read(cx, buffer);
        outcome.map_err(|error| self.fault.note(error.into()))
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
    use tokio_rustls::rustls::{self, AlertDescription};

    use super::*;

    /// A connection on which nothing can be written, and what is read instead: bytes, and then an error or the end.
    struct Gone {
        unread: &'static [u8],
        last: Option<io::Error>,
    }

    impl AsyncRead for Gone {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let (now, later) = self.unread.split_at(self.unread.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.unread = later;
            let is_over = now.is_empty();
            Poll::Ready(self.last.take_if(|_| is_over).map_or(Ok(()), Err))
        }
    }

    impl AsyncWrite for Gone {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "it does not listen")))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn gone(last: Option<io::Error>) -> Line {
        let stream = Box::pin(Gone { unread: &[7; 3_000], last });
        Line { stream, local_ip: [127, 0, 0, 1].into(), unwritable: None, fault: Fault::default() }
    }

    async fn pair() -> (Line, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let line = Line::open("here", &address, None, &[]).await.unwrap();
        assert!(line.local_ip().is_loopback());
        (line, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_line_passes_bytes_and_keeps_what_it_broke_of() {
        let (mut line, mut other) = pair().await;
        let fault = line.fault();
        line.write_all(b"question").await.unwrap();
        let mut bytes = [0; 8];
        other.read_exact(&mut bytes).await.unwrap();
        other.write_all(&bytes).await.unwrap();
        line.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"question");
        let above = io::Error::other("gone");
        assert_eq!(fault.or(&above).to_string(), "gone");

        other.set_zero_linger().unwrap();
        drop(other);
        let told = line.read(&mut bytes).await.unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(fault.or(&above).to_string(), told.to_string());
    }

    #[tokio::test]
    async fn of_a_certificate_that_is_refused_all_are_told_also_who_wrote() {
        let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        let mut line = gone(Some(io::Error::new(io::ErrorKind::InvalidData, alert)));
        let above = io::Error::other("gone");
        let first = line.write_all(b"question").await.unwrap_err();
        let fault = line.fault();
        for told in [&first, &line.flush().await.unwrap_err(), &line.read(&mut [0]).await.unwrap_err(), &above] {
            let told = SourceError::disconnected("here", fault.or(told));
            assert!(matches!(told, SourceError::Denied { .. }), "{told:?}");
        }
        // Redis and ZooKeeper pass on the error itself.
        let told = SourceError::disconnected("here", &first);
        assert!(matches!(told, SourceError::Denied { .. }) && told.to_string().contains("UnknownCA"), "{told:?}");
    }

    #[tokio::test]
    async fn where_nothing_was_said_the_failure_to_write_is_the_reason() {
        let mut line = gone(None);
        for _ in 0..2 {
            let told = line.write_all(b"question").await.unwrap_err();
            assert_eq!((told.kind(), &*told.to_string()), (io::ErrorKind::BrokenPipe, "it does not listen"));
        }
        assert_eq!(line.read(&mut [0]).await.unwrap_err().to_string(), "it does not listen");
    }

    #[tokio::test]
    async fn no_connection_is_an_error_that_names_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        drop(listener);
        let error = Line::open("etcd at here", &address, None, &[]).await.unwrap_err();
        assert!(error.to_string().starts_with("etcd at here cannot be reached: "), "{error}");
    }
}
