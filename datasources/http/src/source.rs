use std::time::Duration;

use reqwest::header::HeaderMap;
use sentinel_datasource::{Cause, Key, Secret, Source, SourceError, Tls, WhenMissing};
use tokio::time::Instant;

use crate::{
    client::{Client, origin},
    connection::HttpConnection,
    credentials::Credentials,
    page::{Page, Visited},
    rest::Rest,
};

/// More often, no server is asked.
const SHORTEST: Duration = Duration::from_millis(100);

/// Less often neither: what is longer cannot be added to every time.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Documents on one web server, which are asked for again and again.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), sentinel_http::StartError> {
/// use std::time::Duration;
/// use sentinel_core::Sentinel;
/// use sentinel_http::{Datasource, HttpSource, Pem, Secret, Tls};
///
/// let sentinel = Sentinel::default();
/// let source = HttpSource::new("https://config.internal/orders/rules.yaml")
///     .page("https://config.internal/shared/rules.yaml")
///     .bearer(Secret::file("/var/run/secrets/token"))
///     .tls(Tls::new().authority(Pem::file("/etc/ssl/internal.pem")))
///     .interval(Duration::from_secs(10));
/// let watch = Datasource::new(source).start(&sentinel).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpSource {
    pub(crate) pages: Vec<Page>,
    credentials: Option<Credentials>,
    query: Option<Secret>,
    tls: Tls,
    interval: Duration,
    max_size: usize,
    rest: Rest,
}

impl HttpSource {
    /// The document at an URL, which is its key.
    ///
    /// The URL is shown in the status and in errors: credentials are [given](HttpSource::bearer) apart. One that
    /// cannot be used is an error when the source connects.
    pub fn new(url: impl Into<Key>) -> Self {
        Self {
            pages: vec![Page::new(url.into())],
            credentials: None,
            query: None,
            tls: Tls::new(),
            interval: Duration::from_secs(5),
            max_size: 16 << 20,
            rest: Rest::default(),
        }
    }

    /// One more document, on the same server.
    #[must_use]
    pub fn page(mut self, url: impl Into<Key>) -> Self {
        self.pages.push(Page::new(url.into()));
        self
    }

    /// How often to ask; default 5 s, from 100 ms to a day. Each time it is up to a tenth longer by chance.
    ///
    /// Whatever `Cache-Control` says, a change is in force one interval later.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(SHORTEST, LONGEST);
        self
    }

    /// Shows this token, as `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(mut self, token: Secret) -> Self {
        self.credentials = Some(Credentials::Bearer(token));
        self
    }

    /// Shows this user and password, as `Authorization: Basic`.
    #[must_use]
    pub fn basic(mut self, user: impl Into<String>, password: Secret) -> Self {
        self.credentials = Some(Credentials::Basic { user: user.into(), password });
        self
    }

    /// Shows this secret in a header of this name, such as `X-Api-Key`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.credentials = Some(Credentials::Header { name: name.into(), value });
        self
    }

    /// Appends this to the query of each URL: for servers that take signed URLs. It is written as in an URL, without
    /// the question mark.
    #[must_use]
    pub fn query(mut self, query: Secret) -> Self {
        self.query = Some(query);
        self
    }

    /// Which servers are trusted, and which certificate is shown to them.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// A client with the credentials as they are now, and the pages as it asks for them.
    pub(crate) fn open(&self) -> Result<(Client, Vec<Visited>), SourceError> {
        let server = self.pages[0].url()?;
        for page in &self.pages {
            if page.url()?.origin() != server.origin() {
                let cause = format!("`{}` is on another server than {}", page.key.name, origin(server));
                return Err(SourceError::Setting { setting: "the URL", cause: Cause::text(cause) });
            }
        }
        let mut headers = HeaderMap::new();
        if let Some(credentials) = &self.credentials {
            credentials.add_to(&mut headers)?;
        }
        let query = self.query.as_ref().map(Secret::reveal).transpose()?;
        let client = Client::new(server, &self.tls, headers)?;
        let visited = self.pages.iter().map(|page| Visited::new(page, query.as_ref(), &client));
        let visited = visited.collect::<Result<_, _>>()?;
        Ok((client, visited))
    }
}

impl Source for HttpSource {
    type Connection = HttpConnection;

    fn name(&self) -> String {
        let urls: Vec<_> = self.pages.iter().map(|page| page.key.name.as_str()).collect();
        urls.join(",")
    }

    async fn connect(&mut self) -> Result<HttpConnection, SourceError> {
        self.rest.is_over()?;
        let (client, pages) = self.open()?;
        let (interval, max_size, rest) = (self.interval, self.max_size, self.rest.clone());
        Ok(HttpConnection { client, pages, rest, interval, max_size, next: Instant::now() })
    }

    fn limit(&mut self, max_size: usize) {
        self.max_size = max_size;
    }

    /// They stay: a page that is not found is more often a fault of the server, or of what lies before it, than a wish.
    fn when_missing(&self) -> WhenMissing {
        WhenMissing::Keep
    }

    /// Twice the interval: each time it is asked, a connection that is dead is found anyway.
    fn resync_interval(&self) -> Duration {
        self.interval * 2
    }
}

#[cfg(test)]
mod tests {
    use sentinel_datasource::Connection as _;

    use super::*;

    fn error(source: &HttpSource) -> String {
        source.open().unwrap_err().to_string()
    }

    #[test]
    fn all_pages_are_of_one_server() {
        let source = HttpSource::new("https://a.example/rules?part=1").page("https://a.example:443/rules?part=2");
        assert_eq!(source.open().unwrap().1.len(), 2);
        assert_eq!(source.name(), "https://a.example/rules?part=1,https://a.example:443/rules?part=2");
        for other in ["https://b.example/rules", "http://a.example/rules", "https://a.example:444/rules"] {
            let expected = format!("the URL cannot be used: `{other}` is on another server than https://a.example");
            assert_eq!(error(&source.clone().page(other)), expected);
        }
    }

    #[tokio::test]
    async fn an_interval_may_be_as_long_as_one_likes_to_say() {
        let mut source = HttpSource::new("http://127.0.0.1:1/rules").interval(Duration::MAX);
        assert_eq!(source.resync_interval(), LONGEST * 2);
        let mut connection = source.connect().await.unwrap();
        // Nobody is there: what matters is when to ask again.
        assert!(connection.read().await.is_err());
        assert!(connection.next > Instant::now() + LONGEST / 2);
    }

    #[test]
    fn secrets_are_in_no_debug_output_and_not_in_the_name() {
        let source = HttpSource::new("https://root:hunter2@a.example/rules").basic("root", "hunter2".into());
        let source = source.query("signature=hunter2".into());
        assert!(!format!("{source:?}{}", source.name()).contains("hunter2"), "{source:?}");
        let source = HttpSource::new("https://a.example/rules").bearer("hunter2".into()).query("hunter2".into());
        let (client, _) = source.open().unwrap();
        assert!(!format!("{client:?}").contains("hunter2"), "{client:?}");
    }

    #[test]
    fn a_name_for_tls_has_to_be_one() {
        let named = |name| HttpSource::new("https://10.0.0.1/rules").tls(Tls::new().domain(name));
        assert!(named("config.internal").open().is_ok());
        for wrong in ["10.0.0.2", "a b", ""] {
            let expected = format!("the server's name for TLS cannot be used: `{wrong}` is no name");
            assert_eq!(error(&named(wrong)), expected);
        }
    }
}
