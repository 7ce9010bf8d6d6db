//! One document on the server, and what is known of it.

use std::time::Duration;

use reqwest::{
    Method, Response, StatusCode, Url,
    header::{
        CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
        LOCATION,
    },
};
use sentinel_core::{Encoding, Format};
use sentinel_datasource::{
    Cause, Document, Key, SourceError,
    secrecy::{ExposeSecret as _, SecretString},
};

use crate::{
    client::{Address, Client, origin},
    rest::Rest,
};

/// More often, a server does not send one elsewhere that means it well.
const MAX_REDIRECTS: usize = 5;

/// How often a document is believed to be the same because of its date. One that was replaced by an older one has a date
/// that many servers take for no change.
const DATE_USES: u32 = 12;

/// A document, as the user names it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Its URL, without credentials.
    pub(crate) key: Key,
    address: Address,
}

impl Page {
    pub(crate) fn new(mut key: Key) -> Self {
        let address = Address::new(&key.name);
        address.shown().clone_into(&mut key.name);
        Self { key, address }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> Result<&Url, SourceError> {
        self.address.url()
    }
}

/// A document that is asked for again and again.
#[derive(Debug)]
pub(crate) struct Visited {
    key: Key,
    url: Url,
    /// What was last read.
    document: Document,
    /// Which state that is, and of which URL.
    known: Option<(Url, Version)>,
}

/// What tells one state of a document from others.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    Tag(HeaderValue),
    Date { date: HeaderValue, uses: u32 },
}

impl Visited {
    /// Of a client's server.
    pub(crate) fn new(page: &Page, query: Option<&SecretString>, client: &Client) -> Result<Self, SourceError> {
        let mut url = client.locate(page.url()?)?;
        if let Some(secret) = query {
            let secret = secret.expose_secret();
            let query = url.query().map_or_else(|| secret.to_owned(), |query| format!("{query}&{secret}"));
            url.set_query(Some(&query));
        }
        let key = page.key.clone();
        Ok(Self { document: Document::missing(&key.name), key, url, known: None })
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Where it is, with what is secret about that.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// What was last read.
    pub(crate) fn document(&self) -> Document {
        self.document.clone()
    }

    /// What the server calls the state that was last read.
    pub(crate) fn revision(&self) -> Option<&str> {
        let (Version::Tag(text) | Version::Date { date: text, .. }) = &self.known.as_ref()?.1;
        text.to_str().ok()
    }

    /// Reads it, if the server does not say that it is as it was; whether it was read.
    pub(crate) async fn visit(&mut self, client: &Client, rest: &Rest, max_size: usize) -> Result<bool, SourceError> {
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let condition = self.condition(&url);
            let request = client.request(Method::GET, url.clone());
            let request = match &condition {
                Some((name, value)) => request.header(name, value),
                None => request,
            };
            let response = client.send(request).await?;
            match response.status() {
                StatusCode::OK => {
                    let version = Version::of(response.headers());
                    let encoding = self.encoding(response.headers());
                    // Unless it can be read whole, nothing is known.
                    self.known = None;
                    self.document = client.document(response, &self.key.name, encoding, max_size).await?;
                    self.known = version.map(|version| (url, version));
                    return Ok(true);
                }
                StatusCode::NOT_MODIFIED if condition.is_some() => return Ok(false),
                StatusCode::NOT_FOUND | StatusCode::GONE => {
                    (self.document, self.known) = (Document::missing(&self.key.name), None);
                    return Ok(true);
                }
                status if status.is_redirection() && response.headers().contains_key(LOCATION) => {
                    url = self.elsewhere(client, &url, &response)?;
                }
                status => {
                    let error = self.refused(client, status);
                    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                        rest.begin(response.headers(), &error);
                    }
                    return Err(error);
                }
            }
        }
        Err(self.failed(client, format!("it is sent elsewhere more than {MAX_REDIRECTS} times")))
    }

    /// The header that asks for what is new alone, where what is known is of this URL.
    fn condition(&mut self, url: &Url) -> Option<(HeaderName, HeaderValue)> {
        let (_, version) = self.known.as_mut().filter(|(known, _)| known == url)?;
        match version {
            Version::Tag(tag) => Some((IF_NONE_MATCH, tag.clone())),
            Version::Date { uses: DATE_USES.., .. } => None,
            Version::Date { date, uses } => {
                *uses += 1;
                Some((IF_MODIFIED_SINCE, date.clone()))
            }
        }
    }

    /// How the document is written; the server may say its syntax where the user does not.
    fn encoding(&self, headers: &HeaderMap) -> Encoding {
        let encoding = self.key.encoding.clone();
        match format(headers) {
            Some(format) if encoding.format.is_none() => encoding.format(format),
            _ => encoding,
        }
    }

    /// Where a redirect leads, if that is on the same server: nobody else is shown credentials.
    fn elsewhere(&self, client: &Client, from: &Url, response: &Response) -> Result<Url, SourceError> {
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let to = location.and_then(|location| from.join(location).ok());
        let to = to.ok_or_else(|| self.failed(client, "it is sent elsewhere, but not to an URL"))?;
        if to.origin() == from.origin() {
            return Ok(to);
        }
        let (from, to) = (origin(from), origin(&to));
        Err(self.failed(client, format!("{from} sends elsewhere, to {to}, and only the same server is asked")))
    }

    pub(crate) fn refused(&self, client: &Client, status: StatusCode) -> SourceError {
        client.refused(status, Cause::text(format!("`{}`: {status}", self.key.name)))
    }

    fn failed(&self, client: &Client, cause: impl AsRef<str>) -> SourceError {
        let cause = Cause::text(format!("`{}`: {}", self.key.name, cause.as_ref()));
        SourceError::Failed { server: client.server().to_owned(), cause }
    }
}

