use std::time::Duration;

use sentinel_datasource::{Connection, Content, Reading, SourceError};
use tokio::time::{Instant, sleep_until};

use crate::{client::Client, page::Visited, rest::Rest};

/// Asks for documents again and again. Made by [`HttpSource`](crate::HttpSource).
#[derive(Debug)]
pub struct HttpConnection {
    pub(crate) client: Client,
    pub(crate) pages: Vec<Visited>,
    pub(crate) rest: Rest,
    pub(crate) interval: Duration,
    pub(crate) max_size: usize,
    /// When to ask again.
    pub(crate) next: Instant,
}

impl Connection for HttpConnection {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        self.next = Instant::now() + spread(self.interval);
        let mut is_new = false;
        for page in &mut self.pages {
            is_new |= page.visit(&self.client, &self.rest, self.max_size).await?;
        }
        if !is_new {
            return Ok(Reading::Unchanged);
        }
        let content = Content::new(self.pages.iter().map(Visited::document));
        let revisions: Vec<_> = self.pages.iter().filter_map(Visited::revision).collect();
        Ok(if revisions.is_empty() { content } else { content.revision(revisions.join(", ")) }.into())
    }

    async fn changed(&mut self) -> Result<(), SourceError> {
        sleep_until(self.next).await;
        Ok(())
    }
}

/// Up to a tenth longer, so that many instances do not ask in step.
fn spread(interval: Duration) -> Duration {
    interval.mul_f64(1.0 + fastrand::f64() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_differ_by_up_to_a_tenth() {
        let lengths: Vec<_> = (0..100).map(|_| spread(Duration::from_secs(10)).as_millis()).collect();
        assert!(lengths.iter().all(|length| (10_000..=11_000).contains(length)), "{lengths:?}");
        assert!(lengths.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
