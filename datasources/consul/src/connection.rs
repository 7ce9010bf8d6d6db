use std::{fmt, future::pending, mem, num::NonZeroU64, time::Duration};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, try_join_all},
    stream::FuturesUnordered,
};
use sentinel_datasource::{Connection, Content, Key, Reading, SourceError};
use sentinel_http::client::Url;
use tokio::time::{Instant, sleep};

use crate::agent::{Agent, Answer};

/// Before an agent is asked again that has told of a change where there is none: while a key is missing, each write to
/// any other one may be told.
const PAUSE: Duration = Duration::from_millis(250);

/// Has the agent tell of each key when it changes. Made by [`ConsulSource`](crate::ConsulSource).
pub struct ConsulConnection {
    agent: Agent,
    keys: Vec<Watched>,
    /// For each key that was read, the question whether it has changed.
    queries: FuturesUnordered<Query>,
    told: Told,
}

type Query = BoxFuture<'static, (usize, Result<Answer, SourceError>)>;

/// A key, and what it held when it was last heard of.
struct Watched {
    key: Key,
    url: Url,
    latest: Option<Answer>,
    /// What the question about it names, and since when there is one.
    index: Option<NonZeroU64>,
    asked: Instant,
}

/// What answers have told since the last reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    /// Nothing: there was none.
    #[default]
    Nothing,
    /// That all is as it was.
    Same,
    /// That something is new.
    News,
}

impl ConsulConnection {
    pub(crate) fn new(agent: Agent, keys: impl IntoIterator<Item = Key>) -> Result<Self, SourceError> {
        let watched = |key: Key| {
            let url = agent.url(&key.name)?;
            Ok(Watched { key, url, latest: None, index: None, asked: Instant::now() })
        };
        let keys = keys.into_iter().map(watched).collect::<Result<_, SourceError>>()?;
        Ok(Self { agent, keys, queries: FuturesUnordered::new(), told: Told::Nothing })
    }

    /// Reads all keys as they are now.
    async fn read_all(&mut self) -> Result<(), SourceError> {
        // What they would answer may be older than what is read now.
        self.queries.clear();
        let reading = self.keys.iter().map(|watched| self.agent.get(&watched.key, &watched.url, None));
        let answers = try_join_all(reading).await?;
        for (at, answer) in answers.into_iter().enumerate() {
            // A new beginning, whatever was before.
            (self.keys[at].latest, self.keys[at].index) = (None, None);
            self.hear(at, answer);
        }
        Ok(())
    }

    /// Takes up what a key holds, and asks for what it will.
    fn hear(&mut self, at: usize, answer: Answer) {
        let watched = &mut self.keys[at];
        let is_same = watched.latest.as_ref().is_some_and(|latest| answer.is_as(latest));
        if !is_same || self.told == Told::Nothing {
            self.told = if is_same { Told::Same } else { Told::News };
        }
        let is_early = is_same && watched.asked.elapsed() < self.agent.wait / 2;
        let pause = if is_early { PAUSE } else { Duration::ZERO };
        // When the store is put back, questions end early, and the index that they named may never be reached again.
        let is_doubtful = is_early && watched.index.is_some();
        let index = if is_doubtful { None } else { answer.next_index(watched.index) };
        watched.latest = Some(answer);
        (watched.index, watched.asked) = (index, Instant::now() + pause);
        let (agent, key, url) = (self.agent.clone(), watched.key.clone(), watched.url.clone());
        self.queries.push(Box::pin(async move {
            sleep(pause).await;
            (at, agent.get(&key, &url, index).await)
        }));
    }

    fn content(&self) -> Content {
        let answers = || self.keys.iter().filter_map(|watched| watched.latest.as_ref());
        let content = Content::new(answers().map(|answer| answer.document.clone()));
        let indexes: Vec<_> =
            answers().filter(|answer| !answer.is_missing()).map(|answer| answer.index.to_string()).collect();
        if indexes.is_empty() { content } else { content.revision(indexes.join(", ")) }
    }
}

impl Connection for ConsulConnection {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        if self.told == Told::Nothing {
            self.read_all().await?;
        }
        // What came meanwhile is in force with it.
        while let Some(Some((at, answer))) = self.queries.next().now_or_never() {
            self.hear(at, answer?);
        }
        Ok(match mem::take(&mut self.told) {
            Told::Same => Reading::Unchanged,
            Told::News | Told::Nothing => self.content().into(),
        })
    }

    /// Also when there is no change for as long as the agent waits: then it is there, and that is worth knowing.
    async fn changed(&mut self) -> Result<(), SourceError> {
        // Before anything was read, there is nothing to wait for.
        let Some((at, answer)) = self.queries.next().await else { return pending().await };
        self.hear(at, answer?);
        Ok(())
    }
}

impl fmt::Debug for ConsulConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(|watched| &watched.key.name).collect();
        f.debug_struct("ConsulConnection").field("server", &self.agent.client.server()).field("keys", &keys).finish()
    }
}
