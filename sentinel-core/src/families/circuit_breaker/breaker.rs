//! A breaker of one's own, without resources and rules.

use std::{fmt, future::Future, hash::BuildHasher as _, time::Duration};

use super::{
    CircuitBreaker,
    circuit::{BreakerSnapshot, Circuit, Tell},
    machine::{BreakerChange, BreakerState, End, Ticket},
    rule::{BreakerControl, BreakerParams, BreakerStrategy, BreakerWindow},
};
use crate::{
    clock::{Clock, Time},
    event::{Outbox, shielded},
    families::{Family as _, Params as _},
    rules::{InvalidRules, Report},
    statistics::Outcome,
    unwinding::Begun,
};

/// A circuit breaker to use alone: the one behind circuit breaker rules, without an instance, resources and documents.
///
/// It is shared by reference, as in an `Arc`, by any number of threads and tasks.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::{Breaker, BreakerCallError, BreakerParams, ManualClock};
///
/// let clock = ManualClock::new();
/// let params = BreakerParams::error_count(3).min_request_amount(3).retry_timeout(Duration::from_secs(5));
/// let breaker = Breaker::builder(params).clock(clock.clone()).build()?;
///
/// let failing = || breaker.call(|| Err::<(), _>("no route to host"));
/// for _ in 0..3 {
///     assert_eq!(failing(), Err(BreakerCallError::Failed("no route to host")));
/// }
/// let Err(BreakerCallError::Refused(refused)) = failing() else { panic!("it is open") };
/// assert_eq!(refused.retry_after(), Some(Duration::from_secs(5)));
///
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(breaker.call(|| Ok::<_, &str>("back")), Ok("back"));
/// # Ok::<(), sentinel_core::InvalidRules>(())
/// ```
///
/// # Cost
///
/// A good call through a closed breaker takes one load before and mostly one compare-exchange afterwards, a bad one a
/// short lock. The time is read once, after the call; twice where slow calls count, and not at all for good calls where
/// errors among the last so many calls do.
pub struct Breaker {
    circuit: Circuit<Listener>,
    time: Time,
    /// Whether it matters how long calls take.
    times_calls: bool,
    /// Whether it takes no time to count a good result.
    is_untimed: bool,
}

impl Breaker {
    /// Makes a breaker on the fastest clock that is built in.
    ///
    /// # Errors
    ///
    /// When a parameter is out of its range: all errors, named as the fields of documents.
    pub fn new(params: BreakerParams) -> Result<Self, InvalidRules> {
        Self::builder(params).build()
    }

    /// Sets up a breaker.
    pub fn builder(params: BreakerParams) -> BreakerBuilder {
        BreakerBuilder { params, time: None, seed: None, listener: None }
    }

    /// Asks to go through.
    ///
    /// # Errors
    ///
    /// The refusal, which says when to ask again.
    ///
    /// # Example
    ///
    /// What is a failure is for the caller to say:
    ///
    /// ```
    /// # use sentinel_core::{Breaker, BreakerParams};
    /// # struct Response { status: u16 }
    /// # let send = || Response { status: 404 };
    /// let breaker = Breaker::new(BreakerParams::error_ratio(0.5))?;
    /// let ticket = breaker.try_acquire()?;
    /// let response = send();
    /// if response.status >= 500 { ticket.fail() } else { ticket.success() }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<BreakerTicket<'_>, BreakerRefusal> {
        match self.circuit.ask(|| self.time.now()) {
            Ok(ticket) => {
                let started = if self.times_calls { self.time.now() } else { 0 };
                Ok(BreakerTicket { breaker: self, ticket, started, outcome: None, begun: Begun::now() })
            }
            Err(retry_after) => Err(BreakerRefusal { retry_after }),
        }
    }

    /// Runs a closure, if it goes through; an error is a failure.
    ///
    /// # Errors
    ///
    /// The refusal, or what the closure returns.
    #[inline]
    pub fn call<T, E>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, BreakerCallError<E>> {
        self.try_acquire()?.conclude(work)
    }

    /// Runs a future, if it goes through; an error is a failure.
    ///
    /// Dropping the returned future before its end is a cancelled call.
    ///
    /// # Errors
    ///
    /// The refusal, or what the future returns.
    pub async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, BreakerCallError<E>> {
        let ticket = self.try_acquire()?;
        let result = work.await;
        ticket.conclude(|| result)
    }

    /// What it is at; that a retry timeout or a recovery is over shows with the next call.
    pub fn state(&self) -> BreakerState {
        self.circuit.state()
    }

    /// Its numbers.
    pub fn snapshot(&self) -> BreakerSnapshot {
        self.circuit.snapshot(self.time.now())
    }

    /// Lets nothing through from now on.
    pub fn force_open(&self) {
        self.control(BreakerControl::ForcedOpen);
    }

    /// Lets everything through from now on, and counts nothing.
    pub fn force_closed(&self) {
        self.control(BreakerControl::ForcedClosed);
    }

    /// Lets it decide by itself: it starts closed, and forgets all results.
    pub fn reset(&self) {
        self.control(BreakerControl::Auto);
    }

    fn control(&self, control: BreakerControl) {
        self.circuit.control(control);
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// Sets up a breaker.
#[must_use = "it is made by `build`"]
pub struct BreakerBuilder {
    params: BreakerParams,
    time: Option<Time>,
    seed: Option<u64>,
    listener: Option<Box<OnChange>>,
}

type OnChange = dyn Fn(&BreakerChange) + Send + Sync;

impl BreakerBuilder {
    /// The clock; by default the fastest that is built in.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.time = Some(clock.into_time());
        self
    }

    /// What jitter is made of; by default another number for each breaker.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Calls `listener` on every change of state, one after the other, on the thread on which it happens or on one that
    /// is telling another change, and outside of any lock. Up to 1,024 changes wait for it.
    pub fn on_change(mut self, listener: impl Fn(&BreakerChange) + Send + Sync + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Makes the breaker.
    ///
    /// # Errors
    ///
    /// When a parameter is out of its range: all errors, named as the fields of documents.
    pub fn build(self) -> Result<Breaker, InvalidRules> {
        let Self { params, time, seed, listener } = self;
        let mut errors = Vec::new();
        params.validate(&mut Report::new(&mut errors, CircuitBreaker::NAME, 0, None, String::new()));
        if !errors.is_empty() {
            return Err(InvalidRules::new(errors));
        }
        let seed = seed.unwrap_or_else(|| std::hash::RandomState::new().hash_one(()));
        let told = Listener { noted: Outbox::default(), listener };
        let times_calls = matches!(params.strategy, BreakerStrategy::SlowRatio { .. });
        Ok(Breaker {
            circuit: Circuit::new(params, seed, told),
            time: time.unwrap_or_else(Time::fastest),
            times_calls,
            is_untimed: !times_calls && matches!(params.window, BreakerWindow::Calls(_)),
        })
    }
}

impl fmt::Debug for BreakerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerBuilder").field("params", &self.params).finish_non_exhaustive()
    }
}

