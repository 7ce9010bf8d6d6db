//! A limit of its own for each origin that no rule names.

use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use super::{
    limit::{Limit, Token},
    rule::FlowParams,
};
use crate::{call::Call, families::Step, signals::Signals};

/// Origins with a limit of their own.
const MAX_ORIGINS: usize = 1_000;

/// Limits by origin, in bounded memory.
///
/// An origin that has used nothing of its limit can be forgotten without a loss: these make room. Where the origin that
/// was used longest ago has used some, a new one shares a limit with all others that find no room. So a flood of
/// invented origins shares one limit, and no known origin gets its permits back early.
#[derive(Debug)]
pub(super) struct Origins {
    signals: Arc<Signals>,
    limits: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    params: FlowParams,
    by_origin: LruCache<Box<str>, Arc<Limit>>,
    beyond: Arc<Limit>,
}

impl Origins {
    pub(super) fn new(params: &FlowParams, signals: &Arc<Signals>) -> Self {
        let known = Known {
            params: params.clone(),
            by_origin: LruCache::unbounded(),
            beyond: Arc::new(Limit::new(params, signals)),
        };
        Self { signals: Arc::clone(signals), limits: Mutex::new(known) }
    }

    pub(super) fn set_params(&self, params: &FlowParams) {
        let mut known = self.limits.lock();
        known.params = params.clone();
        known.beyond.set_params(params);
        for (_, limit) in &known.by_origin {
            limit.set_params(params);
        }
    }

    pub(super) fn acquire(&self, call: &Call<'_>, now: u64) -> Step<Token> {
        self.of(call.caller(), now).acquire(call, now)
    }

    /// An origin that was forgotten meanwhile had used nothing any more, so there is nothing to undo. What was taken
    /// from the common limit stays taken where the origin has one of its own by now.
    pub(super) fn undo(&self, token: Token, call: &Call<'_>) {
        let known = self.limits.lock();
        known.by_origin.peek(call.caller()).unwrap_or(&known.beyond).undo(token, call);
    }

    pub(super) fn threshold(&self) -> f64 {
        self.limits.lock().beyond.threshold()
    }

    pub(super) fn is_idle(&self, now: u64) -> bool {
        let known = self.limits.lock();
        known.beyond.is_idle(now) && known.by_origin.iter().all(|(_, limit)| limit.is_idle(now))
    }

    /// The limit of an origin. Short: a look-up, and for a new origin one allocation.
    fn of(&self, origin: &str, now: u64) -> Arc<Limit> {
        let mut known = self.limits.lock();
        if let Some(limit) = known.by_origin.get(origin) {
            return Arc::clone(limit);
        }
        if known.by_origin.len() >= MAX_ORIGINS {
            match known.by_origin.peek_lru() {
                Some((_, oldest)) if !oldest.is_idle(now) => return Arc::clone(&known.beyond),
                _ => drop(known.by_origin.pop_lru()),
            }
        }
        let limit = Arc::new(Limit::new(&known.params, &self.signals));
        known.by_origin.put(origin.into(), Arc::clone(&limit));
        limit
    }
}
