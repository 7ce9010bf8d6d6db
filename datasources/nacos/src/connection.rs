use std::fmt;

use futures_util::future::try_join_all;
use sentinel_datasource::{Cause, Connection, Content, Document, Key, Payload, Reading, SourceError};

use crate::{
    NacosSource,
    client::{Caller, Client},
    protocol::{Listen, Listened, Push, Query, Verdict},
};

/// A connection to one server, on which it tells of changes.
pub struct NacosConnection {
    client: Client,
    source: NacosSource,
    /// The checksums of what was last read, which are the server's; empty for what could not be had.
    checksums: Vec<String>,
    was_read: bool,
}

/// What a data id holds.
#[derive(Debug)]
pub(crate) struct Found {
    /// Empty where there is nothing, or nothing that can be had.
    pub(crate) checksum: String,
    pub(crate) document: Document,
}

impl NacosConnection {
    pub(crate) fn new(client: Client, source: NacosSource) -> Self {
        Self { client, checksums: vec![String::new(); source.keys.len()], source, was_read: false }
    }
}

impl NacosSource {
    /// Listens to all data ids: whether any of them is another than these checksums say.
    async fn listen(&self, caller: &Caller, checksums: &[String]) -> Result<bool, SourceError> {
        let (group, tenant) = (&*self.group, &*self.access.namespace);
        let keys = self.keys.iter().zip(checksums);
        let listened = keys.map(|(key, md5)| Listened { data_id: &key.name, group, tenant, md5 }).collect();
        let answer = caller.ask(&Listen { listen: true, config_listen_contexts: listened }).await?;
        let changed = caller.succeed(answer)?.changed_configs;
        Ok(changed.is_some_and(|changed| !changed.is_empty()))
    }

    /// Reads one data id.
    pub(crate) async fn query(&self, caller: &Caller, key: &Key) -> Result<Found, SourceError> {
        let name = key.name.clone();
        let unusable = |cause| {
            let error = SourceError::Unreadable { key: key.name.clone(), cause: Cause::text(cause) };
            Found { checksum: String::new(), document: Document::unusable(&key.name, error) }
        };
        let query = Query { data_id: &name, group: &self.group, tenant: &self.access.namespace };
        let answer = caller.ask(&query).await?;
        match answer.verdict() {
            Verdict::NotFound => return Ok(Found { checksum: String::new(), document: Document::missing(name) }),
            // When it has been written, that is a change, and told.
            Verdict::BeingWritten | Verdict::TooLong => return Ok(unusable(answer.words())),
            _ => {}
        }
        let answer = caller.succeed(answer)?;
        if answer.encrypted_data_key.is_some_and(|key| !key.is_empty()) {
            return Ok(unusable("it is encrypted by a plugin".to_owned()));
        }
        let content = answer.content.unwrap_or_default();
        let document = Document::new(name, content, key.encoding.clone());
        Ok(Found { checksum: answer.md5.unwrap_or_default(), document })
    }
}

impl Connection for NacosConnection {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        // What was told until now is in what is read from now on.
        self.client.pushes.catch_up()?;
        self.client.renew().await?;
        let (source, caller) = (&self.source, &self.client.caller);
        if !source.listen(caller, &self.checksums).await? && self.was_read {
            return Ok(Reading::Unchanged);
        }
        let found = try_join_all(source.keys.iter().map(|key| source.query(caller, key))).await?;
        self.checksums = found.iter().map(|found| found.checksum.clone()).collect();
        self.was_read = true;
        let revision = revision(&found);
        let is_told = |found: &Found| source.dashboard.is_none() || !matches!(found.document.payload, Payload::Missing);
        let mut content = Content::new(found.into_iter().filter(is_told).map(|found| found.document));
        content.revision = revision;
        Ok(content.into())
    }

    async fn changed(&mut self) -> Result<(), SourceError> {
        while self.client.pushes.next().await? != Push::Changed {}
        Ok(())
    }
}

impl fmt::Debug for NacosConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NacosConnection").field("client", &self.client).finish_non_exhaustive()
    }
}

/// The checksum of the one data id, or the checksums of those that are there.
fn revision(found: &[Found]) -> Option<String> {
    if let [found] = found {
        return Some(found.checksum.clone()).filter(|checksum| !checksum.is_empty());
    }
    let there = found.iter().filter(|found| !found.checksum.is_empty());
    let all: Vec<_> = there.map(|found| format!("{}={}", found.document.key, found.checksum)).collect();
    Some(all.join(" ")).filter(|all| !all.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_names_the_checksums_of_what_is_there() {
        let found =
            |key: &str, checksum: &str| Found { checksum: checksum.to_owned(), document: Document::missing(key) };
        assert_eq!(revision(&[found("a", "1")]).as_deref(), Some("1"));
        assert_eq!(revision(&[found("a", "")]), None);
        assert_eq!(revision(&[found("a", "1"), found("b", ""), found("c", "3")]).as_deref(), Some("a=1 c=3"));
        assert_eq!(revision(&[found("a", ""), found("b", "")]), None);
    }
}
