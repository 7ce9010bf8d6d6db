//! What an isolation rule says.

use std::time::Duration;

use super::Isolation;
use crate::{
    families::{Params, origin::OriginSelector},
    rules::{Report, Rule},
};

const MAX_WAITING: u32 = 1_000_000;
const MAX_QUEUEING_TIME: Duration = Duration::from_secs(60 * 60);
const DEFAULT_QUEUEING_TIME: Duration = Duration::from_millis(500);

/// A rule on how many calls are in flight at a time.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::IsolationRule;
///
/// let rules = [
///     IsolationRule::new("orders", 50),
///     IsolationRule::new("reports", 2).for_origin("batch"),
///     IsolationRule::new("search", 20).queue(100, Duration::from_millis(200)).newest_first(),
/// ];
/// ```
pub type IsolationRule = Rule<Isolation>;

/// What an isolation rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IsolationParams {
    /// The most permits in flight; from 0, which blocks everything that takes permits, to 4,294,967,295. Document: `threshold`.
    pub threshold: u32,
    /// Whose calls the rule is about. Document: `origin`.
    pub origin: OriginSelector,
    /// Where calls beyond the threshold wait; by default there is no queue, and they are blocked. With
    /// [`OriginSelector::Other`], every origin has a queue of its own.
    pub queue: Option<Queue>,
}

/// A queue for calls beyond a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// How many calls wait at a time; from 1 to 1,000,000. Document: `maxQueueSize`, where 0, the default, is no queue.
    pub max_waiting: u32,
    /// The longest wait; above 0, at most an hour, default 500 ms. Document: `maxQueueingTimeMs`.
    pub max_wait: Duration,
    /// Who is served first. Document: `queueOrder`.
    pub order: QueueOrder,
}

/// Who is served first of those who wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueOrder {
    /// Who came first; the default. Document: `fifo`.
    #[default]
    Fifo,
    /// Who came first, but who came last while the queue is overloaded: when it has not been empty for 100 ms. A full queue
    /// then refuses the oldest and not the newest call. Document: `newestFirst`.
    NewestFirst,
}

impl IsolationParams {
    /// Blocks beyond a threshold.
    pub fn new(threshold: u32) -> Self {
        Self { threshold, origin: OriginSelector::default(), queue: None }
    }
}

impl Rule<Isolation> {
    /// Blocks what exceeds a number of permits in flight.
    pub fn new(resource: impl Into<String>, threshold: u32) -> Self {
        Self::on(resource, IsolationParams::new(threshold))
    }

    /// Limits the calls of one origin only.
    #[must_use]
    pub fn for_origin(mut self, origin: impl Into<String>) -> Self {
        self.params.origin = OriginSelector::Named(origin.into());
        self
    }

    /// Limits the calls of every origin that no rule names, each on its own.
    #[must_use]
    pub fn for_other_origins(mut self) -> Self {
        self.params.origin = OriginSelector::Other;
        self
    }

    /// Lets so many calls beyond the threshold wait, so long at most.
    #[must_use]
    pub fn queue(mut self, max_waiting: u32, max_wait: Duration) -> Self {
        let order = self.params.queue.map_or(QueueOrder::default(), |queue| queue.order);
        self.params.queue = Some(Queue { max_waiting, max_wait, order });
        self
    }

    /// Serves the newest call first while the [queue](Rule::queue), which the rule has to have, is overloaded.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        let queue = Queue { max_waiting: 0, max_wait: DEFAULT_QUEUEING_TIME, order: QueueOrder::NewestFirst };
        self.params.queue = Some(Queue { order: queue.order, ..self.params.queue.unwrap_or(queue) });
        self
    }
}

impl Params for IsolationParams {
    fn validate(&self, report: &mut Report<'_>) {
        self.origin.validate(report);
        let Some(queue) = &self.queue else { return };
        if !(1..=MAX_WAITING).contains(&queue.max_waiting) {
            report.invalid("maxQueueSize", queue.max_waiting, "a queue has room for 1 to 1,000,000 calls");
        }
        if queue.max_wait.is_zero() || queue.max_wait > MAX_QUEUEING_TIME {
            let millis = queue.max_wait.as_secs_f64() * 1e3;
            report.invalid("maxQueueingTimeMs", millis, "a call waits for more than 0 ms and an hour at most");
        }
    }

    #[cfg(feature = "json")]
    fn read(fields: &mut crate::rules::Fields<'_>) -> Self {
        wire::read(fields)
    }

    #[cfg(feature = "json")]
    fn write(&self, out: &mut crate::rules::Writer) {
        wire::write(self, out);
    }
}

/// The form of isolation rules in documents.
#[cfg(feature = "json")]
mod wire {
    use super::*;
    use crate::rules::{Fields, Writer};

    pub(super) fn read(fields: &mut Fields<'_>) -> IsolationParams {
        let threshold = fields.small("threshold");
        IsolationParams {
            threshold: fields.required("threshold", threshold).unwrap_or(1),
            origin: OriginSelector::read(fields),
            queue: read_queue(fields),
        }
    }

    fn read_queue(fields: &mut Fields<'_>) -> Option<Queue> {
        let max_waiting = fields.small("maxQueueSize").unwrap_or(0);
        if max_waiting == 0 {
            ["maxQueueingTimeMs", "queueOrder"].into_iter().for_each(|name| fields.unused(name, "maxQueueSize"));
            return None;
        }
        let orders = [("fifo", QueueOrder::Fifo), ("newestFirst", QueueOrder::NewestFirst)];
        Some(Queue {
            max_waiting,
            max_wait: fields.millis("maxQueueingTimeMs").unwrap_or(DEFAULT_QUEUEING_TIME),
            order: fields.choice("queueOrder", &orders).unwrap_or_default(),
        })
    }

    pub(super) fn write(params: &IsolationParams, out: &mut Writer) {
        out.field("threshold", params.threshold);
        params.origin.write(out);
        let Some(queue) = &params.queue else { return };
        out.field("maxQueueSize", queue.max_waiting);
        if queue.max_wait != DEFAULT_QUEUEING_TIME {
            out.millis("maxQueueingTimeMs", queue.max_wait);
        }
        if queue.order == QueueOrder::NewestFirst {
            out.field("queueOrder", "newestFirst");
        }
    }
}
