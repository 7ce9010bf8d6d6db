//! All backends and how they stand: what is decided under the lock. Time is an argument here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    OutlierConfig,
    judge::{Counts, most_out, outliers},
    member::{Member, Stamp},
    snapshot::{BackendSnapshot, BackendState, EjectionCause},
};
use crate::{clock::saturating_nanos, statistics::Outcome, sync::dice::Dice};

/// What became of backends, to be told once the lock is free.
pub(super) enum Change {
    Ejected { name: Arc<str>, cause: EjectionCause, duration: u64 },
    Returned { name: Arc<str> },
}

/// All backends that are watched.
///
/// However it is left, no more of them are out than may be.
#[derive(Default)]
pub(super) struct Backends {
    // In the order of their names, so that the same calls come to the same.
    by_name: BTreeMap<Arc<str>, Standing>,
    /// How many are not in service.
    out: usize,
    changes: Vec<Change>,
}

/// How one backend stands.
struct Standing {
    member: Arc<Member>,
    stage: Stage,
    multiplier: u32,
    ejections: u64,
    /// When it was last looked up, or seen with a handle.
    used: u64,
}

enum Stage {
    InService,
    /// Until it is due, and then until its first probe.
    Ejected,
    Probation {
        passed: u32,
        /// The number of the newest probe.
        probe: u64,
    },
}

impl Backends {
    /// The backend of a name, if it is watched.
    pub(super) fn get(&mut self, name: &str, now: u64) -> Option<Arc<Member>> {
        let standing = self.by_name.get_mut(name)?;
        standing.used = now;
        Some(Arc::clone(&standing.member))
    }

    /// Watches a backend, if there is room for one of `max`, or one in service without a handle that makes some.
    pub(super) fn add(&mut self, member: &Arc<Member>, max: usize, now: u64) {
        if self.by_name.len() >= max {
            let idle = self.by_name.values().filter(|standing| standing.is_idle()).min_by_key(|standing| standing.used);
            let Some(name) = idle.map(|standing| Arc::clone(&standing.member.name)) else { return };
            self.by_name.remove(&name);
        }
        let standing =
            Standing { member: Arc::clone(member), stage: Stage::InService, multiplier: 0, ejections: 0, used: now };
        self.by_name.insert(Arc::clone(&member.name), standing);
    }

    /// Stops watching a backend.
    pub(super) fn forget(&mut self, name: &str, config: &OutlierConfig) {
        if let Some(standing) = self.by_name.remove(name) {
            self.release(standing);
            self.keep_share(config);
        }
    }

    /// Stops watching anything.
    pub(super) fn clear(&mut self) {
        std::mem::take(&mut self.by_name).into_values().for_each(|standing| self.release(standing));
    }

    /// Lets go of a backend: who has a handle on it may call it.
    fn release(&mut self, mut standing: Standing) {
        if !standing.is_serving() {
            let change = standing.come_back();
            self.changes.push(change);
            self.out -= 1;
        }
    }

    /// Begins a call to a backend that is not in service: a probe, if it is time for one.
    pub(super) fn probe(&mut self, member: &Member, config: &OutlierConfig, now: u64) -> Option<Stamp> {
        let period = member.period();
        let Some(standing) = self.of(member) else { return Some(Stamp::Nothing) };
        if member.is_out_at(now) {
            return None;
        }
        let (passed, probe) = match standing.stage {
            Stage::InService => return Some(Stamp::Service { period }),
            Stage::Ejected => (0, 0),
            Stage::Probation { passed, probe } => (passed, probe),
        };
        let number = probe.wrapping_add(1);
        standing.stage = Stage::Probation { passed, probe: number };
        // A probe that has not ended by then is not waited for any longer.
        member.hold_until(now.saturating_add(saturating_nanos(config.base_ejection_time)));
        Some(Stamp::Probe { period, number })
    }

    /// Ends a probe.
    pub(super) fn probed(
        &mut self,
        member: &Member,
        (period, number): (u64, u64),
        outcome: Outcome,
        terms: &Terms<'_>,
    ) {
        let Some(standing) = self.of(member) else { return };
        let Stage::Probation { passed, probe } = &mut standing.stage else { return };
        if member.period() != period {
            return;
        }
        match outcome {
            Outcome::Error => {
                let change = standing.eject(EjectionCause::FailedProbe, terms);
                self.changes.push(change);
                return;
            }
            Outcome::Ok => *passed += 1,
            Outcome::Ignored => {}
        }
        if *passed >= terms.config.probes {
            let change = standing.come_back();
            self.changes.push(change);
            self.out -= 1;
        } else if *probe == number {
            member.hold_until(terms.now);
        }
    }

    /// Ejects a backend for a row of errors in a period, if that goes on and the share allows it.
    pub(super) fn eject(&mut self, member: &Member, period: u64, terms: &Terms<'_>) {
        let room = self.room(terms.config);
        let Some(standing) = self.of(member) else { return };
        if room > 0 && standing.is_serving() && member.period() == period {
            let change = standing.eject(EjectionCause::ConsecutiveErrors, terms);
            self.changes.push(change);
            self.out += 1;
        }
    }

