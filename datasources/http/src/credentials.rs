use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sentinel_datasource::{Cause, Secret, SourceError, secrecy::ExposeSecret as _};

/// How the source says who it is.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    Bearer(Secret),
    Basic { user: String, password: Secret },
    Header { name: String, value: Secret },
}

impl Credentials {
    /// Puts them into the headers of requests, as they are now.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) -> Result<(), SourceError> {
        let (name, value) = match self {
            Self::Bearer(token) => (AUTHORIZATION, format!("Bearer {}", token.reveal()?.expose_secret())),
            Self::Basic { user, .. } if user.contains(':') => {
                return Err(setting("the user", "it has a colon, which would end it"));
            }
            Self::Basic { user, password } => {
                let both = format!("{user}:{}", password.reveal()?.expose_secret());
                (AUTHORIZATION, format!("Basic {}", BASE64_STANDARD.encode(both)))
            }
            Self::Header { name, value } => {
                let name = HeaderName::try_from(name).map_err(|_| setting("the header", "its name is none"))?;
                (name, value.reveal()?.expose_secret().to_owned())
            }
        };
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| setting("the secret", "it has characters that no header may have"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }
}

fn setting(setting: &'static str, cause: &str) -> SourceError {
    SourceError::Setting { setting, cause: Cause::text(cause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(credentials: &Credentials) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        credentials.add_to(&mut headers).map_err(|error| error.to_string())?;
        Ok(headers)
    }

    #[test]
    fn they_are_in_the_headers_and_in_no_debug_output() {
        let basic = Credentials::Basic { user: "Aladdin".to_owned(), password: "open sesame".into() };
        let key = Credentials::Header { name: "X-Api-Key".to_owned(), value: "hunter2".into() };
        let expected = [
            (Credentials::Bearer("hunter2".into()), "authorization", "Bearer hunter2"),
            (basic, "authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            (key, "x-api-key", "hunter2"),
        ];
        for (credentials, name, value) in expected {
            let headers = headers(&credentials).unwrap();
            assert_eq!(headers.get(name).unwrap(), value);
            let shown = format!("{credentials:?} {headers:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("sesame") && !shown.contains("QWxh"), "{shown}");
        }
    }

    #[test]
    fn what_no_header_can_have_is_refused_without_being_shown() {
        let error = headers(&Credentials::Bearer("two\nlines".into())).unwrap_err();
        assert_eq!(error, "the secret cannot be used: it has characters that no header may have");
        let user = Credentials::Basic { user: "a:b".to_owned(), password: "c".into() };
        assert_eq!(headers(&user).unwrap_err(), "the user cannot be used: it has a colon, which would end it");
        let name = Credentials::Header { name: "X Key".to_owned(), value: "c".into() };
        assert_eq!(headers(&name).unwrap_err(), "the header cannot be used: its name is none");
    }
}
