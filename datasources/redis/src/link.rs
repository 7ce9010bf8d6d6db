//! One connection to a server.

use std::{
    io,
    pin::{Pin, pin},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError,
    RedisResult,
    aio::{MultiplexedConnection, SendError},
};
use sentinel_datasource::{Fault, Line, SourceError, secrecy::ExposeSecret as _};
use tokio::time::timeout;

use crate::{
    RedisSource,
    error::{failure, first_failure, is_answer},
};

/// How soon a server has to answer when all it is asked is whether it is there.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// A connection that belongs to whoever waits for its answers: there is no task behind it, and what drops it ends it.
pub(crate) struct Link {
    pub(crate) server: String,
    fault: Fault,
    requests: MultiplexedConnection,
    /// What moves bytes while it is waited for; nothing once that has ended.
    driver: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Link {
    /// Connects and logs in, with the secrets and certificates as they are now. What the server says unasked is told.
    pub(crate) async fn open(
        source: &RedisSource,
        told: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<Self, SourceError> {
        let server = source.server();
        let login = login(source)?;
        let address = source.address.as_ref().map_err(SourceError::clone)?;
        let line = Line::open(&server, address, source.tls.as_ref(), &[]).await?;
        let fault = line.fault();
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_push_sender(move |push| {
            told(push);
            Ok::<(), SendError>(())
        });
        let (requests, driver) = MultiplexedConnection::new_with_config(&login, line, config)
            .await
            .map_err(|error| first_failure(&server, &fault, error))?;
        Ok(Self { server, fault, requests, driver: Some(Box::pin(driver)) })
    }

    /// Asks for something.
    pub(crate) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        let Self { requests, driver, .. } = self;
        attend(driver, command.query_async(requests)).await
    }

    /// Asks to be told of messages to these channels.
    pub(crate) async fn subscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        let Self { requests, driver, .. } = self;
        attend(driver, requests.subscribe(channels)).await
    }

    /// Hears what the server says, until it says no more.
    pub(crate) async fn listen(&mut self) -> SourceError {
        drive(&mut self.driver).await;
        let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed");
        SourceError::disconnected(&self.server, self.fault.or(&closed))
    }

    /// What came of a request.
    pub(crate) fn failed(&self, error: RedisError) -> SourceError {
        failure(&self.server, &self.fault, error)
    }

    /// Sees whether the server is there.
    pub(crate) async fn check(&mut self) -> Result<(), SourceError> {
        let answer = timeout(ANSWER_TIME, self.ask::<redis::Value>(&redis::cmd("PING"))).await;
        match answer.map_err(|_| SourceError::TimedOut { doing: "an answer to a ping", after: ANSWER_TIME })? {
            // An answer is an answer, also where the user may not ask.
            Err(error) if !is_answer(&error) => Err(self.failed(error)),
            _ => Ok(()),
        }
    }
}

/// Moves bytes until there is an answer.
async fn attend<T>(
    driver: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    request: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let mut request = pin!(request);
    tokio::select! {
        biased;
        answer = &mut request => return answer,
        () = drive(driver) => {}
    }
    // It has got what it will get: an answer, or the reason why there is none.
    request.await
}

async fn drive(driver: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    if let Some(running) = driver {
        running.await;
    }
    *driver = None;
}

fn login(source: &RedisSource) -> Result<RedisConnectionInfo, SourceError> {
    let mut login = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(source.database.into())
        .set_skip_set_lib_name();
    if let Some(user) = &source.user {
        login = login.set_username(user);
    }
    if let Some(password) = &source.password {
        login = login.set_password(password.reveal()?.expose_secret());
    }
    Ok(login)
}