impl Version {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let date = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
        if let Some(tag) = headers.get(ETAG) {
            return Some(Self::Tag(tag.clone()));
        }
        // Dates are in seconds: what changes within the one that goes on has the same date.
        let age = date(DATE)?.duration_since(date(LAST_MODIFIED)?).ok()?;
        let last_modified = headers.get(LAST_MODIFIED)?.clone();
        (age >= Duration::from_secs(1)).then_some(Self::Date { date: last_modified, uses: 0 })
    }
}

/// The syntax that the type of a document means.
fn format(headers: &HeaderMap) -> Option<Format> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
    let (_, subtype) = text.split(';').next()?.trim().split_once('/')?;
    let suffix = subtype.rsplit('+').next()?;
    match suffix.strip_prefix("x-").unwrap_or(suffix) {
        "json" => Some(Format::Json),
        "toml" => Some(Format::Toml),
        "yaml" | "yml" => Some(Format::Yaml),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_tag_counts_more_than_a_date_and_a_date_only_when_its_second_is_over() {
        let at = |second| format!("Sun, 06 Nov 1994 08:49:{second} GMT");
        let (modified, soon, late) = (at("37"), at("37"), at("38"));
        let tagged = [(ETAG, "W/\"1\""), (LAST_MODIFIED, &*modified), (DATE, &*late)];
        assert_eq!(Version::of(&headers(&tagged)), Some(Version::Tag("W/\"1\"".parse().unwrap())));
        let dated = [(LAST_MODIFIED, &*modified), (DATE, &*late)];
        assert_eq!(Version::of(&headers(&dated)), Some(Version::Date { date: modified.parse().unwrap(), uses: 0 }));
        assert_eq!(Version::of(&headers(&[(LAST_MODIFIED, &*modified), (DATE, &*soon)])), None);
        assert_eq!(Version::of(&headers(&[(LAST_MODIFIED, &*modified)])), None);
        assert_eq!(Version::of(&HeaderMap::new()), None);
    }

    #[test]
    fn the_type_of_a_document_may_mean_its_syntax() {
        let format = |text| format(&headers(&[(CONTENT_TYPE, text)]));
        assert_eq!(format("application/json"), Some(Format::Json));
        assert_eq!(format("Application/Vnd.Rules+JSON; charset=utf-8"), Some(Format::Json));
        assert_eq!(format("application/toml"), Some(Format::Toml));
        for yaml in ["application/yaml", "text/x-yaml", "application/x-yaml; charset=utf-8"] {
            assert_eq!(format(yaml), Some(Format::Yaml), "{yaml}");
        }
        for open in ["text/plain", "application/octet-stream", "json", ""] {
            assert_eq!(format(open), None, "{open}");
        }
    }
}