/// A call that goes through a breaker.
///
/// It ends when it is told how, or when it is dropped: as failed while the thread unwinds, if it did not do so already
/// when the call began, and otherwise as cancelled, which tells the breaker nothing, unless it took so long that it
/// counts as slow.
#[must_use = "dropping the ticket ends the call as cancelled"]
pub struct BreakerTicket<'a> {
    breaker: &'a Breaker,
    ticket: Ticket,
    started: u64,
    outcome: Option<Outcome>,
    begun: Begun,
}

impl BreakerTicket<'_> {
    /// The call ended well.
    #[inline]
    pub fn success(mut self) {
        self.outcome = Some(Outcome::Ok);
    }

    /// The call failed.
    #[inline]
    pub fn fail(mut self) {
        self.outcome = Some(Outcome::Error);
    }

    /// The call was cancelled.
    #[inline]
    pub fn ignore(mut self) {
        self.outcome = Some(Outcome::Ignored);
    }

    #[inline]
    fn conclude<T, E>(mut self, work: impl FnOnce() -> Result<T, E>) -> Result<T, BreakerCallError<E>> {
        let result = work();
        self.outcome = Some(if result.is_ok() { Outcome::Ok } else { Outcome::Error });
        result.map_err(BreakerCallError::Failed)
    }
}

impl Drop for BreakerTicket<'_> {
    #[inline]
    fn drop(&mut self) {
        let Self { breaker, ticket, started, outcome, begun } = self;
        let dropped = || if begun.is_cut_off() { Outcome::Error } else { Outcome::Ignored };
        let outcome = outcome.unwrap_or_else(dropped);
        let mut end = End { now: 0, response_time: 0, outcome };
        if breaker.is_untimed && breaker.circuit.end_well(ticket, end) {
            return;
        }
        end.now = breaker.time.now();
        end.response_time = end.now.saturating_sub(*started);
        breaker.circuit.end(ticket, end);
    }
}

impl fmt::Debug for BreakerTicket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerTicket").finish_non_exhaustive()
    }
}

/// What a breaker says to a call that it does not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct BreakerRefusal {
    retry_after: u64,
}

impl BreakerRefusal {
    /// How long until trying again may help: not earlier. 10 ms at most where it waits for probes to end, or lets a share
    /// of the calls through; `None` where it is forced open.
    pub fn retry_after(&self) -> Option<Duration> {
        (self.retry_after != u64::MAX).then(|| Duration::from_nanos(self.retry_after))
    }
}

/// Why a call through a breaker has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BreakerCallError<E> {
    /// It was not let through.
    #[error(transparent)]
    Refused(#[from] BreakerRefusal),
    /// It failed.
    #[error("{0}")]
    Failed(E),
}

/// Who is told of the changes of a breaker.
struct Listener {
    noted: Outbox<BreakerChange>,
    listener: Option<Box<OnChange>>,
}

impl Tell for Listener {
    fn note(&self, change: BreakerChange) {
        if self.listener.is_some() {
            self.noted.put(change);
        }
    }

    fn tell(&self) {
        if let Some(listener) = &self.listener {
            self.noted.tell(|change| shielded(|| listener(change)));
        }
    }
}
