//! What sources have in common that speak HTTP; for the crates of Sentinel Kit, and not part of what is kept stable.

mod address;
mod tls;

pub use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use reqwest::{header::HeaderMap, redirect, retry};
use sentinel_core::Encoding;
use sentinel_datasource::{Cause, Document, SourceError, Tls};

pub use self::address::Address;

/// A client of one server, over HTTP/1.1. Dropping it closes its connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: String,
    /// The name to ask for, where it is not the one in the address.
    domain: Option<String>,
}

impl Client {
    /// A client of the server that an URL is of, which sends these headers with each request.
    ///
    /// It follows no redirects, tries nothing again, unpacks nothing, and knows of no proxies.
    ///
    /// # Errors
    ///
    /// When certificates cannot be used.
    pub fn new(server: &Url, tls: &Tls, headers: HeaderMap) -> Result<Self, SourceError> {
        let config = tls::config(server, tls)?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .default_headers(headers)
            .user_agent(concat!("sentinel-kit/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            // What another crate of the program may have turned on.
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .no_hickory_dns();
        if tls.domain.is_some() {
            builder = tls::resolve(builder, server);
        }
        let unusable =
            |error: reqwest::Error| SourceError::Setting { setting: "the client", cause: error.without_url().into() };
        Ok(Self { http: builder.build().map_err(unusable)?, server: origin(server), domain: tls.domain.clone() })
    }

    /// The server, as errors name it.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// An URL of the server, under the name that its certificate is for.
    ///
    /// # Errors
    ///
    /// When that is no name.
    pub fn locate(&self, url: &Url) -> Result<Url, SourceError> {
        tls::locate(url, self.domain.as_deref())
    }

    /// A request to the server.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request, and waits for the head of the answer.
    ///
    /// # Errors
    ///
    /// When there is no connection.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, SourceError> {
        request.send().await.map_err(|error| self.broken(error))
    }

    /// What an answer holds, of which no more is read than a document may have.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn document(
        &self,
        mut response: Response,
        key: &str,
        encoding: Encoding,
        max_size: usize,
    ) -> Result<Document, SourceError> {
        let too_large = |size| {
            let error = SourceError::TooLarge { key: key.to_owned(), size, max: max_size as u64 };
            Ok(Document::unusable(key, error))
        };
        if let Some(size) = response.content_length().filter(|size| *size > max_size as u64) {
            return too_large(size);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if chunk.len() > max_size - bytes.len() {
                return too_large((bytes.len() + chunk.len()) as u64);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Document::new(key, bytes, encoding))
    }

    /// What an answer begins with, as text.
    pub async fn words(&self, mut response: Response) -> String {
        const MOST: usize = 300;
        let mut bytes = Vec::new();
        // What cannot be read says nothing.
        while bytes.len() < MOST
            && let Ok(Some(chunk)) = response.chunk().await
        {
            bytes.extend_from_slice(&chunk[..chunk.len().min(MOST - bytes.len())]);
        }
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    /// The error that a status means which is no success.
    pub fn refused(&self, status: StatusCode, cause: Cause) -> SourceError {
        let server = self.server.clone();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                SourceError::Denied { server, cause }
            }
            _ => SourceError::Failed { server, cause },
        }
    }

    /// Why there is no connection any more, without the URL, which may hold secrets.
    fn broken(&self, error: reqwest::Error) -> SourceError {
        let error = error.without_url();
        let server = self.server.clone();
        if error.is_builder() {
            return SourceError::Failed { server, cause: error.into() };
        }
        SourceError::disconnected(server, &error)
    }
}

/// Scheme, host and port of an URL.
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