    /// Ends an interval, which may be one of several that have passed since the last sweep.
    pub(super) fn sweep(&mut self, intervals: u64, terms: &Terms<'_>) {
        let interval = saturating_nanos(terms.config.interval);
        for standing in self.by_name.values_mut() {
            if standing.has_handle() {
                standing.used = terms.now;
            }
            if standing.is_serving() {
                let rested = u32::try_from(intervals).unwrap_or(u32::MAX);
                standing.multiplier = standing.multiplier.saturating_sub(rested);
            } else if standing.member.out_until().saturating_add(interval) <= terms.now {
                // Nobody asks it for a probe: it gives up its share for others.
                self.changes.push(standing.come_back());
                self.out -= 1;
            }
        }
        self.judge(intervals == 1, terms);
        let forget_after = saturating_nanos(terms.config.forget_after);
        self.by_name
            .retain(|_, standing| !standing.is_idle() || terms.now.saturating_sub(standing.used) < forget_after);
        self.keep_share(terms.config);
    }

    pub(super) fn snapshot(&self, now: u64) -> Vec<BackendSnapshot> {
        self.by_name.values().map(|standing| standing.snapshot(now)).collect()
    }

    /// Hands over what happened.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Ejects the outliers of what was counted, the worst first, as far as the share goes. What is not `recent` says
    /// nothing.
    fn judge(&mut self, recent: bool, terms: &Terms<'_>) {
        let room = self.room(terms.config);
        let serving = self.by_name.values_mut().filter(|standing| standing.is_serving());
        let (mut serving, counts): (Vec<&mut Standing>, Vec<Counts>) = serving
            .map(|standing| {
                let (calls, errors) = standing.member.tally().take();
                (standing, Counts { calls, errors })
            })
            .unzip();
        if !recent {
            return;
        }
        for (at, cause) in outliers(terms.config, &counts).into_iter().take(room) {
            if let Some(standing) = serving.get_mut(at) {
                self.changes.push(standing.eject(cause, terms));
                self.out += 1;
            }
        }
    }

    /// Lets back into service what is too many since others were forgotten: those that would be back first.
    fn keep_share(&mut self, config: &OutlierConfig) {
        let most = most_out(config.max_ejected_share, self.by_name.len());
        let Some(surplus @ 1..) = self.out.checked_sub(most) else { return };
        let mut out: Vec<&mut Standing> = self.by_name.values_mut().filter(|standing| !standing.is_serving()).collect();
        out.sort_by_key(|standing| standing.member.out_until());
        self.changes.extend(out.into_iter().take(surplus).map(Standing::come_back));
        self.out -= surplus;
    }

    fn room(&self, config: &OutlierConfig) -> usize {
        most_out(config.max_ejected_share, self.by_name.len()).saturating_sub(self.out)
    }

    /// How a backend stands; not one of the same name that is watched in its place.
    fn of(&mut self, member: &Member) -> Option<&mut Standing> {
        self.by_name.get_mut(&member.name).filter(|standing| std::ptr::eq(&*standing.member, member))
    }
}

impl Standing {
    fn is_serving(&self) -> bool {
        matches!(self.stage, Stage::InService)
    }

    /// Whether anybody has a handle. New ones are made under the lock, or from others.
    fn has_handle(&self) -> bool {
        Arc::strong_count(&self.member) > 1
    }

    /// Whether forgetting it loses nothing but its counts.
    fn is_idle(&self) -> bool {
        self.is_serving() && !self.has_handle()
    }

    fn eject(&mut self, cause: EjectionCause, Terms { config, dice, now }: &Terms<'_>) -> Change {
        let (base, max) = (saturating_nanos(config.base_ejection_time), saturating_nanos(config.max_ejection_time));
        let times_base = |multiplier: u32| base.saturating_mul(multiplier.into());
        if times_base(self.multiplier) < max.saturating_add(base) {
            self.multiplier += 1;
        }
        let jitter = (dice.roll() * saturating_nanos(config.jitter) as f64) as u64;
        let duration = times_base(self.multiplier).min(max).saturating_add(jitter);
        self.ejections += 1;
        self.stage = Stage::Ejected;
        self.member.leave(now.saturating_add(duration));
        Change::Ejected { name: Arc::clone(&self.member.name), cause, duration }
    }

    fn come_back(&mut self) -> Change {
        self.stage = Stage::InService;
        self.member.come_back();
        Change::Returned { name: Arc::clone(&self.member.name) }
    }

    fn snapshot(&self, now: u64) -> BackendSnapshot {
        let tally = self.member.tally();
        let (calls, errors) = tally.counts();
        let remaining = Duration::from_nanos(self.member.out_until().saturating_sub(now));
        BackendSnapshot {
            name: Arc::clone(&self.member.name),
            state: match self.stage {
                Stage::InService => BackendState::InService,
                Stage::Ejected => BackendState::Ejected { remaining },
                Stage::Probation { passed, .. } => BackendState::OnProbation { passed },
            },
            calls,
            errors,
            errors_in_a_row: tally.errors_in_a_row(),
            multiplier: self.multiplier,
            ejections: self.ejections,
        }
    }
}

/// What an ejection is decided by.
pub(super) struct Terms<'a> {
    pub(super) config: &'a OutlierConfig,
    pub(super) dice: &'a Dice,
    pub(super) now: u64,
}
