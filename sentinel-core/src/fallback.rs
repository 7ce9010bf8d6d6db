//! The last good value, for when there is no new one.

mod answer;
mod config;
#[cfg(all(test, not(loom)))]
mod tests;

use std::{
    borrow::Borrow,
    fmt,
    future::Future,
    hash::{BuildHasher as _, Hash},
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;
use lru::LruCache;
use parking_lot::Mutex;

pub use self::{
    answer::{Answer, Stale, Trouble},
    config::FallbackConfig,
};
use crate::{
    blocked::Blocked,
    clock::{Clock, Time, saturating_nanos},
    entry::Entry,
    setting::InvalidSetting,
};

/// Shards of a large cache, and how many keys a shard has at least before there is another.
const MAX_SHARDS: usize = 16;
const KEYS_PER_SHARD: usize = 64;
/// Expired values that go with each new key.
const SWEPT: usize = 2;

/// Keeps the last good value by key, and gives it where a call was refused or failed.
///
/// # What it protects from
///
/// A page that could show the prices of a minute ago shows an error, since the service that knows them is down, or a rule
/// sheds the call. With a fallback, refusing a call costs its caller the newest answer and not the answer.
///
/// # Settings
///
/// | setting | meaning | range | default |
/// |---|---|---|---|
/// | [`max_keys`](FallbackConfig::max_keys) | how many keys have a value | 1 to 10,000,000 | 1,000 |
/// | [`time_to_live`](FallbackConfig::time_to_live) | how old a value gets before it is not given any more | 1 ms to 30 days | 5 min |
/// | [`stale_while`](FallbackConfig::stale_while) | how long in a row a key is answered from the past, however young the value was at first | 1 ms to the time to live, or none | none |
///
/// # How it decides
///
/// A call that was admitted runs, and if it goes well, its value is kept as the last good one of its key and returned
/// as [fresh](Answer::Fresh). Where it is refused or fails, the last good value is returned as [stale](Answer::Stale),
/// with its age and the trouble. There is no such value when none was stored within the time to live, when the key has
/// been answered from the past for as long as it may be, or when as many other keys were used since then: then the
/// trouble is the result. Of calls at the same time, the value of the one that ended last is kept, whichever began
/// first. At the bound, the key that was used longest ago makes room; values that are too old go as others come. (The
/// idea is `stale-if-error` of RFC 5861, without its time in which no call is made: this is no cache.)
///
/// # Example
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use sentinel_core::{Answer, Fallback, FallbackConfig, FlowRule, ManualClock, Rules, Sentinel, Trouble};
///
/// let clock = ManualClock::new();
/// let sentinel = Sentinel::builder().clock(clock.clone()).build()?;
/// sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("prices", 1.0)]))?;
/// let prices: Fallback<&str, u32> = Fallback::with_clock(FallbackConfig::default(), clock.clone())?;
///
/// let price = |of, now: Result<u32, std::fmt::Error>| {
///     prices.call(of, sentinel.enter("prices").immediately(), || now)
/// };
/// assert!(matches!(price("tea", Ok(5)), Ok(Answer::Fresh(value)) if *value == 5));
///
/// clock.advance(Duration::from_millis(500));
/// let refused = price("tea", Ok(6))?;
/// assert_eq!((*refused.value(), refused.age()), (5, Some(Duration::from_millis(500))));
/// assert!(matches!(price("coffee", Ok(7)), Err(Trouble::Blocked(_))), "nobody knows what it was");
///
/// clock.advance(Duration::from_secs(10));
/// assert_eq!(*price("tea", Err(std::fmt::Error))?.value(), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Async code awaits [`run`](Fallback::run) instead.
///
/// # Cost
///
/// A good call takes a reading of the clock, an allocation for its value, and a short lock that it shares with the
/// calls of a part of the keys: all of them up to 127, a sixteenth from 1,024 on. A stale answer takes the same without
/// the allocation. Under the lock nothing of the user's runs but [`Hash`] and [`Eq`] of the keys. Memory is that of
/// `max_keys` keys and values and some 100 bytes for each.
///
/// # When not to use it
///
/// Where an old answer is worse than none, such as a balance to pay from. To save calls: this one makes every call that
/// it may. For errors that are answers, such as that there is no such thing: let the work return these as values, or
/// the last good one is given in their place. With keys that do not say whose value it is.
pub struct Fallback<K, V> {
    config: FallbackConfig,
    time: Time,
    keys_per_shard: usize,
    chooser: RandomState,
    shard: Mutex<Shard<K, V>>,
    more_shards: Box<[Mutex<Shard<K, V>>]>,
}

type Shard<K, V> = LruCache<K, Kept<V>, RandomState>;

/// A last good value.
struct Kept<V> {
    value: Arc<V>,
    stored: u64,
    /// When it was first given since it was stored.
    given: Option<u64>,
}

impl<K: Hash + Eq, V> Fallback<K, V> {
    /// Keeps values by the fastest clock that is built in.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range.
    pub fn new(config: FallbackConfig) -> Result<Self, InvalidSetting> {
        Self::on(config, Time::fastest)
    }

    /// Keeps values by a clock.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range.
    pub fn with_clock(config: FallbackConfig, clock: impl Clock) -> Result<Self, InvalidSetting> {
        Self::on(config, || clock.into_time())
    }

    fn on(config: FallbackConfig, time: impl FnOnce() -> Time) -> Result<Self, InvalidSetting> {
        config.validate()?;
        let shards = (config.max_keys / KEYS_PER_SHARD).clamp(1, MAX_SHARDS);
        let shard = || Mutex::new(LruCache::unbounded_with_hasher(RandomState::default()));
        Ok(Self {
            keys_per_shard: config.max_keys / shards,
            config,
            time: time(),
            chooser: RandomState::default(),
            shard: shard(),
            more_shards: (1..shards).map(|_| shard()).collect(),
        })
    }

    /// Runs a closure as the call, if that was admitted, and keeps its value; where there is none, gives the last good
    /// one.
    ///
    /// # Errors
    ///
    /// The refusal, or what the closure returns, if there is no last good value.
    pub fn call<E>(
        &self,
        key: K,
        admitted: Result<Entry, Blocked>,
        work: impl FnOnce() -> Result<V, E>,
    ) -> Result<Answer<V, E>, Trouble<E>> {
        let result = match admitted {
            Ok(entry) => entry.call(work).map_err(Trouble::Failed),
            Err(blocked) => Err(Trouble::Blocked(blocked)),
        };
        self.answer(key, result)
    }

    /// Runs a future as the call, if that was admitted, and keeps its value; where there is none, gives the last good
    /// one.
    ///
    /// Dropping the returned future before its end is a cancelled call: it is [ignored](Entry::ignore), and stores
    /// nothing.
    ///
    /// # Errors
    ///
    /// The refusal, or what the future returns, if there is no last good value.
    pub fn run<E>(
        &self,
        key: K,
        mut admitted: Result<Entry, Blocked>,
        work: impl Future<Output = Result<V, E>>,
    ) -> impl Future<Output = Result<Answer<V, E>, Trouble<E>>> {
        // Also if it is never polled.
        if let Ok(entry) = &mut admitted {
            entry.ignore();
        }
        async move {
            let result = match admitted {
                Ok(entry) => entry.run(work).await.map_err(Trouble::Failed),
                Err(blocked) => Err(Trouble::Blocked(blocked)),
            };
            self.answer(key, result)
        }
    }

    /// Keeps a value as the last good one of its key.
    pub fn store(&self, key: K, value: V) {
        self.keep(key, Arc::new(value));
    }

    /// The last good value of a key, if there is one that may be given.
    pub fn get<Q>(&self, key: &Q) -> Option<Stale<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.time.now();
        let mut shard = self.shard(key).lock();
        let kept = shard.get_mut(key)?;
        let age = now.saturating_sub(kept.stored);
        if age >= saturating_nanos(self.config.time_to_live) {
            let expired = shard.pop_entry(key);
            drop(shard);
            drop(expired);
            return None;
        }
        let given_for = now.saturating_sub(*kept.given.get_or_insert(now));
        let may_be_given = self.config.stale_while.is_none_or(|bound| given_for < saturating_nanos(bound));
        may_be_given.then(|| Stale { value: Arc::clone(&kept.value), age: Duration::from_nanos(age) })
    }

    /// Forgets the value of a key, such as one that is known to be wrong by now.
    pub fn forget<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let forgotten = self.shard(key).lock().pop_entry(key);
        drop(forgotten);
    }

    /// How many keys have a value, those included that are too old and have not gone yet.
    pub fn len(&self) -> usize {
        [&self.shard].into_iter().chain(&self.more_shards).map(|shard| shard.lock().len()).sum()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn answer<E>(&self, key: K, result: Result<V, Trouble<E>>) -> Result<Answer<V, E>, Trouble<E>> {
        match result {
            Ok(value) => {
                let value = Arc::new(value);
                self.keep(key, Arc::clone(&value));
                Ok(Answer::Fresh(value))
            }
            Err(trouble) => match self.get(&key) {
                Some(Stale { value, age }) => Ok(Answer::Stale { value, age, trouble }),
                None => Err(trouble),
            },
        }
    }

    fn keep(&self, key: K, value: Arc<V>) {
        let now = self.time.now();
        let kept = Kept { value, stored: now, given: None };
        let mut shard = self.shard(&key).lock();
        // What goes is dropped when the lock is free again, as are keys.
        if let Some(known) = shard.get_mut(&key) {
            let replaced = std::mem::replace(known, kept);
            drop(shard);
            drop(replaced);
            return;
        }
        let time_to_live = saturating_nanos(self.config.time_to_live);
        let mut gone = [const { None }; SWEPT];
        for place in &mut gone {
            let full = shard.len() >= self.keys_per_shard;
            let oldest = shard.peek_lru().is_some_and(|(_, kept)| now.saturating_sub(kept.stored) >= time_to_live);
            if full || oldest {
                *place = shard.pop_lru();
            }
        }
        shard.put(key, kept);
        drop(shard);
        drop(gone);
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &Mutex<Shard<K, V>> {
        match self.more_shards.len() {
            0 => &self.shard,
            more => {
                let place = self.chooser.hash_one(key) % (more as u64 + 1);
                self.more_shards.get(place as usize).unwrap_or(&self.shard)
            }
        }
    }
}

impl<K, V> fmt::Debug for Fallback<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").field("config", &self.config).finish_non_exhaustive()
    }
}
