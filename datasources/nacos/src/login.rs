//! Tokens for a user and a password, which are had over HTTP.

use std::{fmt, pin::pin, time::Duration};

use bytes::Bytes;
use http::{
    Request, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sentinel_datasource::{
    Address, Cause, Line, Secret, SourceError, Tls,
    secrecy::{ExposeSecret as _, SecretString},
};
use serde::Deserialize;
use tokio::time::Instant;

/// Where servers give tokens: since version 3, and before that.
const PATHS: [&str; 2] = ["/v3/auth/user/login", "/v1/auth/login"];

/// No token is longer.
const MAX_ANSWER: usize = 64 << 10;

/// No token is good for longer, in seconds: what servers say may be no time that there is.
const LONGEST_LIFETIME: u64 = 86_400;

/// As much of what a server says is repeated.
const MAX_WORDS: usize = 200;

/// Who wants to be let in, and where.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: Secret,
    /// What is before the paths.
    pub(crate) url: Uri,
    pub(crate) tls: Option<Tls>,
}

/// What opens the doors for a while.
pub(crate) struct Token {
    pub(crate) secret: SecretString,
    pub(crate) renew_at: Instant,
}

impl Account {
    pub(crate) async fn log_in(&self) -> Result<Token, SourceError> {
        let wrong = |cause| SourceError::Setting { setting: "the address to log in at", cause: Cause::text(cause) };
        let is_encrypted = match self.url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("it begins with neither http nor https")),
        };
        let default_port = if is_encrypted { 443 } else { 80 };
        let server = self.url.authority().and_then(|authority| Address::parse(authority.as_str(), default_port).ok());
        let server = server.ok_or_else(|| wrong("it names no host and port"))?;
        let tls = is_encrypted.then(|| self.tls.clone().unwrap_or_default());
        let desk = Desk { server, tls, prefix: self.url.path().trim_end_matches('/') };
        let password = self.password.reveal()?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("username", &self.user)
            .append_pair("password", password.expose_secret())
            .finish();
        let mut outcome = desk.ask(PATHS[0], &form, &password).await;
        if matches!(outcome, Err(SourceError::Failed { .. })) {
            outcome = desk.ask(PATHS[1], &form, &password).await;
        }
        outcome
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// Where tokens are given.
struct Desk<'a> {
    server: Address,
    tls: Option<Tls>,
    prefix: &'a str,
}

impl Desk<'_> {
    async fn ask(&self, path: &str, form: &str, password: &SecretString) -> Result<Token, SourceError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Given {
            access_token: String,
            token_ttl: u64,
        }

        let (status, body) = self.post(path, form).await?;
        let server = self.server.to_string();
        if !status.is_success() {
            let cause = Cause::text(format!("HTTP status {status}{}", words(&body, password)));
            return Err(match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => SourceError::Denied { server, cause },
                _ => SourceError::Failed { server, cause },
            });
        }
        // Not what the parser says, which may quote the token.
        let Ok(given) = serde_json::from_slice::<Given>(&body) else {
            return Err(SourceError::Failed { server, cause: Cause::text("it gives no token to whom logs in") });
        };
        let lifetime = Duration::from_secs(given.token_ttl.min(LONGEST_LIFETIME)) * 4 / 5;
        Ok(Token { secret: given.access_token.into(), renew_at: Instant::now() + lifetime })
    }

    async fn post(&self, path: &str, form: &str) -> Result<(StatusCode, Bytes), SourceError> {
        let server = self.server.to_string();
        let line = Line::open(&server, &self.server, self.tls.as_ref(), &["http/1.1"]).await?;
        let fault = line.fault();
        let broken = |error: hyper::Error| SourceError::disconnected(&server, fault.or(&error));
        let handshake = http1::handshake(TokioIo::new(line)).await;
        let (mut sender, connection) = handshake.map_err(broken)?;
        let request = Request::post(format!("{}{path}", self.prefix))
            .header(HOST, &server)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::copy_from_slice(form.as_bytes())))
            .map_err(|error| SourceError::Setting { setting: "the address to log in at", cause: error.into() })?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let status = response.status();
            match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
                Ok(body) => Ok((status, body.to_bytes())),
                Err(error) => Err(match error.downcast::<hyper::Error>() {
                    Ok(error) => broken(*error),
                    Err(error) => {
                        debug_assert!(error.is::<LengthLimitError>());
                        SourceError::Failed { server: server.clone(), cause: Cause::text(error.to_string()) }
                    }
                }),
            }
        };
        // The connection does its part only while somebody asks it to. How it ends, the exchange hears.
        let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
        tokio::select! {
            biased;
            outcome = &mut exchange => outcome,
            _ = &mut connection => exchange.await,
        }
    }
}

/// What a server says beside a status, if it is short and keeps secrets.
fn words(body: &[u8], password: &SecretString) -> String {
    match std::str::from_utf8(body).map(str::trim) {
        Ok(words) if !words.is_empty() && words.len() <= MAX_WORDS && !words.contains(password.expose_secret()) => {
            format!(": {words}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_server_says_neither_long_pages_nor_secrets_are_repeated() {
        let password = SecretString::from("hunter2");
        assert_eq!(words(b" unknown user!\n", &password), ": unknown user!");
        for body in [&b"no hunter2 here"[..], b"", b"\xff", "x".repeat(201).as_bytes()] {
            assert_eq!(words(body, &password), "");
        }
    }
}
