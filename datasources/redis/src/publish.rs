use std::time::Duration;

use redis::{Cmd, FromRedisValue, cmd};
use sentinel_core::Rules;
use sentinel_datasource::{Condition, Publish, PublishError, SourceError, within};

use crate::{RedisSource, connection::revision, link::Link};

/// Longer, nobody waits for a write.
const LIMIT: Duration = Duration::from_secs(5);

impl Publish for RedisSource {
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
        within(LIMIT, "publishing", self.write(key, &document, condition)).await?;
        Ok(Some(revision(document.as_bytes())))
    }

    async fn revision(&mut self, key: &str) -> Result<Option<String>, PublishError> {
        if !self.keys.iter().any(|known| known.name == key) {
            return Err(PublishError::UnknownKey { key: key.to_owned() });
        }
        within(LIMIT, "asking for a revision", async {
            let mut link = self.link().await?;
            Ok(held(&mut link, key).await?.map(|value| revision(&value)))
        })
        .await
    }
}

impl RedisSource {
    /// A connection of its own, for one write or question.
    async fn link(&self) -> Result<Link, SourceError> {
        Link::open(self, |_| {}).await
    }

    /// Writes the key and tells the channel, both or neither.
    async fn write(&self, key: &str, document: &str, condition: Condition) -> Result<(), PublishError> {
        let mut link = self.link().await?;
        let conflict = || PublishError::Conflict { key: key.to_owned() };
        if condition != Condition::Always {
            // From here on, a change by others stops the write.
            ask::<()>(&mut link, cmd("WATCH").arg(key)).await?;
            let revision = held(&mut link, key).await?.map(|value| revision(&value));
            let is_met = match condition {
                Condition::Absent => revision.is_none(),
                Condition::Revision(expected) => revision.as_ref() == Some(&expected),
                _ => return Err(PublishError::Unconditional { server: link.server }),
            };
            if !is_met {
                return Err(conflict());
            }
        }
        // One after the other, so that nothing is written where one of them is refused.
        ask::<()>(&mut link, &cmd("MULTI")).await?;
        ask::<()>(&mut link, cmd("SET").arg(key).arg(document)).await?;
        if let Some(channel) = &self.channel {
            ask::<()>(&mut link, cmd("PUBLISH").arg(channel).arg(document)).await?;
        }
        let done: Option<Vec<redis::Value>> = ask(&mut link, &cmd("EXEC")).await?;
        done.map(drop).ok_or_else(conflict)
    }
}

async fn held(link: &mut Link, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
    ask(link, cmd("GET").arg(key)).await
}

async fn ask<T: FromRedisValue>(link: &mut Link, command: &Cmd) -> Result<T, SourceError> {
    link.ask(command).await.map_err(|error| link.failed(error))
}
