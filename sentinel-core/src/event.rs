//! What happens rarely and somebody may want to know: reloads, refusals of documents, limits reached.

mod outbox;

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;

pub(crate) use self::outbox::{Outbox, shielded};
use crate::{
    families::circuit_breaker::{BreakerChange, BreakerState},
    outlier::EjectionCause,
    rules::{Changes, ReplaceError},
};

/// Something that happened to an instance, or to a component.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A source's rules were put in force.
    RulesReplaced {
        /// The source.
        source: &'a str,
        /// What became of its rules.
        changes: Changes,
    },
    /// A source's rules were refused; those of before stay in force.
    RulesRefused {
        /// The source.
        source: &'a str,
        /// Everything that is wrong with them.
        error: &'a ReplaceError,
    },
    /// The thread that reads the signals could not be started.
    #[cfg(feature = "sampler")]
    SamplerFailed {
        /// What the system says.
        error: &'a std::io::Error,
    },
    /// An idle resource was given up to make room for another.
    ResourceEvicted {
        /// Its name.
        resource: &'a str,
    },
    /// A backend was found to be an outlier, and gets no calls for a while.
    BackendEjected {
        /// Its name.
        backend: &'a str,
        /// Why.
        cause: EjectionCause,
        /// For how long.
        duration: Duration,
    },
    /// A backend that was ejected is back in service, or not watched any more: an ejection has no other end.
    BackendReturned {
        /// Its name.
        backend: &'a str,
    },
    /// A resource was asked for past the bound, and none is idle: it shares one with others. Told at most once in ten
    /// milliseconds.
    ResourcesFull {
        /// The name that was asked for.
        resource: &'a str,
        /// The bound.
        max_resources: usize,
    },
    /// A circuit breaker changed its state. The changes of an instance are told one after the other, in the order in
    /// which they happened; while a thread is told one, those that others make wait for it, the latest 1,024.
    ///
    /// A rule that goes out of force is told as [`RulesReplaced`](Event::RulesReplaced) only.
    #[non_exhaustive]
    BreakerChanged {
        /// The resource.
        resource: &'a str,
        /// The name of the rule.
        rule: &'a str,
        /// The state before.
        from: BreakerState,
        /// The state from then on.
        to: BreakerState,
        /// The ratio or the number of errors that opened it last, in the unit of the threshold; for a probe that was
        /// bad, 1.
        observed: f64,
        /// The threshold of the rule.
        threshold: f64,
    },
}

type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// Those who want to know.
#[derive(Clone, Default)]
pub(crate) struct Listeners {
    registered: Arc<Mutex<Registered>>,
    noted: Arc<Outbox<Noted>>,
}

/// A change of a breaker, to be told.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) resource: Arc<str>,
    pub(crate) rule: Arc<str>,
    pub(crate) change: BreakerChange,
}

#[derive(Default)]
struct Registered {
    next: u64,
    listeners: Vec<(u64, Listener)>,
}

impl Registered {
    fn take(&mut self, number: u64) -> Option<Listener> {
        let index = self.listeners.iter().position(|(known, _)| *known == number)?;
        Some(self.listeners.remove(index).1)
    }
}

impl Listeners {
    pub(crate) fn subscribe(&self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Subscription {
        let mut registered = self.registered.lock();
        let number = registered.next;
        registered.next += 1;
        registered.listeners.push((number, Arc::new(listener)));
        Subscription { listeners: Arc::downgrade(&self.registered), number }
    }

    /// Tells everyone; no lock is held meanwhile. One who panics keeps nobody else from being told.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        let listeners: Vec<Listener> =
            self.registered.lock().listeners.iter().map(|(_, listener)| Arc::clone(listener)).collect();
        for listener in listeners {
            shielded(|| listener(event));
        }
    }

    /// Notes something to tell later, from under a lock.
    pub(crate) fn note(&self, noted: Noted) {
        self.noted.put(noted);
    }

    /// Tells everyone what was noted.
    pub(crate) fn tell_noted(&self) {
        self.noted.tell(|Noted { resource, rule, change }| {
            let BreakerChange { from, to, observed, threshold } = *change;
            self.tell(&Event::BreakerChanged { resource, rule, from, to, observed, threshold });
        });
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("count", &self.registered.lock().listeners.len()).finish()
    }
}

/// Keeps a listener subscribed; dropping it ends that.
#[must_use = "dropping the subscription ends it"]
pub struct Subscription {
    listeners: Weak<Mutex<Registered>>,
    number: u64,
}

impl Subscription {
    /// Keeps the listener for as long as the instance lives.
    pub fn forever(mut self) {
        self.listeners = Weak::new();
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let ended = self.listeners.upgrade().and_then(|registered| registered.lock().take(self.number));
        // What the listener owns may be a subscription too: the lock is free again.
        drop(ended);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Reports an event through [`tracing`](https://docs.rs/tracing): a listener for
/// [`Sentinel::subscribe`](crate::Sentinel::subscribe).
#[cfg(feature = "tracing")]
pub fn trace(event: &Event<'_>) {
    match event {
        Event::RulesReplaced { source, changes } => {
            tracing::info!(
                source,
                added = changes.added,
                changed = changes.changed,
                removed = changes.removed,
                unchanged = changes.unchanged,
                "rules replaced"
            );
        }
        Event::RulesRefused { source, error } => {
            tracing::error!(source, %error, "rules refused, those of before stay in force");
        }
        #[cfg(feature = "sampler")]
        Event::SamplerFailed { error } => tracing::error!(%error, "the signals are not read"),
        Event::BackendEjected { backend, cause, duration } => {
            tracing::warn!(backend, ?cause, ?duration, "backend ejected");
        }
        Event::BackendReturned { backend } => tracing::info!(backend, "backend back in service"),
        Event::ResourceEvicted { resource } => tracing::debug!(resource, "idle resource given up"),
        Event::ResourcesFull { resource, max_resources } => {
            tracing::warn!(resource, max_resources, "no room for another resource, it shares one");
        }
        Event::BreakerChanged { resource, rule, from, to: BreakerState::Open, observed, threshold } => {
            tracing::warn!(resource, rule, ?from, observed, threshold, "circuit breaker opened");
        }
        Event::BreakerChanged { resource, rule, from, to, .. } => {
            tracing::info!(resource, rule, ?from, ?to, "circuit breaker changed its state");
        }
    }
}
