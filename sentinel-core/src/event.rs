//! What happens rarely and somebody may want to know: reloads, refusals of documents, limits reached.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use crate::rules::{Changes, ReplaceError};

/// Something that happened to an instance.
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
    /// A resource was asked for past the bound, and none is idle: it shares one with others. Told at most once in ten
    /// milliseconds.
    ResourcesFull {
        /// The name that was asked for.
        resource: &'a str,
        /// The bound.
        max_resources: usize,
    },
}

type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// Those who want to know.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Arc<Mutex<Registered>>);

#[derive(Default)]
struct Registered {
    next: u64,
    listeners: Vec<(u64, Listener)>,
}

impl Listeners {
    pub(crate) fn subscribe(&self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Subscription {
        let mut registered = self.0.lock();
        let number = registered.next;
        registered.next += 1;
        registered.listeners.push((number, Arc::new(listener)));
        Subscription { listeners: Arc::downgrade(&self.0), number }
    }

    /// Tells everyone; no lock is held meanwhile.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        let listeners: Vec<Listener> =
            self.0.lock().listeners.iter().map(|(_, listener)| Arc::clone(listener)).collect();
        for listener in listeners {
            listener(event);
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("count", &self.0.lock().listeners.len()).finish()
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
        if let Some(registered) = self.listeners.upgrade() {
            registered.lock().listeners.retain(|(number, _)| *number != self.number);
        }
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
        Event::ResourceEvicted { resource } => tracing::debug!(resource, "idle resource given up"),
        Event::ResourcesFull { resource, max_resources } => {
            tracing::warn!(resource, max_resources, "no room for another resource, it shares one");
        }
    }
}
