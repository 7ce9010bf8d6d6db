use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use sentinel_datasource::SourceError;
use tokio::time::Instant;

/// However long a server asks to be left alone, it is asked again after this.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether the server has asked to be left alone. It outlives connections, which would ask again at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rest(Arc<Mutex<Option<(Instant, SourceError)>>>);

impl Rest {
    /// Leaves the server alone for as long as these headers say, and fails with this error meanwhile.
    pub(crate) fn begin(&self, headers: &HeaderMap, error: &SourceError) {
        if let Some(time) = asked_for(headers, SystemTime::now()) {
            *self.0.lock() = Some((Instant::now() + time.min(LONGEST), error.clone()));
        }
    }

    /// Whether it is over; else why the server is left alone.
    pub(crate) fn is_over(&self) -> Result<(), SourceError> {
        match &*self.0.lock() {
            Some((end, error)) if Instant::now() < *end => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

/// What `Retry-After` says: so many seconds, or until this date.
fn asked_for(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| httpdate::parse_http_date(text).ok()?.duration_since(now).ok())
}

#[cfg(test)]
mod tests {
    use sentinel_datasource::Cause;

    use super::*;

    fn headers(retry_after: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, retry_after.parse().unwrap())])
    }

    fn error() -> SourceError {
        SourceError::Failed { server: "https://a".to_owned(), cause: Cause::text("503 Service Unavailable") }
    }

    #[test]
    fn a_server_says_how_long_in_seconds_or_until_when() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let asked_for = |text| asked_for(&headers(text), now).map(|time| time.as_secs());
        assert_eq!(asked_for("120"), Some(120));
        assert_eq!(asked_for("Sun, 06 Nov 1994 08:50:00 GMT"), Some(23));
        assert_eq!(asked_for("Sun, 06 Nov 1994 08:49:00 GMT"), None, "it is over");
        assert_eq!(asked_for("soon"), None);
        assert_eq!(asked_for("-1"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_left_alone_as_long_as_it_asks_but_not_for_ever() {
        let rest = Rest::default();
        rest.begin(&HeaderMap::new(), &error());
        assert!(rest.is_over().is_ok(), "it has not asked");
        for (asked, kept) in [("5", 5), ("86400", 60)] {
            rest.begin(&headers(asked), &error());
            tokio::time::advance(Duration::from_secs(kept - 1)).await;
            assert_eq!(rest.is_over().unwrap_err().to_string(), error().to_string());
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(rest.is_over().is_ok());
        }
    }
}
