use std::{fmt, sync::Arc, time::Duration};

use redis::{FromRedisValue, PushInfo, PushKind, RedisError, cmd};
use ring::digest::{SHA256, digest};
use sentinel_datasource::{Cause, Connection, Content, Document, Key, Payload, Reading, SourceError};
use tokio::{sync::Notify, time::sleep};

use crate::{
    RedisSource,
    error::{is_answer, is_no_text},
    link::Link,
};

/// How long a server may be silent until it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(2);

/// A connection to Redis over which keys are read and changes are told.
pub struct RedisConnection {
    link: Link,
    keys: Vec<Key>,
    max_size: usize,
    told: Arc<Notify>,
    notice: Notice,
}

/// How changes are noticed.
enum Notice {
    /// The server tells of each.
    Told,
    /// The keys are read again and again, since the server will not tell.
    Polled { interval: Duration, reason: RedisError },
}

impl RedisConnection {
    pub(crate) async fn open(source: &RedisSource) -> Result<Self, SourceError> {
        let told = Arc::<Notify>::default();
        let bell = Arc::clone(&told);
        let mut link = Link::open(source, move |push: PushInfo| {
            if matches!(push.kind, PushKind::Invalidate | PushKind::Message) {
                bell.notify_one();
            }
        })
        .await?;
        let notice = match link.ask(cmd("CLIENT").arg("TRACKING").arg("ON")).await {
            Ok(()) => Notice::Told,
            Err(reason) if is_answer(&reason) => {
                let interval = source.poll_interval;
                hear_of_events(&mut link, source).await?;
                Notice::Polled { interval, reason }
            }
            Err(error) => return Err(link.failed(error)),
        };
        if let Some(channel) = &source.channel {
            link.subscribe(std::slice::from_ref(channel)).await.map_err(|error| link.failed(error))?;
        }
        Ok(Self { link, keys: source.keys.clone(), max_size: source.max_size, told, notice })
    }

    async fn document(&mut self, key: &Key) -> Result<Document, SourceError> {
        let (name, max) = (&key.name, self.max_size as u64);
        let size: u64 = match self.ask_for("STRLEN", name).await? {
            Ok(size) => size,
            Err(unreadable) => return Ok(Document::unusable(name, unreadable)),
        };
        if size > max {
            return Ok(Document::unusable(name, SourceError::TooLarge { key: name.clone(), size, max }));
        }
        Ok(match self.ask_for::<Option<Vec<u8>>>("GET", name).await? {
            Ok(Some(bytes)) => Document::new(name, bytes, key.encoding.clone()),
            Ok(None) => Document::missing(name),
            Err(unreadable) => Document::unusable(name, unreadable),
        })
    }

    /// Asks for something about a key; the inner error is about the key alone.
    async fn ask_for<T: FromRedisValue>(
        &mut self,
        command: &str,
        key: &str,
    ) -> Result<Result<T, SourceError>, SourceError> {
        match self.link.ask(cmd(command).arg(key)).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) if is_no_text(&error) => {
                Ok(Err(SourceError::Unreadable { key: key.to_owned(), cause: Cause::from(error) }))
            }
            Err(error) => Err(self.link.failed(error)),
        }
    }
}

/// Asks for the events of the keys. Whether the server is set up to send any is not told, so they only make it sooner.
async fn hear_of_events(link: &mut Link, source: &RedisSource) -> Result<(), SourceError> {
    let channel = |key: &Key| format!("__keyspace@{}__:{}", source.database, key.name);
    let channels: Vec<_> = source.keys.iter().map(channel).collect();
    match link.subscribe(&channels).await {
        Err(error) if !is_answer(&error) => Err(link.failed(error)),
        _ => Ok(()),
    }
}

impl Connection for RedisConnection {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        let mut documents = Vec::with_capacity(self.keys.len());
        for key in self.keys.clone() {
            documents.push(self.document(&key).await?);
        }
        let revisions: Vec<_> = documents.iter().map(|document| revision_of(&document.payload)).collect();
        Ok(Content::new(documents).revision(revisions.join(",")).into())
    }

    async fn changed(&mut self) -> Result<(), SourceError> {
        let pause = match &self.notice {
            Notice::Told => SILENCE,
            Notice::Polled { interval, .. } => *interval,
        };
        loop {
            tokio::select! {
                () = self.told.notified() => return Ok(()),
                error = self.link.listen() => return Err(error),
                () = sleep(pause) => {}
            }
            match self.notice {
                Notice::Told => self.link.check().await?,
                Notice::Polled { .. } => return Ok(()),
            }
        }
    }

    fn remark(&self) -> Option<String> {
        Some(match &self.notice {
            Notice::Told => "the server tells of changes".to_owned(),
            Notice::Polled { interval, reason } => {
                let interval = interval.as_millis();
                format!("the keys are read every {interval} ms, or sooner where the server sends events: {reason}")
            }
        })
    }
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnection").field("server", &self.link.server).finish_non_exhaustive()
    }
}

fn revision_of(payload: &Payload) -> String {
    match payload {
        Payload::Text { bytes, .. } => revision(bytes),
        _ => "-".to_owned(),
    }
}

/// What tells one value from another, since the server has no revisions.
pub(crate) fn revision(value: &[u8]) -> String {
    digest(&SHA256, value).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
