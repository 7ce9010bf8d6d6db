use std::{collections::HashMap, time::Duration};

use md5::{Digest as _, Md5};
use sentinel_core::{Format, Rules};
use sentinel_datasource::{Condition, Key, Publish, PublishError, within};

use crate::{
    NacosSource,
    client::Caller,
    protocol::{Verdict, Write},
};

/// How long a server may take for what is asked of it, connecting included.
const LIMIT: Duration = Duration::from_secs(5);

/// No checksum, so none that a data id has: with this condition it is only made, never overwritten.
const NO_CHECKSUM: &str = "absent";

/// The revision of a data id is its checksum, which is the MD5 of the text.
///
/// A condition is looked at twice: here, where a moment passes until the write, and by the server, where none does. A
/// server that knows of no conditions (rnacos is one) overwrites what is written within that moment.
impl Publish for NacosSource {
    async fn publish(
        &mut self,
        key: &str,
        rules: &Rules,
        condition: Condition,
    ) -> Result<Option<String>, PublishError> {
        let key = self.find(key)?;
        let invalid = |error| PublishError::Document { key: key.name.clone(), error };
        let text = rules.encode(&key.encoding).map_err(invalid)?;
        within(LIMIT, "publishing", self.write(&key, &text, &condition)).await?;
        Ok(Some(checksum(&text)))
    }

    async fn revision(&mut self, key: &str) -> Result<Option<String>, PublishError> {
        let key = self.find(key)?;
        within(LIMIT, "reading", async {
            let client = self.client().await?;
            self.checksum(&client.caller, &key).await
        })
        .await
    }
}

impl NacosSource {
    fn find(&self, name: &str) -> Result<Key, PublishError> {
        let found = self.keys.iter().find(|key| key.name == name).cloned();
        let mut key = found.ok_or_else(|| PublishError::UnknownKey { key: name.to_owned() })?;
        key.encoding.format = key.encoding.format.or_else(|| Format::from_path(name));
        Ok(key)
    }

    async fn write(&mut self, key: &Key, text: &str, condition: &Condition) -> Result<(), PublishError> {
        let client = self.client().await?;
        let caller = &client.caller;
        let conflict = || PublishError::Conflict { key: key.name.clone() };
        if !self.is_met(condition, caller, key).await? {
            return Err(conflict());
        }
        let write = Write {
            data_id: &key.name,
            group: &self.group,
            tenant: &self.access.namespace,
            content: text,
            cas_md5: match condition {
                Condition::Absent => Some(NO_CHECKSUM),
                Condition::Revision(checksum) => Some(checksum),
                _ => None,
            },
            addition_map: HashMap::from([("type", kind(key))]),
        };
        let answer = caller.ask(&write).await?;
        // Servers have no code of their own for a conflict.
        if answer.verdict() == Verdict::Failed && !self.is_met(condition, caller, key).await? {
            return Err(conflict());
        }
        caller.succeed(answer)?;
        Ok(())
    }

    async fn is_met(&self, condition: &Condition, caller: &Caller, key: &Key) -> Result<bool, PublishError> {
        let wanted = match condition {
            Condition::Absent => None,
            Condition::Revision(checksum) => Some(checksum),
            _ => return Ok(true),
        };
        Ok(self.checksum(caller, key).await?.as_ref() == wanted)
    }

    async fn checksum(&self, caller: &Caller, key: &Key) -> Result<Option<String>, PublishError> {
        let found = self.query(caller, key).await?;
        Ok(Some(found.checksum).filter(|checksum| !checksum.is_empty()))
    }
}

fn checksum(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the console of the server shows the text as.
fn kind(key: &Key) -> &'static str {
    match key.encoding.format {
        Some(Format::Yaml) => "yaml",
        Some(Format::Toml) => "toml",
        _ => "json",
    }
}
