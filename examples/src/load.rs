//! Load of a given rate, and what came back.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::client::{Ask, Client};

/// How much is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections, each with one request at a time: a service that answers late is asked less often.
    pub clients: u32,
    /// Requests per second of all clients together.
    pub per_second: f64,
    /// How long new requests are sent.
    pub length: Duration,
}

impl Load {
    /// Asks a service for what the closure says, which is given the number of the request, and waits for the last answer.
    ///
    /// # Errors
    ///
    /// When a request gets no answer.
    pub async fn on(
        self,
        service: SocketAddr,
        ask: impl Fn(u64) -> Ask + Send + Sync + 'static,
    ) -> io::Result<Answers> {
        let (ask, numbers, begin) = (Arc::new(ask), Arc::new(AtomicU64::new(0)), Instant::now());
        let mut clients = JoinSet::new();
        for number in 0..self.clients {
            let (ask, numbers) = (Arc::clone(&ask), Arc::clone(&numbers));
            clients.spawn(async move {
                let next_ask = || ask(numbers.fetch_add(1, Ordering::Relaxed));
                self.client(service, number, begin, next_ask).await
            });
        }
        let mut all = Vec::new();
        while let Some(answers) = clients.join_next().await {
            all.extend(answers.map_err(io::Error::other)??);
        }
        Ok(Answers(all))
    }

    async fn client(
        self,
        service: SocketAddr,
        number: u32,
        begin: Instant,
        next_ask: impl Fn() -> Ask,
    ) -> io::Result<Vec<Answer>> {
        let mut client = Client::connect(service).await?;
        let mut answers = Vec::new();
        let spacing = Duration::from_secs_f64(f64::from(self.clients) / self.per_second);
        // Clients take turns instead of asking all at once.
        let mut next = begin + spacing * number / self.clients;
        while next < begin + self.length {
            sleep_until(next).await;
            let sent = Instant::now();
            let status = client.send(&next_ask()).await?;
            answers.push(Answer { sent: sent - begin, took: sent.elapsed(), status });
            // What was missed because an answer took long is not made up for.
            next = (next + spacing).max(Instant::now());
        }
        Ok(answers)
    }
}

/// One answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// When the request was sent, from the begin of the load.
    pub sent: Duration,
    /// How long the answer took.
    pub took: Duration,
    /// What it was.
    pub status: StatusCode,
}

/// All answers to a load, in no order.
#[derive(Clone, Debug, Default)]
pub struct Answers(pub Vec<Answer>);

impl Answers {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those to requests that were sent at this time or later.
    #[must_use]
    pub fn from(&self, begin: Duration) -> Self {
        Self(self.0.iter().filter(|answer| answer.sent >= begin).copied().collect())
    }

    /// Those of one status.
    #[must_use]
    pub fn of(&self, status: StatusCode) -> Self {
        Self(self.0.iter().filter(|answer| answer.status == status).copied().collect())
    }

    /// How many there are of one status.
    pub fn count(&self, status: StatusCode) -> usize {
        self.0.iter().filter(|answer| answer.status == status).count()
    }

    /// How many took no longer than this.
    pub fn within(&self, deadline: Duration) -> usize {
        self.0.iter().filter(|answer| answer.took <= deadline).count()
    }

    /// The time that a share of them did not exceed; zero if there are none.
    pub fn percentile(&self, share: f64) -> Duration {
        let mut times: Vec<Duration> = self.0.iter().map(|answer| answer.took).collect();
        times.sort_unstable();
        let last = times.len().saturating_sub(1);
        times.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(millis: u64, took: u64, status: StatusCode) -> Answer {
        Answer { sent: Duration::from_millis(millis), took: Duration::from_millis(took), status }
    }

    #[test]
    fn answers_are_counted_by_status_time_and_deadline() {
        let (good, refused) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
        let all = Answers(vec![answer(0, 5, good), answer(10, 7, refused), answer(20, 9, good)]);
        assert_eq!((all.len(), all.count(good), all.of(good).within(Duration::from_millis(8))), (3, 2, 1));
        assert_eq!(all.from(Duration::from_millis(10)).count(good), 1);
        assert_eq!(all.percentile(0.5), Duration::from_millis(7));
        assert_eq!(all.percentile(1.0), Duration::from_millis(9));
        assert_eq!(Answers::default().percentile(0.99), Duration::ZERO);
    }
}
