use std::time::Duration;

use bytes::BytesMut;
use sentinel_core::Rules;
use sentinel_datasource::{Condition, Publish, PublishError, SourceError, within};

use crate::{
    ZooKeeperSource,
    connection::stat,
    protocol::{ANY_VERSION, Operation, Refusal, Stat, take_bytes},
    session::Session,
};

/// Longer, nobody waits for a write.
const LIMIT: Duration = Duration::from_secs(5);

impl Publish for ZooKeeperSource {
    async fn publish(
        &mut self,
        key: &str,
        rules: &Rules,
        condition: Condition,
    ) -> Result<Option<String>, PublishError> {
        let Some(known) = self.keys.iter().find(|known| known.name == key) else {
            return Err(PublishError::UnknownKey { key: key.to_owned() });
        };
        let document =
            rules.encode(&known.encoding).map_err(|error| PublishError::Document { key: key.to_owned(), error })?;
        let is_private = self.user.is_some() || self.tls.as_ref().is_some_and(|tls| tls.identity.is_some());
        within(LIMIT, "publishing", async {
            let mut node = Node { session: Session::open(self).await?, path: key, is_private };
            let stat = match condition {
                Condition::Always => node.set_or_create(document.as_bytes()).await?,
                Condition::Absent => node.create_with_ancestors(document.as_bytes()).await?,
                Condition::Revision(expected) => match stat(&mut node.session, key).await? {
                    Some(stat) if stat.revision() == expected => node.set(document.as_bytes(), stat.version).await?,
                    _ => None,
                },
                _ => return Err(PublishError::Unconditional { server: node.session.server.clone() }),
            };
            let stat = stat.ok_or_else(|| PublishError::Conflict { key: key.to_owned() })?;
            Ok(Some(stat.revision()))
        })
        .await
    }

    async fn revision(&mut self, key: &str) -> Result<Option<String>, PublishError> {
        if !self.keys.iter().any(|known| known.name == key) {
            return Err(PublishError::UnknownKey { key: key.to_owned() });
        }
        within(LIMIT, "asking for a revision", async {
            let mut session = Session::open(self).await?;
            Ok(stat(&mut session, key).await?.map(|stat| stat.revision()))
        })
        .await
    }
}

/// A node that is written.
struct Node<'a> {
    session: Session,
    path: &'a str,
    /// Whether a node that is made is for the user alone.
    is_private: bool,
}

impl Node<'_> {
    async fn set_or_create(&mut self, data: &[u8]) -> Result<Option<Stat>, SourceError> {
        loop {
            // Others may delete it and make it again meanwhile.
            if let Some(stat) = self.set(data, ANY_VERSION).await? {
                return Ok(Some(stat));
            }
            if let Some(stat) = self.create_with_ancestors(data).await? {
                return Ok(Some(stat));
            }
        }
    }

    /// Writes the node, unless there is none or it has another version.
    async fn set(&mut self, data: &[u8], version: i32) -> Result<Option<Stat>, SourceError> {
        match self.session.ask(Operation::SetData { path: self.path, data, version }).await? {
            Ok(mut answer) => self.stat(&mut answer).map(Some),
            Err(Refusal::NoNode | Refusal::OtherVersion) => Ok(None),
            Err(refusal) => Err(self.session.refused(refusal)),
        }
    }

    /// Makes the node and those above it, unless there is one.
    async fn create_with_ancestors(&mut self, data: &[u8]) -> Result<Option<Stat>, SourceError> {
        let path = self.path;
        match self.create(path, data).await? {
            Err(Refusal::NoNode) => {}
            outcome => return self.created(outcome),
        }
        for (end, _) in path.match_indices('/').skip(1) {
            let outcome = self.create(&path[..end], &[]).await?;
            self.created(outcome)?;
        }
        let outcome = self.create(path, data).await?;
        self.created(outcome)
    }

    async fn create(&mut self, path: &str, data: &[u8]) -> Result<Result<BytesMut, Refusal>, SourceError> {
        self.session.ask(Operation::Create { path, data, is_private: self.is_private }).await
    }

    fn created(&self, outcome: Result<BytesMut, Refusal>) -> Result<Option<Stat>, SourceError> {
        match outcome {
            Ok(mut answer) => {
                take_bytes(&mut answer).map_err(|error| self.session.malformed(error))?;
                self.stat(&mut answer).map(Some)
            }
            Err(Refusal::NodeExists) => Ok(None),
            Err(refusal) => Err(self.session.refused(refusal)),
        }
    }

    fn stat(&self, answer: &mut BytesMut) -> Result<Stat, SourceError> {
        Stat::take(answer).map_err(|error| self.session.malformed(error))
    }
}
