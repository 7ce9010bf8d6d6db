use std::{collections::HashSet, fmt, sync::Arc};

use etcd_client::{Error, Event, GetOptions, KvClient, ResponseHeader, WatchOptions, WatchStream};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sentinel_core::Encoding;
use sentinel_datasource::{Cause, Connection, Content, Document, Key, Reading, SourceError};
use tonic::Code;

use crate::{
    error::{is_compacted, is_too_large, refused},
    link::Link,
    source::Selection,
};

/// Requests at the same time.
const REQUESTS: usize = 16;

/// What an answer holds beside a value.
const AROUND_VALUE: usize = 64 << 10;

/// Events come in messages of up to 2 MiB, where one alone is not larger.
const EVENTS: usize = 4 << 20;

/// A connection to one member of a cluster.
pub struct EtcdConnection {
    // Before the link, whose tasks carry it.
    watch: Option<WatchStream>,
    link: Link,
    selections: Arc<[Selection]>,
    max_size: usize,
    /// What was last read, and which revision of the store that was.
    seen: Option<(i64, Vec<Held>)>,
}

/// A key, and since when it holds what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    key: Vec<u8>,
    /// Nothing when it holds nothing.
    since: Option<i64>,
    encoding: Encoding,
}

impl Held {
    /// What it is called among documents.
    fn name(&self) -> String {
        String::from_utf8(self.key.clone()).unwrap_or_else(|_| self.key.escape_ascii().to_string())
    }
}

impl EtcdConnection {
    pub(crate) fn new(link: Link, selections: Arc<[Selection]>, max_size: usize) -> Self {
        Self { watch: None, link, selections, max_size, seen: None }
    }

    /// Reads what is there at one revision.
    async fn try_read(&mut self) -> Result<Reading, Error> {
        let (revision, held) = self.list().await?;
        if self.watch.is_none() {
            // From the one after what is read: nothing is lost between the two, and nothing is told twice.
            self.watch = Some(self.watch_from(revision + 1).await?);
        }
        let is_same = self.seen.as_ref().is_some_and(|(_, seen)| *seen == held);
        let reading = if is_same {
            Reading::Unchanged
        } else {
            let documents = self.documents(revision, &held).await?;
            Content::new(documents).revision(revision.to_string()).into()
        };
        self.seen = Some((revision, held));
        Ok(reading)
    }

    /// The keys, and the revision of the store at which they are so.
    async fn list(&self) -> Result<(i64, Vec<Held>), Error> {
        let Some((first, others)) = self.selections.split_first() else { return Ok((0, Vec::new())) };
        let (revision, mut held) = list(self.link.kv.clone(), first, None).await?;
        let requests = others.iter().map(|selection| list(self.link.kv.clone(), selection, Some(revision))).collect();
        held.extend(all(requests).await?.into_iter().flat_map(|(_, held)| held));
        // A key may be selected by its name and by a prefix: what comes first says how it is written.
        let mut known = HashSet::new();
        held.retain(|held| known.insert(held.key.clone()));
        Ok((revision, held))
    }

    /// What the keys hold at this revision.
    async fn documents(&self, revision: i64, held: &[Held]) -> Result<Vec<Document>, Error> {
        let limit = self.max_size.saturating_add(AROUND_VALUE);
        let kv = self.link.kv.clone().max_decoding_message_size(limit);
        all(held.iter().map(|held| document(kv.clone(), held, revision)).collect()).await
    }

    async fn watch_from(&self, revision: i64) -> Result<WatchStream, Error> {
        let limit = self.max_size.saturating_add(AROUND_VALUE).max(EVENTS);
        let mut client = self.link.watch.clone().max_decoding_message_size(limit);
        let mut watch: Option<WatchStream> = None;
        for selection in &*self.selections {
            let options = WatchOptions::new().with_start_revision(revision).with_fragment();
            let options = Some(if selection.is_prefix { options.with_prefix() } else { options });
            match &mut watch {
                Some(watch) => watch.watch(&*selection.key.name, options).await?,
                None => watch = Some(client.watch(&*selection.key.name, options).await?),
            }
        }
        watch.ok_or_else(|| Error::WatchError("there is nothing to watch".to_owned()))
    }
}

