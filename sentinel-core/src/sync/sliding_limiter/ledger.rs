//! What the limiter keeps behind its lock: the books, without anything atomic.

use std::collections::VecDeque;

/// Permits that were taken no later than a moment.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
struct Group {
    at: u64,
    permits: u32,
}

/// Who has the permits that are not left in the limiter's word. Moments are in ticks.
///
/// The balance, at any time the lock is free:
///
/// ```text
/// left + reserve + taken (open group and finished ones) + lent = threshold + debt
/// ```
#[derive(Debug)]
pub(super) struct Ledger {
    /// Permits given to the open group so far: those that are not left in the word were taken.
    pub(super) granted: u64,
    /// Free permits that did not fit the word.
    pub(super) reserve: u64,
    /// Permits to swallow when they come back: the threshold was lowered, or they were lent in advance.
    pub(super) debt: u64,
    /// The open group began here.
    pub(super) began: u64,
    /// Whatever was taken before this moment has come back already.
    gone: u64,
    /// Finished groups, oldest first; each begins after the one before it has ended.
    finished: VecDeque<Group>,
    /// Loans by the moment they are due, all in the future of the last roll.
    loans: VecDeque<Group>,
}

impl Ledger {
    pub(super) fn new(threshold: u64, granted: u64) -> Self {
        Self {
            granted,
            reserve: threshold - granted,
            debt: 0,
            began: 0,
            gone: 0,
            finished: VecDeque::new(),
            loans: VecDeque::new(),
        }
    }

    /// Makes permits free; those that are owed are swallowed.
    pub(super) fn free(&mut self, permits: u64) {
        let swallowed = permits.min(self.debt);
        self.debt -= swallowed;
        self.reserve += permits - swallowed;
    }

    /// Drops the groups that have left the interval; returns how many permits come back with them.
    pub(super) fn expire(&mut self, now: u64, interval: u64) -> u64 {
        let mut back = 0;
        while let Some(group) = self.finished.front().filter(|group| group.at.saturating_add(interval) <= now) {
            back += u64::from(group.permits);
            self.gone = group.at.saturating_add(1);
            self.finished.pop_front();
        }
        back
    }

    /// Takes out the first loan that is due at `now`: its due moment, and its permits.
    pub(super) fn mature(&mut self, now: u64) -> Option<(u64, u64)> {
        let loan = self.loans.front().copied().filter(|loan| loan.at <= now)?;
        self.loans.pop_front();
        Some((loan.at, u64::from(loan.permits)))
    }

    /// Files the open group, whose permits were taken no later than `end`.
    ///
    /// Returns the permits for which there is no room, beyond 32 bits; they are taken with the next group.
    pub(super) fn finish(&mut self, end: u64, permits: u64, most: usize) -> u64 {
        let filed = u32::try_from(permits).unwrap_or(u32::MAX);
        if filed > 0 {
            push(&mut self.finished, Group { at: end, permits: filed }, most);
        }
        permits - u64::from(filed)
    }

    /// Forgets the open group, whose permits have all come back; its end was `end`.
    pub(super) fn forget(&mut self, end: u64) {
        self.gone = end.saturating_add(1);
    }

    /// Whether permits taken at `stamp` have come back already.
    pub(super) fn is_gone(&self, stamp: u64) -> bool {
        stamp < self.gone
    }

    /// Takes permits out of the finished group that holds `stamp`; returns how many were in it.
    pub(super) fn take_back(&mut self, stamp: u64, permits: u64) -> u64 {
        let place = self.finished.partition_point(|group| group.at < stamp);
        reduce(&mut self.finished, place, permits)
    }

    /// The first moment at which so many permits have come back with finished groups that nothing is owed and `permits`
    /// more are free. No loan is due earlier than one that was made before it.
    pub(super) fn due(&self, permits: u64, interval: u64) -> Option<u64> {
        let mut missing = self.debt.saturating_add(permits);
        let group = self.finished.iter().find(|group| {
            missing = missing.saturating_sub(u64::from(group.permits));
            missing == 0
        })?;
        Some(group.at.saturating_add(interval).max(self.loans.back().map_or(0, |loan| loan.at)))
    }

    /// Lends permits that come back by `due`.
    pub(super) fn lend(&mut self, due: u64, permits: u32, most: usize) {
        self.debt += u64::from(permits);
        match self.loans.back_mut().map(|loan| (loan.at, loan.permits.checked_add(permits), loan)) {
            Some((at, Some(sum), loan)) if at == due => loan.permits = sum,
            _ => push(&mut self.loans, Group { at: due, permits }, most),
        }
    }

    /// Takes permits out of a loan that is not due yet; returns how many were in it.
    pub(super) fn cancel(&mut self, due: u64, permits: u64) -> u64 {
        match self.loans.iter().position(|loan| loan.at == due) {
            Some(place) => reduce(&mut self.loans, place, permits),
            None => 0,
        }
    }

    /// Permits that at `now` are taken: of finished groups, and of loans due by then.
    pub(super) fn out(&self, now: u64, interval: u64) -> u64 {
        let is_out = |at: u64| at.saturating_add(interval) > now;
        sum(&self.finished, is_out) + sum(&self.loans, |due| due <= now && is_out(due))
    }

    /// Whether nothing is out at `now`, nor promised for later.
    pub(super) fn is_settled(&self, now: u64, interval: u64) -> bool {
        self.out(now, interval) == 0 && sum(&self.loans, |due| due > now) == 0
    }

    /// The first moment after `now` at which permits can come back.
    pub(super) fn next_return(&self, now: u64, interval: u64) -> u64 {
        let oldest = self.finished.front().map_or(self.began, |group| group.at);
        oldest.saturating_add(interval).max(now.saturating_add(1))
    }

    /// Bytes on the heap.
    #[cfg(all(test, not(loom)))]
    pub(super) fn heap_bytes(&self) -> usize {
        (self.finished.capacity() + self.loans.capacity()) * size_of::<Group>()
    }
}

/// Appends a group; makes room for `most` at once, so that this is the only allocation.
fn push(groups: &mut VecDeque<Group>, group: Group, most: usize) {
    if groups.len() == groups.capacity() {
        groups.reserve_exact(most.saturating_sub(groups.len()).max(1));
    }
    groups.push_back(group);
}

/// Takes permits out of a group, and the group away when it is empty, so that no more places are needed than there
/// are permits.
fn reduce(groups: &mut VecDeque<Group>, place: usize, permits: u64) -> u64 {
    let Some(group) = groups.get_mut(place) else { return 0 };
    let back = permits.min(u64::from(group.permits));
    // At most what is there, so it fits.
    group.permits -= back as u32;
    if group.permits == 0 {
        groups.remove(place);
    }
    back
}

fn sum(groups: &VecDeque<Group>, counts: impl Fn(u64) -> bool) -> u64 {
    groups.iter().filter(|group| counts(group.at)).map(|group| u64::from(group.permits)).sum()
}
