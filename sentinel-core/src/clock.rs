//! Time, as the engine sees it: one trait, read once when a call enters and once when it ends.

use std::{fmt, sync::Arc, time::Duration};

use crate::sync::moment::Moment;

/// A source of time.
///
/// # Contract
///
/// Readings are nanoseconds since a moment of the clock's own, and do not go back. Where one does, nothing is lost and
/// no limit is exceeded: limiters wait until the clock has caught up, and statistics count into the current bucket.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Nanoseconds since a fixed moment.
    fn nanos(&self) -> u64;

    /// The clock in the form that an instance keeps.
    #[doc(hidden)]
    fn into_time(self) -> Time
    where
        Self: Sized,
    {
        Time(Source::Other(Arc::new(self)))
    }
}

/// The clock of the standard library ([`std::time::Instant`]).
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "a clock has to read the time somewhere: here")]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[inline]
    fn nanos(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The processor's time stamp counter, through [`quanta`](https://docs.rs/quanta).
///
/// Where the processor has no reliable counter, `quanta` reads the system's monotonic clock instead.
///
/// # Accuracy
///
/// It is set by the system's clock once, and from then on runs at its own rate: measured, within 20 millionths of the
/// system's, possibly more if the machine was busy at that moment. A limit per second then holds in every second of
/// this clock, which may be that much longer or shorter than another clock's. With [`SystemClock`] there is no such
/// difference.
#[cfg(feature = "quanta")]
#[derive(Clone, Debug)]
pub struct TscClock {
    clock: quanta::Clock,
    start: u64,
    /// Nanoseconds of 2^32 ticks of the counter: `quanta` scales by a shift of any width, which costs more than the
    /// counter.
    scale: u64,
}

#[cfg(feature = "quanta")]
impl TscClock {
    /// A clock that starts now.
    ///
    /// # Cost
    ///
    /// The first one in a process calibrates the counter, which takes up to 200 ms.
    pub fn new() -> Self {
        let clock = quanta::Clock::new();
        let start = clock.raw();
        let scale = clock.delta_as_nanos(0, 1 << 32);
        Self { clock, start, scale }
    }
}

#[cfg(feature = "quanta")]
impl Default for TscClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "quanta")]
impl Clock for TscClock {
    #[inline]
    fn nanos(&self) -> u64 {
        let ticks = self.clock.raw().saturating_sub(self.start);
        // Within a nanosecond in two seconds of what `quanta` makes of it, and below 2^64 for centuries.
        ((u128::from(ticks) * u128::from(self.scale)) >> 32) as u64
    }

    fn into_time(self) -> Time {
        Time(Source::Tsc(self))
    }
}

/// A clock that moves only when it is told to, for tests.
///
/// Clones are the same clock: give one to the instance and keep one to move it.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sentinel_core::{FlowRule, ManualClock, Rules, Sentinel};
///
/// let clock = ManualClock::new();
/// let sentinel = Sentinel::builder().clock(clock.clone()).build()?;
/// sentinel.rules().replace("test", Rules::new().flow([FlowRule::new("orders", 1.0)]))?;
///
/// assert!(sentinel.enter("orders").immediately().is_ok());
/// assert!(sentinel.enter("orders").immediately().is_err());
/// clock.advance(Duration::from_secs(1));
/// assert!(sentinel.enter("orders").immediately().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    now: Arc<Moment>,
}

impl ManualClock {
    /// A clock that stands at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.now.advance(saturating_nanos(by));
    }

    /// Moves the clock on to a time since its start; a time that has passed leaves it where it is.
    pub fn advance_to(&self, since_start: Duration) {
        self.now.advance_to(saturating_nanos(since_start));
    }

    /// The time since the clock's start.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// A sleep for [`Decision::admitted`](crate::Decision::admitted) that moves this clock on instead of waiting.
    pub fn sleep(&self, by: Duration) -> std::future::Ready<()> {
        self.advance(by);
        std::future::ready(())
    }
}

impl Clock for ManualClock {
    #[inline]
    fn nanos(&self) -> u64 {
        self.now.get()
    }

    fn into_time(self) -> Time {
        Time(Source::Manual(self))
    }
}

/// A clock in the form that an instance keeps: the ones of this crate are read without a virtual call.
#[derive(Clone, Debug)]
pub struct Time(Source);

// With a tag of its own, instead of one folded into that of `quanta`: it is told apart in one step.
#[derive(Clone, Debug)]
#[repr(u8)]
enum Source {
    #[cfg(feature = "quanta")]
    Tsc(TscClock),
    Manual(ManualClock),
    Other(Arc<dyn Clock>),
}

impl Time {
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match &self.0 {
            #[cfg(feature = "quanta")]
            Source::Tsc(clock) => clock.nanos(),
            Source::Manual(clock) => clock.nanos(),
            Source::Other(clock) => clock.nanos(),
        }
    }

    /// The fastest clock that is built in.
    pub(crate) fn fastest() -> Self {
        #[cfg(feature = "quanta")]
        return TscClock::new().into_time();
        #[cfg(not(feature = "quanta"))]
        SystemClock::new().into_time()
    }
}

/// In milliseconds: exactly where they are whole, up to 104 days. By way of seconds, fractions would come of some.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

/// A duration in nanoseconds, at most `u64::MAX` of them: 584 years.
pub(crate) fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
