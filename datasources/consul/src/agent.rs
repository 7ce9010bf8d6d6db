//! What is asked of Consul.

use std::{num::NonZeroU64, time::Duration};

use sentinel_datasource::{Cause, Document, Key, Payload, SourceError};
use sentinel_http::client::{Client, Method, Response, StatusCode, Url, header::CONTENT_TYPE};

/// In every answer about keys: what to name when asking for anything newer.
const INDEX: &str = "x-consul-index";

/// Beyond what it was asked to wait, a server may take a sixteenth of that, and the way there and back.
pub(crate) const MARGIN: Duration = Duration::from_secs(5);

/// An agent of Consul.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) client: Client,
    /// Where the keys are, with the query that all requests have.
    pub(crate) keys: Url,
    /// How long it may wait for a change.
    pub(crate) wait: Duration,
    pub(crate) max_size: usize,
}

/// What a key held at one time.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) document: Document,
    /// Of a key that is there, that of its last change; else that of any key.
    pub(crate) index: u64,
}

impl Answer {
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.document.payload, Payload::Missing)
    }

    /// What the key held is as it was then.
    pub(crate) fn is_as(&self, before: &Self) -> bool {
        if self.is_missing() { before.is_missing() } else { self.index == before.index && !before.is_missing() }
    }

    /// The index to name when asking for anything newer than what this answers.
    ///
    /// None after one that has gone back, as it does when the store was put back to what it was: from there, all is
    /// older than what was named. And never 0, with which nobody waits.
    pub(crate) fn next_index(&self, named: Option<NonZeroU64>) -> Option<NonZeroU64> {
        let has_gone_back = named.is_some_and(|named| self.index < named.get());
        if has_gone_back { None } else { NonZeroU64::new(self.index) }
    }
}

impl Agent {
    /// Where a key is.
    pub(crate) fn url(&self, key: &str) -> Result<Url, SourceError> {
        let is_good = key.split('/').rev().enumerate().all(|(index, part)| match part {
            // Folders end with a slash.
            "" => index == 0 && key.len() > 1,
            part => !matches!(part, "." | ".."),
        });
        let mut url = self.keys.clone();
        match url.path_segments_mut() {
            Ok(mut path) if is_good => path.extend(key.split('/')),
            _ => {
                let cause = format!("`{key}` has an empty part, or one of dots alone");
                return Err(SourceError::Setting { setting: "the key", cause: Cause::text(cause) });
            }
        };
        Ok(url)
    }

    /// What a key holds: now, or when it is newer than an index.
    pub(crate) async fn get(&self, key: &Key, url: &Url, index: Option<NonZeroU64>) -> Result<Answer, SourceError> {
        let mut url = url.clone();
        url.query_pairs_mut().append_key_only("raw");
        let mut limit = MARGIN;
        if let Some(index) = index {
            let wait = format!("{}ms", self.wait.as_millis());
            url.query_pairs_mut().append_pair("index", &index.to_string()).append_pair("wait", &wait);
            limit += self.wait + self.wait / 16;
        }
        let response = self.client.send(self.client.request(Method::GET, url).timeout(limit)).await?;
        let index = response.headers().get(INDEX).and_then(|index| index.to_str().ok()?.parse().ok());
        let document = match (response.status(), index) {
            (StatusCode::OK, Some(_)) => {
                self.client.document(response, &key.name, key.encoding.clone(), self.max_size).await?
            }
            (StatusCode::NOT_FOUND, Some(_)) => Document::missing(&key.name),
            _ => return Err(self.refused(&key.name, response).await),
        };
        Ok(Answer { document, index: index.unwrap_or_default() })
    }

    /// The error that an answer means which is none to what was asked.
    pub(crate) async fn refused(&self, key: &str, response: Response) -> SourceError {
        let status = response.status();
        // Consul says in plain text what is wrong; pages are of somebody else.
        let is_text =
            response.headers().get(CONTENT_TYPE).is_some_and(|text| text.as_bytes().starts_with(b"text/plain"));
        let words = if is_text { self.client.words(response).await } else { String::new() };
        let told = if words.is_empty() { status.to_string() } else { format!("{status}: {words}") };
        self.client.refused(status, Cause::text(format!("`{key}`: {told}")))
    }
}

#[cfg(test)]
mod tests {
    use sentinel_core::Encoding;
    use sentinel_datasource::Tls;
    use sentinel_http::client::header::HeaderMap;

    use super::*;

    fn agent() -> Agent {
        let keys: Url = "http://a.example/v1/kv?dc=one".parse().unwrap();
        let client = Client::new(&keys, &Tls::new(), HeaderMap::new()).unwrap();
        Agent { client, keys, wait: Duration::from_secs(1), max_size: 100 }
    }

    #[test]
    fn keys_are_part_of_the_path_whatever_is_in_them() {
        let url = |key| agent().url(key).map(|url| url.to_string());
        assert_eq!(url("orders/rules").unwrap(), "http://a.example/v1/kv/orders/rules?dc=one");
        assert_eq!(url("a b/ü?x#y%2F&z").unwrap(), "http://a.example/v1/kv/a%20b/%C3%BC%3Fx%23y%252F&z?dc=one");
        assert_eq!(url("folder/").unwrap(), "http://a.example/v1/kv/folder/?dc=one");
        for wrong in ["", "/", "/rules", "a//b", "../acl/tokens", "a/./b", "a/.."] {
            let error = url(wrong).unwrap_err().to_string();
            assert_eq!(error, format!("the key cannot be used: `{wrong}` has an empty part, or one of dots alone"));
        }
    }

    fn there(index: u64) -> Answer {
        Answer { document: Document::new("rules", "{}", Encoding::detected()), index }
    }

    fn missing(index: u64) -> Answer {
        Answer { document: Document::missing("rules"), index }
    }

    #[test]
    fn an_index_that_goes_back_is_forgotten_and_zero_is_never_named() {
        assert_eq!(there(7).next_index(None), NonZeroU64::new(7));
        assert_eq!(there(7).next_index(NonZeroU64::new(7)), NonZeroU64::new(7));
        assert_eq!(there(9).next_index(NonZeroU64::new(7)), NonZeroU64::new(9));
        assert_eq!(there(6).next_index(NonZeroU64::new(7)), None);
        assert_eq!(missing(0).next_index(None), None);
    }

    #[test]
    fn a_key_is_as_it_was_when_its_index_is_and_a_missing_one_whatever_other_keys_do() {
        assert!(there(7).is_as(&there(7)));
        assert!(missing(9).is_as(&missing(7)));
        for (now, before) in
            [(there(8), there(7)), (there(6), there(7)), (there(7), missing(7)), (missing(8), there(7))]
        {
            assert!(!now.is_as(&before), "{now:?} {before:?}");
        }
    }
}
