use std::{collections::HashMap, error::Error, fmt, future::ready, io, pin::pin, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _, stream::BoxStream};
use http::{
    Uri,
    uri::{InvalidUri, PathAndQuery},
};
use hyper_util::rt::TokioIo;
use sentinel_datasource::{
    Address, Cause, Fault, Line, SourceError,
    secrecy::{ExposeSecret as _, SecretString},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Response, Status,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::{
    access::Access,
    login::Account,
    protocol::{Answer, HealthCheck, Message, PUSHES, Payload, Push, REQUEST, ServerCheck, Setup, Verdict},
};

/// Answers to the server that wait to be sent. It asks little, and one that hears nothing is as good as gone.
const ANSWERS: usize = 64;

/// Between two questions whether the server knows the connection by now.
const REGISTRATION_INTERVAL: Duration = Duration::from_millis(20);

/// What a message has beside the text of a document.
const FRAME: usize = 64 << 10;

/// A connection to a server, on which both sides ask.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) caller: Caller,
    pub(crate) pushes: Pushes,
    session: Option<Session>,
}

/// Who is logged in, and until when.
#[derive(Debug)]
struct Session {
    account: Account,
    renew_at: Instant,
}

/// Where the client asks.
pub(crate) struct Caller {
    peer: Peer,
    grpc: Grpc<Channel>,
    token: Option<SecretString>,
}

/// Where the server asks.
pub(crate) struct Pushes {
    peer: Peer,
    incoming: BoxStream<'static, Result<Payload, Status>>,
    answers: mpsc::Sender<Payload>,
}

/// What both have to know of the connection.
#[derive(Clone, Debug)]
struct Peer {
    server: Address,
    /// The address of this side.
    client_ip: String,
    fault: Fault,
}

impl Client {
    /// Connects, logs in, and registers the connection, so that the server pushes to it.
    pub(crate) async fn connect(server: &Address, access: &Access, max_size: usize) -> Result<Self, SourceError> {
        let account = access.account(server)?;
        let token = match &account {
            Some(account) => Some(account.log_in().await?),
            None => None,
        };
        let (secret, renew_at) = token.map(|token| (token.secret, token.renew_at)).unzip();
        let session = account.zip(renew_at).map(|(account, renew_at)| Session { account, renew_at });

        let server = access.grpc_server(server)?;
        let (channel, peer) = channel(server, access).await?;
        // Twice, as each character may need a backslash.
        let limit = max_size.saturating_mul(2).saturating_add(FRAME);
        let grpc = Grpc::new(channel).max_decoding_message_size(limit);
        let caller = Caller { peer, grpc, token: secret };
        caller.succeed(caller.ask(&ServerCheck {}).await?)?;
        let mut pushes = caller.pushes();
        register(&caller, &mut pushes, &access.namespace).await?;
        Ok(Self { caller, pushes, session })
    }

    /// Logs in anew when it is time to.
    pub(crate) async fn renew(&mut self) -> Result<(), SourceError> {
        if let Some(session) = &mut self.session
            && session.renew_at <= Instant::now()
        {
            let token = session.account.log_in().await?;
            session.renew_at = token.renew_at;
            self.caller.token = Some(token.secret);
        }
        Ok(())
    }
}

/// Makes the connection known to the server, and waits until it is.
async fn register(caller: &Caller, pushes: &mut Pushes, namespace: &str) -> Result<(), SourceError> {
    let setup = Setup {
        client_version: concat!("sentinel-kit:", env!("CARGO_PKG_VERSION")),
        tenant: namespace,
        labels: HashMap::from([("source", "sdk"), ("module", "config")]),
    };
    let setup = Payload::new(&setup, &caller.peer.client_ip, HashMap::new());
    pushes.say(setup.map_err(|error| caller.peer.garbled(error))?)?;
    let registered = async {
        loop {
            let answer = caller.ask(&HealthCheck {}).await?;
            if answer.verdict() != Verdict::Unregistered {
                return caller.succeed(answer).map(drop);
            }
            sleep(REGISTRATION_INTERVAL).await;
        }
    };
    let mut registered = pin!(registered);
    loop {
        tokio::select! {
            outcome = &mut registered => return outcome,
            // Only while somebody listens does the message go out.
            push = pushes.next() => drop(push?),
        }
    }
}

