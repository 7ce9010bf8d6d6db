use std::time::Duration;

use reqwest::{
    Method, Response, StatusCode,
    header::{CONTENT_TYPE, ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH},
};
use sentinel_core::{Format, Rules};
use sentinel_datasource::{Condition, Publish, PublishError, SourceError};
use tokio::time::timeout;

use crate::{HttpSource, client::Client, page::Visited};

/// How long a write may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Writes are `PUT` requests, for servers that take those. Conditions are `If-Match` and `If-None-Match`: they need a
/// server that heeds them, and strong `ETag`s. Redirects are not followed.
impl Publish for HttpSource {
    async fn publish(
        &mut self,
        key: &str,
        rules: &Rules,
        condition: Condition,
    ) -> Result<Option<String>, PublishError> {
        let (client, page) = self.of(key)?;
        let encoding = &page.key().encoding;
        let text = rules.encode(encoding).map_err(|error| PublishError::Document { key: key.to_owned(), error })?;
        let request = client.request(Method::PUT, page.url().clone()).body(text);
        let request = request.header(CONTENT_TYPE, content_type(encoding.format));
        let request = match condition {
            Condition::Always => request,
            Condition::Absent => request.header(IF_NONE_MATCH, "*"),
            Condition::Revision(tag) => request.header(IF_MATCH, tag),
            _ => return Err(unconditional(&client)),
        };
        let response = answer(client.send(request)).await?;
        match response.status() {
            StatusCode::PRECONDITION_FAILED => Err(PublishError::Conflict { key: key.to_owned() }),
            status if status.is_success() => Ok(strong_tag(response.headers())),
            status => Err(page.refused(&client, status).into()),
        }
    }

    async fn revision(&mut self, key: &str) -> Result<Option<String>, PublishError> {
        let (client, page) = self.of(key)?;
        let response = answer(client.send(client.request(Method::GET, page.url().clone()))).await?;
        match response.status() {
            StatusCode::OK => strong_tag(response.headers()).map(Some).ok_or_else(|| unconditional(&client)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status => Err(page.refused(&client, status).into()),
        }
    }
}

impl HttpSource {
    /// A client, and a page of this source.
    fn of(&self, key: &str) -> Result<(Client, Visited), PublishError> {
        let (client, pages) = self.open()?;
        let page = pages.into_iter().find(|page| page.key().name == key);
        Ok((client, page.ok_or_else(|| PublishError::UnknownKey { key: key.to_owned() })?))
    }
}

async fn answer(sending: impl Future<Output = Result<Response, SourceError>> + Send) -> Result<Response, SourceError> {
    let late = |_| SourceError::TimedOut { doing: "the answer", after: LIMIT };
    timeout(LIMIT, sending).await.map_err(late)?
}

fn unconditional(client: &Client) -> PublishError {
    PublishError::Unconditional { server: client.server().to_owned() }
}

/// The tag of a document, unless it is one that says no more than that documents are alike.
fn strong_tag(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(ETAG)?.to_str().ok()?;
    (!tag.starts_with("W/")).then(|| tag.to_owned())
}

fn content_type(format: Option<Format>) -> &'static str {
    match format {
        Some(Format::Toml) => "application/toml",
        Some(Format::Yaml) => "application/yaml",
        // What rules are written as where nothing is said.
        _ => "application/json",
    }
}
