use crate::sync::{counter::Counter, number::Number};

/// What the machine tells: numbers that the user, or a sampler that the user runs, sets.
///
/// The engine never measures by itself, since that takes a thread or a system call.
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
#[derive(Debug, Default)]
pub struct Signals {
    cpu_usage: Signal,
    load1: Signal,
    memory_usage: Signal,
    /// In bytes.
    memory_used: Signal,
}

impl Signals {
    /// Sets the share of the available processor time that is used, from 0 to 1: in a container, of its quota.
    pub fn set_cpu_usage(&self, share: f64) {
        self.cpu_usage.set(share);
    }

    /// The share of the available processor time that is used, if it was set.
    pub fn cpu_usage(&self) -> Option<f64> {
        self.cpu_usage.get()
    }

    /// Sets the average number of processes that ran or wanted to within the last minute.
    pub fn set_load1(&self, load: f64) {
        self.load1.set(load);
    }

    /// The average number of processes that ran or wanted to within the last minute, if it was set.
    pub fn load1(&self) -> Option<f64> {
        self.load1.get()
    }

    /// Sets the share of the available memory that is used, from 0 to 1: in a container, of its limit.
    pub fn set_memory_usage(&self, share: f64) {
        self.memory_usage.set(share);
    }

    /// The share of the available memory that is used, if it was set.
    pub fn memory_usage(&self) -> Option<f64> {
        self.memory_usage.get()
    }

    /// Sets the memory in use, in bytes: usually the resident set of the process, or what its container counts.
    ///
    /// Memory-adaptive rules follow it from the next call on.
    pub fn set_memory_used(&self, bytes: u64) {
        self.memory_used.set(bytes as f64);
    }

    /// Forgets the memory in use: memory-adaptive rules fall back to the threshold for little memory used.
    pub fn clear_memory_used(&self) {
        self.memory_used.set(f64::NAN);
    }

    /// The memory in use, in bytes, if it was set.
    #[inline]
    pub fn memory_used(&self) -> Option<u64> {
        self.memory_used.get().map(|bytes| bytes as u64)
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
    readings: Counter,
}

impl Signal {
    /// The newest reading.
    #[inline]
    pub(crate) fn get(&self) -> Option<f64> {
        let value = self.value.get();
        (!value.is_nan()).then_some(value)
    }

    /// How many readings there were.
    pub(crate) fn readings(&self) -> u64 {
        self.readings.get()
    }

    fn set(&self, value: f64) {
        self.value.set(value);
        self.readings.add(1);
    }
}

impl Default for Signal {
    fn default() -> Self {
        Self { value: Number::new(f64::NAN), readings: Counter::default() }
    }
}
