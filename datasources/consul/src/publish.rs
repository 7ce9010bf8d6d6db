use std::num::NonZeroU64;

use sentinel_core::Rules;
use sentinel_datasource::{Condition, Key, Payload, Publish, PublishError};
use sentinel_http::client::{Method, StatusCode, Url};

use crate::{
    ConsulSource,
    agent::{Agent, Answer, MARGIN},
};

/// Writes are compared and set (`cas`) by the index of the key's last change, which is its revision.
impl Publish for ConsulSource {
    async fn publish(
        &mut self,
        key: &str,
        rules: &Rules,
        condition: Condition,
    ) -> Result<Option<String>, PublishError> {
        let (agent, key, url) = self.open(key)?;
        let invalid = |error| PublishError::Document { key: key.name.clone(), error };
        let text = rules.encode(&key.encoding).map_err(invalid)?;
        let conflict = || PublishError::Conflict { key: key.name.clone() };
        let index = match condition {
            Condition::Always => None,
            Condition::Absent => Some(0),
            // Nothing that a key could be at.
            Condition::Revision(revision) => Some(revision.parse::<NonZeroU64>().map_err(|_| conflict())?.get()),
            _ => return Err(PublishError::Unconditional { server: agent.client.server().to_owned() }),
        };
        let mut there = url.clone();
        if let Some(index) = index {
            there.query_pairs_mut().append_pair("cas", &index.to_string());
        }
        let request = agent.client.request(Method::PUT, there).body(text.clone()).timeout(MARGIN);
        let response = agent.client.send(request).await?;
        if response.status() != StatusCode::OK {
            return Err(agent.refused(&key.name, response).await.into());
        }
        if agent.client.words(response).await != "true" {
            return Err(conflict());
        }
        // Consul does not tell the new index; it is ours as long as the text is.
        let Answer { document, index } = agent.get(&key, &url, None).await?;
        let is_ours = matches!(document.payload, Payload::Text { bytes, .. } if bytes == text.as_bytes());
        Ok(is_ours.then(|| index.to_string()))
    }

    async fn revision(&mut self, key: &str) -> Result<Option<String>, PublishError> {
        let (agent, key, url) = self.open(key)?;
        let answer = agent.get(&key, &url, None).await?;
        Ok((!answer.is_missing()).then(|| answer.index.to_string()))
    }
}

impl ConsulSource {
    /// The agent, and a key of this source and where it is.
    fn open(&self, name: &str) -> Result<(Agent, Key, Url), PublishError> {
        let unknown = || PublishError::UnknownKey { key: name.to_owned() };
        let key = self.keys.iter().find(|key| key.name == name).ok_or_else(unknown)?;
        let agent = self.agent()?;
        let url = agent.url(name)?;
        Ok((agent, key.clone(), url))
    }
}
