use crate::sync::number::Number;

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
/// assert_eq!(sentinel.signals().memory_used(), Some(812 << 20));
/// ```
#[derive(Debug)]
pub struct Signals {
    /// In bytes; not a number while nobody has set it.
    memory_used: Number,
}

impl Signals {
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
        let bytes = self.memory_used.get();
        (!bytes.is_nan()).then_some(bytes as u64)
    }
}

impl Default for Signals {
    fn default() -> Self {
        Self { memory_used: Number::new(f64::NAN) }
    }
}
