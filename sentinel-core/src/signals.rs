use std::time::Duration;

use crate::{
    clock::{Time, saturating_nanos},
    sync::{counter::Counter, moment::Moment, number::Number},
};

/// How long a reading counts at least.
const LIFETIME: Duration = Duration::from_secs(10);
/// And how many intervals of the sampler.
const INTERVALS: u32 = 3;

/// What the machine tells: numbers that the user, or a sampler that the user runs, sets.
///
/// The engine never measures by itself, since that takes a thread or a system call.
///
/// What is no finite number from 0 on is no reading: the signal is unknown then. To [`System`](crate::System) rules it is
/// unknown, too, ten seconds after its last reading, or three intervals of the instance's own sampler if that is longer.
///
/// # Example
///
/// ```
/// # use sentinel_core::Sentinel;
/// let sentinel = Sentinel::default();
/// // From a task of your own, every second or so:
/// sentinel.signals().set_memory_used(812 << 20);
/// sentinel.signals().set_cpu_usage(0.35);
/// assert_eq!(sentinel.signals().memory_used(), Some(812 << 20));
/// ```
#[derive(Debug)]
pub struct Signals {
    time: Time,
    /// How long a reading counts, in nanoseconds.
    lifetime: u64,
    cpu_usage: Signal,
    load1: Signal,
    memory_usage: Signal,
    /// In bytes.
    memory_used: Signal,
}

impl Signals {
    /// Signals of an instance, which reads them so often if it does.
    pub(crate) fn new(time: Time, interval: Option<Duration>) -> Self {
        let lifetime = interval.map_or(LIFETIME, |interval| LIFETIME.max(interval.saturating_mul(INTERVALS)));
        Self {
            time,
            lifetime: saturating_nanos(lifetime),
            cpu_usage: Signal::default(),
            load1: Signal::default(),
            memory_usage: Signal::default(),
            memory_used: Signal::default(),
        }
    }

    /// Sets the share of the available processor time that is used, from 0 to 1: in a container, of its quota.
    pub fn set_cpu_usage(&self, share: f64) {
        self.cpu_usage.set(share, self.time.now());
    }

    /// The share of the available processor time that is used, if it was set.
    pub fn cpu_usage(&self) -> Option<f64> {
        self.cpu_usage.get()
    }

    /// Sets the average number of processes that ran or wanted to within the last minute.
    pub fn set_load1(&self, load: f64) {
        self.load1.set(load, self.time.now());
    }

    /// The average number of processes that ran or wanted to within the last minute, if it was set.
    pub fn load1(&self) -> Option<f64> {
        self.load1.get()
    }

    /// Sets the share of the available memory that is used, from 0 to 1: in a container, of its limit.
    pub fn set_memory_usage(&self, share: f64) {
        self.memory_usage.set(share, self.time.now());
    }

    /// The share of the available memory that is used, if it was set.
    pub fn memory_usage(&self) -> Option<f64> {
        self.memory_usage.get()
    }

    /// Sets the memory in use, in bytes: usually the resident set of the process, or what its container counts.
    ///
    /// Memory-adaptive rules follow it from the next call on.
    pub fn set_memory_used(&self, bytes: u64) {
        self.memory_used.set(bytes as f64, self.time.now());
    }

    /// Forgets the memory in use: memory-adaptive rules fall back to the threshold for little memory used.
    pub fn clear_memory_used(&self) {
        self.memory_used.set(f64::NAN, self.time.now());
    }

    /// The memory in use, in bytes, if it was set.
    #[inline]
    pub fn memory_used(&self) -> Option<u64> {
        self.memory_used.get().map(|bytes| bytes as u64)
    }

    /// The newest reading, as long as it counts.
    pub(crate) fn current(&self, which: SignalName, now: u64) -> Option<f64> {
        let signal = self.signal(which);
        if self.counts(signal.read_at(), now) { signal.get() } else { None }
    }

    /// Whether what was read at a moment still counts.
    pub(crate) fn counts(&self, at: u64, now: u64) -> bool {
        now.saturating_sub(at) < self.lifetime
    }

    pub(crate) fn signal(&self, which: SignalName) -> &Signal {
        match which {
            SignalName::CpuUsage => &self.cpu_usage,
            SignalName::Load1 => &self.load1,
            SignalName::MemoryUsage => &self.memory_usage,
        }
    }
}

/// A signal that rules have thresholds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalName {
    CpuUsage,
    Load1,
    MemoryUsage,
}

/// One number that the machine tells.
#[derive(Debug)]
pub(crate) struct Signal {
    /// Not a number while it is unknown.
    value: Number,
    read_at: Moment,
    readings: Counter,
}

impl Signal {
    /// The newest reading.
    #[inline]
    pub(crate) fn get(&self) -> Option<f64> {
        let value = self.value.get();
        (!value.is_nan()).then_some(value)
    }

    /// When it was known last.
    #[inline]
    pub(crate) fn read_at(&self) -> u64 {
        self.read_at.get()
    }

    /// How many readings there were.
    pub(crate) fn readings(&self) -> u64 {
        self.readings.get()
    }

    fn set(&self, value: f64, now: u64) {
        let is_known = value.is_finite() && value >= 0.0;
        self.value.set(if is_known { value } else { f64::NAN });
        if is_known {
            // After the value: who sees that it is new sees the value.
            self.read_at.set(now);
            self.readings.add(1);
        }
    }
}

impl Default for Signal {
    fn default() -> Self {
        Self { value: Number::new(f64::NAN), read_at: Moment::default(), readings: Counter::default() }
    }
}
