//! One session with one server.

use std::{io, mem, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use sentinel_datasource::{Address, Cause, Line, Secret, SourceError, secrecy::ExposeSecret as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::{Framed, LengthDelimitedCodec, LengthDelimitedCodecError};

use crate::{
    ZooKeeperSource,
    protocol::{self, Frame, Malformed, OVERHEAD, Operation, Refusal},
};

/// How long one of several servers has, so that one that says nothing leaves time for the next.
const TURN: Duration = Duration::from_millis(1_500);

/// Longer, no server is silent without being asked whether it is there.
const LONGEST_SILENCE: Duration = Duration::from_secs(2);

/// A session that belongs to whoever waits for its answers: there is no task behind it, and what drops it ends it.
pub(crate) struct Session {
    pub(crate) server: String,
    line: Framed<Line, LengthDelimitedCodec>,
    last_id: i32,
    /// How long the server may be silent until it is asked whether it is there; then it has as long to answer.
    silence: Duration,
    heard: Instant,
    /// When it was asked, if it has not answered since.
    asked: Option<Instant>,
    /// Whether a node that was read may have changed since.
    is_told: bool,
}

impl Session {
    /// Opens a session with one of the servers, in an order that chance decides, and has it catch up with the others.
    pub(crate) async fn open(source: &ZooKeeperSource) -> Result<Self, SourceError> {
        let mut servers: Vec<_> = source.servers()?.iter().collect();
        let [server] = &*servers else {
            fastrand::shuffle(&mut servers);
            return Self::open_one_of(source, &servers).await;
        };
        Self::connect(source, server).await
    }

    async fn open_one_of(source: &ZooKeeperSource, servers: &[&Address]) -> Result<Self, SourceError> {
        let mut errors = Vec::new();
        for server in servers {
            let connecting = timeout(TURN, Self::connect(source, server)).await;
            let name = server.to_string();
            match connecting.unwrap_or(Err(SourceError::TimedOut { doing: "connecting", after: TURN })) {
                // The next one would say the same.
                Err(error @ (SourceError::Denied { .. } | SourceError::Setting { .. })) => return Err(error),
                Err(error @ SourceError::TimedOut { .. }) => errors.push(format!("{name}: {error}")),
                Err(error) => errors.push(error.to_string()),
                Ok(session) => return Ok(session),
            }
        }
        let cause = Cause::text(errors.join("; "));
        Err(SourceError::Unreachable { server: "every server of ZooKeeper".to_owned(), cause })
    }

    async fn connect(source: &ZooKeeperSource, address: &Address) -> Result<Self, SourceError> {
        let server = format!("ZooKeeper at {address}");
        let password = source.password.as_ref().map(Secret::reveal).transpose()?;
        let line = Line::open(&server, address, source.tls.as_ref(), &[]).await?;
        let mut codec = LengthDelimitedCodec::builder();
        codec.max_frame_length(source.max_size.saturating_add(OVERHEAD));
        let mut session = Self {
            server,
            line: codec.new_framed(line),
            last_id: 0,
            silence: LONGEST_SILENCE,
            heard: Instant::now(),
            asked: None,
            is_told: false,
        };
        session.send(protocol::connect(source.session_timeout)).await?;
        let answer = session.receive().await?;
        let kept = protocol::connected(answer).map_err(|error| session.malformed(error))?;
        let kept = kept.ok_or_else(|| session.failed(Cause::text("it opens no session")))?;
        session.silence = (kept / 3).min(LONGEST_SILENCE);
        if let (Some(user), Some(password)) = (&source.user, &password) {
            let login = Operation::Auth { user, password: password.expose_secret() };
            session.ask(login).await?.map_err(|refusal| session.refused(refusal))?;
        }
        // The server before may have told of changes that this one does not have yet.
        let sync = Operation::Sync { path: &source.keys[0].name };
        session.ask(sync).await?.map_err(|refusal| session.refused(refusal))?;
        Ok(session)
    }

    /// Asks for something; the inner error is the server's answer.
    pub(crate) async fn ask(&mut self, operation: Operation<'_>) -> Result<Result<BytesMut, Refusal>, SourceError> {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let id = operation.id(self.last_id);
        self.send(operation.encode(id)).await?;
        loop {
            match self.hear().await? {
                Frame::Answer { id: answered, outcome } if answered == id => return Ok(outcome),
                // To what nobody waits for any more.
                Frame::Answer { .. } | Frame::Told => {}
            }
        }
    }

    /// Forgets what was told of changes: all will be read now.
    pub(crate) fn begin(&mut self) {
        self.is_told = false;
    }

    /// Waits until a node that was read may have changed.
    pub(crate) async fn told(&mut self) -> Result<(), SourceError> {
        while !mem::take(&mut self.is_told) {
            let deadline = self.asked.unwrap_or(self.heard) + self.silence;
            match timeout_at(deadline, self.hear()).await {
                Ok(heard) => drop(heard?),
                Err(_) if self.asked.is_some() => {
                    return Err(SourceError::TimedOut { doing: "an answer to a ping", after: self.silence });
                }
                Err(_) => {
                    self.asked = Some(Instant::now());
                    let ping = Operation::Ping;
                    self.send(ping.encode(ping.id(0))).await?;
                }
            }
        }
        Ok(())
    }

    async fn hear(&mut self) -> Result<Frame, SourceError> {
        let frame = self.receive().await?;
        self.heard = Instant::now();
        self.asked = None;
        let frame = Frame::decode(frame).map_err(|error| self.malformed(error))?;
        self.is_told |= frame == Frame::Told;
        Ok(frame)
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), SourceError> {
        self.line.send(frame).await.map_err(|error| SourceError::disconnected(&self.server, &error))
    }

    async fn receive(&mut self) -> Result<BytesMut, SourceError> {
        let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed");
        let frame = self.line.next().await.unwrap_or_else(|| Err(closed()));
        frame.map_err(|error| match error.get_ref() {
            Some(too_long) if too_long.is::<LengthDelimitedCodecError>() => {
                self.failed(Cause::text("it sends a frame that is too long"))
            }
            _ => SourceError::disconnected(&self.server, &error),
        })
    }

    /// What the server's answer means where none of its kind is expected.
    pub(crate) fn refused(&self, refusal: Refusal) -> SourceError {
        let (server, cause) = (self.server.clone(), Cause::from(refusal));
        match refusal {
            Refusal::NotPermitted | Refusal::NotLoggedIn => SourceError::Denied { server, cause },
            _ => SourceError::Failed { server, cause },
        }
    }

    pub(crate) fn malformed(&self, error: Malformed) -> SourceError {
        self.failed(Cause::from(error))
    }

    fn failed(&self, cause: Cause) -> SourceError {
        SourceError::Failed { server: self.server.clone(), cause }
    }
}

impl Drop for Session {
    /// Ends the session on the server, if the farewell can be sent at once; else the server ends it when it is silent for
    /// too long.
    fn drop(&mut self) {
        let farewell = Operation::Close.encode(self.last_id.wrapping_add(1));
        // One that is lost is the server's to miss.
        let _ = self.send(farewell).now_or_never();
    }
}
