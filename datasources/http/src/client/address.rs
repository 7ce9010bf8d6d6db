use reqwest::Url;
use sentinel_datasource::{Cause, SourceError};

/// An URL that a user gives, and which is shown: so it may hold no credentials.
#[derive(Clone, Debug)]
pub struct Address {
    shown: String,
    url: Result<Url, Cause>,
}

impl Address {
    /// Reads it. What is wrong with it is told by [`url`](Address::url).
    pub fn new(text: &str) -> Self {
        // What cannot be used may hold a password all the same.
        let unusable = |cause| Self { shown: text.rsplit('@').next().unwrap_or_default().to_owned(), url: Err(cause) };
        match Url::parse(text) {
            Err(error) => unusable(error.into()),
            Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
                let without = url.set_username("").and_then(|()| url.set_password(None));
                let shown = without.map_or_else(|()| String::new(), |()| url.to_string());
                Self { shown, url: Err(Cause::text("it holds credentials, which belong elsewhere")) }
            }
            // What looks like a scheme may be the name of a user.
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                unusable(Cause::text("it begins with neither http: nor https:"))
            }
            Ok(url) => Self { shown: text.to_owned(), url: Ok(url) },
        }
    }

    /// As it was given, without credentials.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The URL.
    ///
    /// # Errors
    ///
    /// When it is none that can be used.
    pub fn url(&self) -> Result<&Url, SourceError> {
        self.url.as_ref().map_err(|cause| SourceError::Setting {
            setting: "the URL",
            cause: Cause::text(format!("`{}`: {cause}", self.shown)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_cannot_be_used_says_why_and_shows_no_password() {
        let error = |url: &str| Address::new(url).url().unwrap_err().to_string();
        assert_eq!(
            error("https://root:hunter2@a.example/rules"),
            "the URL cannot be used: `https://a.example/rules`: it holds credentials, which belong elsewhere"
        );
        assert_eq!(error("https://root:hunter2@a:port"), "the URL cannot be used: `a:port`: invalid port number");
        assert_eq!(
            error("ftp://a.example/rules"),
            "the URL cannot be used: `ftp://a.example/rules`: it begins with neither http: nor https:"
        );
        for without_scheme in ["root:hunter2@a.example/rules", "hunter2:@a.example/rules"] {
            let expected = "the URL cannot be used: `a.example/rules`: it begins with neither http: nor https:";
            assert_eq!(error(without_scheme), expected);
        }
        assert_eq!(error("rules"), "the URL cannot be used: `rules`: relative URL without a base");
        let address = Address::new("https://root:hunter2@a.example/rules");
        assert!(!format!("{address:?}").contains("hunter2"), "{address:?}");
        assert!(Address::new("https://a.example/@scope/rules").url().is_ok());
    }
}