/// The answers to some requests, a few of which are made at the same time.
async fn all<T>(requests: Vec<impl Future<Output = Result<T, Error>>>) -> Result<Vec<T>, Error> {
    stream::iter(requests).buffered(REQUESTS).try_collect().await
}

/// The keys of a selection, at a revision or now, and which revision that is.
async fn list(mut kv: KvClient, selection: &Selection, revision: Option<i64>) -> Result<(i64, Vec<Held>), Error> {
    let Key { name, encoding, .. } = &selection.key;
    let options = GetOptions::new().with_keys_only().with_revision(revision.unwrap_or_default());
    let options = if selection.is_prefix { options.with_prefix() } else { options };
    let response = kv.get(&**name, Some(options)).await?;
    let now = response.header().map(ResponseHeader::revision);
    let revision = revision.or(now).ok_or_else(|| Error::Internal("an answer has no header".to_owned()))?;
    let held = |key: &[u8], since| Held { key: key.to_owned(), since, encoding: encoding.clone() };
    let mut all: Vec<_> = response.kvs().iter().map(|kv| held(kv.key(), Some(kv.mod_revision()))).collect();
    if all.is_empty() && !selection.is_prefix {
        all.push(held(name.as_bytes(), None));
    }
    Ok((revision, all))
}

/// What a key holds at a revision.
async fn document(mut kv: KvClient, held: &Held, revision: i64) -> Result<Document, Error> {
    if held.since.is_none() {
        return Ok(Document::missing(held.name()));
    }
    let options = GetOptions::new().with_revision(revision);
    match kv.get(&*held.key, Some(options)).await {
        Ok(mut response) => Ok(match response.take_kvs().pop() {
            Some(kv) => Document::new(held.name(), kv.into_key_value().1, held.encoding.clone()),
            None => Document::missing(held.name()),
        }),
        // The others can be used all the same.
        Err(Error::GRpcStatus(status)) if is_too_large(&status) => {
            let error = SourceError::Unreadable { key: held.name(), cause: Cause::text(status.message()) };
            Ok(Document::unusable(held.name(), error))
        }
        Err(error) => Err(error),
    }
}

impl Connection for EtcdConnection {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        loop {
            match self.try_read().await {
                Ok(reading) => return Ok(reading),
                // Between two requests, the revision that is read was forgotten: there is a newer one.
                Err(Error::GRpcStatus(status)) if is_compacted(&status) => {}
                Err(error) => return Err(self.link.failed(error)),
            }
        }
    }

    async fn changed(&mut self) -> Result<(), SourceError> {
        let (Some(watch), Some((seen, _))) = (&mut self.watch, &self.seen) else { return Ok(()) };
        loop {
            let response = watch.message().await.map_err(|error| self.link.failed(error))?;
            let response = response.ok_or(SourceError::Ended)?;
            if response.canceled() {
                if response.compact_revision() == 0 {
                    return Err(refused(&self.link.server, Code::Unknown, response.cancel_reason()));
                }
                // What was not told yet is forgotten, but all can be read and watched from there.
                self.watch = None;
                return Ok(());
            }
            // What was read was told of meanwhile.
            let is_new = |event: &Event| event.kv().is_none_or(|kv| kv.mod_revision() > *seen);
            if response.events().iter().any(is_new) {
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for EtcdConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdConnection").field("server", &self.link.server).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_no_text_have_names_that_tell_them_apart() {
        let name = |key: &[u8]| Held { key: key.to_owned(), since: None, encoding: Encoding::detected() }.name();
        assert_eq!(name("/bestellungen/größe".as_bytes()), "/bestellungen/größe");
        assert_eq!((name(b"/a\xFF"), name(b"/a\xFE")), ("/a\\xff".to_owned(), "/a\\xfe".to_owned()));
    }
}