/// A channel over one connection: when that has broken, so has the channel.
async fn channel(server: Address, access: &Access) -> Result<(Channel, Peer), SourceError> {
    let line = Line::open(&server.to_string(), &server, access.tls.as_ref(), &["h2"]).await?;
    let scheme = if access.tls.is_some() { "https" } else { "http" };
    let invalid = |error: InvalidUri| SourceError::Setting { setting: "the server's address", cause: error.into() };
    let origin: Uri = format!("{scheme}://{server}").parse().map_err(invalid)?;
    let peer = Peer { server, client_ip: line.local_ip().to_string(), fault: line.fault() };
    let mut line = Some(TokioIo::new(line));
    let once = service_fn(move |_| {
        ready(line.take().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the connection has broken")))
    });
    // No keep-alive of HTTP/2: official servers end connections with more than one ping in five minutes.
    let endpoint = Endpoint::from(origin.clone()).origin(origin);
    let channel = endpoint.connect_with_connector(once).await.map_err(|error| peer.broken(&error))?;
    Ok((channel, peer))
}

impl Caller {
    /// Asks the server; what it answers may be a refusal.
    pub(crate) async fn ask<M: Message>(&self, message: &M) -> Result<Answer, SourceError> {
        let token = self.token.as_ref().map(|token| ("accessToken".to_owned(), token.expose_secret().to_owned()));
        let payload = Payload::new(message, &self.peer.client_ip, token.into_iter().collect());
        let payload = payload.map_err(|error| self.peer.garbled(error))?;
        match self.call(payload).await {
            Ok(answer) => answer.answer().map_err(|error| self.peer.garbled(error)),
            Err(status) if status.code() == Code::OutOfRange => Ok(Answer::too_long(status.message())),
            Err(status) => Err(self.peer.failed(&status)),
        }
    }

    async fn call(&self, payload: Payload) -> Result<Payload, Status> {
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let codec = ProstCodec::default();
        let path = PathAndQuery::from_static(REQUEST);
        grpc.unary(Request::new(payload), path, codec).await.map(Response::into_inner)
    }

    /// What a refusal is in our words.
    pub(crate) fn succeed(&self, answer: Answer) -> Result<Answer, SourceError> {
        let (server, cause) = (self.peer.server.to_string(), Cause::text(answer.words()));
        match answer.verdict() {
            Verdict::Success => Ok(answer),
            Verdict::Denied => Err(SourceError::Denied { server, cause }),
            _ => Err(SourceError::Failed { server, cause }),
        }
    }

    fn pushes(&self) -> Pushes {
        let (answers, outgoing) = mpsc::channel(ANSWERS);
        let mut grpc = self.grpc.clone();
        let opening = async move {
            grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
            let outgoing = Request::new(ReceiverStream::new(outgoing));
            let path = PathAndQuery::from_static(PUSHES);
            grpc.streaming(outgoing, path, ProstCodec::default()).await.map(Response::into_inner)
        };
        // Some servers open their side with the first push, which may be long in coming: so nobody waits for that here.
        let incoming = opening.try_flatten_stream().boxed();
        Pushes { peer: self.peer.clone(), incoming, answers }
    }
}

impl Pushes {
    /// The next thing that the server wants. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Push, SourceError> {
        // Not before there is room for the answer; where nobody takes answers any more, what comes next says why.
        let room = self.answers.reserve().await.ok();
        let next = self.incoming.next().await;
        drop(room);
        self.hear(next)
    }

    /// Hears all that was said until now.
    pub(crate) fn catch_up(&mut self) -> Result<(), SourceError> {
        while let Some(push) = self.next().now_or_never() {
            push?;
        }
        Ok(())
    }

    fn hear(&mut self, next: Option<Result<Payload, Status>>) -> Result<Push, SourceError> {
        let payload = match next {
            Some(Ok(payload)) => payload,
            Some(Err(status)) => return Err(self.peer.failed(&status)),
            None => {
                let cause = Cause::text("it has ended the connection");
                return Err(SourceError::Unreachable { server: self.peer.server.to_string(), cause });
            }
        };
        let (push, heard) = payload.push(&self.peer.client_ip).map_err(|error| self.peer.garbled(error))?;
        if let Some(heard) = heard {
            self.say(heard)?;
        }
        match push {
            Push::Leave => {
                let cause = Cause::text("it sends its clients to other servers");
                Err(SourceError::Unreachable { server: self.peer.server.to_string(), cause })
            }
            Push::Changed | Push::Other => Ok(push),
        }
    }

    fn say(&self, payload: Payload) -> Result<(), SourceError> {
        self.answers.try_send(payload).map_err(|_| {
            let cause = Cause::text("it does not take what it has asked for");
            SourceError::Unreachable { server: self.peer.server.to_string(), cause }
        })
    }
}

impl Peer {
    /// What a call came to that has no answer.
    fn failed(&self, status: &Status) -> SourceError {
        let server = self.server.to_string();
        match (status.code(), status.source()) {
            (_, Some(error)) => self.broken(error),
            (Code::PermissionDenied | Code::Unauthenticated, None) => {
                SourceError::Denied { server, cause: words(status) }
            }
            (_, None) => SourceError::Unreachable { server, cause: words(status) },
        }
    }

    /// Why there is no connection any more, as near to the cause as it is known.
    fn broken(&self, error: &(dyn Error + 'static)) -> SourceError {
        SourceError::disconnected(self.server.to_string(), self.fault.or(error))
    }

    /// What a message is that is none.
    fn garbled(&self, error: serde_json::Error) -> SourceError {
        SourceError::Failed { server: self.server.to_string(), cause: error.into() }
    }
}

fn words(status: &Status) -> Cause {
    Cause::text(if status.message().is_empty() { status.code().description() } else { status.message() })
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushes").field("peer", &self.peer).finish_non_exhaustive()
    }
}
