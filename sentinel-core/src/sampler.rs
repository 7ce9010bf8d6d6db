//! Reads what the machine tells.

mod cgroup;
mod thread;

use std::fmt;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use self::cgroup::Cgroup;
pub(crate) use self::thread::SamplerThread;
use crate::{Clock as _, clock::SystemClock, signals::Signals};

/// The shortest time over which usage of the processor can be told, in nanoseconds: systems count in steps of 10 ms.
const SHORTEST: u64 = 200_000_000;

/// Reads processor usage, load and memory from the system and sets [`Signals`], for a program that calls it from a thread
/// or task of its own.
///
/// In a container on Linux, usage is that of the quota and of the memory that the container has (cgroups of version 1
/// and 2, whichever of the groups around the process is the tightest), and not that of the whole machine. Where there
/// is no such limit, it is the machine's.
///
/// To let the instance do it, see [`Builder::sampler`](crate::Builder::sampler).
///
/// # Example
///
/// ```no_run
/// # use std::{thread, time::Duration};
/// use sentinel_core::{Sampler, Sentinel};
///
/// let sentinel = Sentinel::default();
/// let mut sampler = Sampler::new();
/// loop {
///     sampler.sample(sentinel.signals());
///     thread::sleep(Duration::from_secs(1));
/// }
/// ```
pub struct Sampler {
    clock: SystemClock,
    system: System,
    process: Option<Pid>,
    cgroup: Cgroup,
    /// When the processor was looked at, and the seconds of it that the group had used by then.
    last: Option<(u64, Option<f64>)>,
}

impl Sampler {
    /// Looks for the limits around the process.
    pub fn new() -> Self {
        Self {
            clock: SystemClock::new(),
            system: System::new(),
            process: sysinfo::get_current_pid().ok(),
            cgroup: Cgroup::of_this_process(),
            last: None,
        }
    }

    /// Reads everything and sets the signals. Usage of the processor is that since the last time, so the first time
    /// there is none; and none sooner than 200 ms after the last.
    ///
    /// What the system does not tell stays as it was.
    ///
    /// # Cost
    ///
    /// Some ten small files on Linux, less than a millisecond.
    pub fn sample(&mut self, signals: &Signals) {
        self.sample_processor(signals);
        self.sample_memory(signals);
        // Elsewhere there is no load average, and this is 0.
        if cfg!(unix) {
            signals.set_load1(System::load_average().one);
        }
    }

    fn sample_processor(&mut self, signals: &Signals) {
        let now = self.clock.nanos();
        if self.last.is_some_and(|(last, _)| now.saturating_sub(last) < SHORTEST) {
            return;
        }
        self.system.refresh_cpu_usage();
        let used = self.cgroup.processor_seconds();
        let Some((last, before)) = self.last.replace((now, used)) else { return };
        let usage = match (used.zip(before), self.cgroup.processors()) {
            (Some((used, before)), Some(quota)) => {
                let elapsed = now.saturating_sub(last) as f64 / 1e9;
                // A quota above what the machine has is none.
                let available = quota.min(self.system.cpus().len().max(1) as f64);
                (used - before) / (elapsed * available)
            }
            _ => f64::from(self.system.global_cpu_usage()) / 100.0,
        };
        signals.set_cpu_usage(usage.clamp(0.0, 1.0));
    }

    fn sample_memory(&mut self, signals: &Signals) {
        self.system.refresh_memory();
        let total = self.system.total_memory();
        let (used, limit) = match self.cgroup.memory() {
            Some((used, limit)) if limit < total => (used, limit),
            _ => (self.system.used_memory(), total),
        };
        if limit > 0 {
            signals.set_memory_usage(used as f64 / limit as f64);
        }
        let Some(process) = self.process else { return };
        let memory_only = ProcessRefreshKind::nothing().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[process]), false, memory_only);
        if let Some(process) = self.system.process(process) {
            signals.set_memory_used(process.memory());
        }
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler").field("cgroup", &self.cgroup).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;

    #[test]
    fn what_this_machine_tells_is_within_its_range() {
        let signals = Signals::new(Time::fastest(), None);
        let mut sampler = Sampler::new();
        sampler.sample(&signals);
        assert_eq!(signals.cpu_usage(), None, "usage is a difference");
        assert!((0.0..=1.0).contains(&signals.memory_usage().expect("every machine has memory")));
        assert_eq!(signals.load1().is_some(), cfg!(unix), "also on an idle machine");
        assert!(signals.memory_used().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn a_look_too_soon_says_nothing_new() {
        let signals = Signals::new(Time::fastest(), None);
        let mut sampler = Sampler::new();
        sampler.sample(&signals);
        sampler.sample(&signals);
        assert_eq!(signals.cpu_usage(), None);
    }
}
