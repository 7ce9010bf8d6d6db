//! Permits in flight under a limit, counted so that threads do not meet where there are many left.

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;

use std::sync::OnceLock;

use super::{
    primitive::{AtomicU32, AtomicU64, Mutex, Ordering},
    threads,
};

/// Permits that a thread takes in advance, for its next calls; it keeps up to twice as many.
const BATCH: u32 = 4;
/// Where so many permits are free for each thread, they may keep some, and as many are left.
const PLENTY: u32 = 4 * BATCH;
/// Bits of the word that are marks; the others are the free permits, which may be less than none.
const MARK_BITS: u32 = 2;
/// There may be permits in cells.
const SPREAD: u64 = 1;
/// Permits are on their way from cells to the word.
const COLLECTING: u64 = 2;

/// A limit on permits in flight for calls that never wait for one.
///
/// Where many are free, each thread keeps a few in a *cell* of its own, takes from there and gives back to there, so that
/// calls of several threads write no common word. Where few are free they are collected from the cells, and all calls
/// share one word.
///
/// # Why this is correct
///
/// *No permit is lost or doubled.* Each is free in the word, in a cell, with a call, or in the hands of a thread that
/// moves it. It is moved by read-modify-writes that take it out of one place before it is put into another, and a
/// change of the limit adds the difference to the word. So the permits of all places always add up to the limit.
///
/// *Never above the limit.* Only the word can hold less than none, after the limit was lowered. Who takes from the word
/// has seen that it holds enough, in the same step. Who takes from a cell looks at the word after that: if that does
/// not hold less than none, then no place does, so those with calls are at most the limit; otherwise what was taken is
/// put back. All of this is sequentially consistent, so the word that is looked at is the one of that moment.
///
/// *Nobody is refused while permits lie in cells.* Who puts permits into a cell sees to it afterwards that the word is
/// marked as spread. Who collects takes that mark away before looking into the cells: either the permits are found
/// there, or whoever put them finds the mark gone and sets it again. A call is refused by a word that holds too few and
/// has no mark. While somebody collects there is another mark, with which a call waits for the lock under which that is
/// done, collects once itself, and looks again.
///
/// Models: `sync/spread_gauge/models.rs`.
#[derive(Debug)]
pub(crate) struct SpreadGauge {
    word: AtomicU64,
    limit: AtomicU32,
    /// With as many free, threads keep some.
    plenty: i64,
    batch: u32,
    cells: OnceLock<Box<[Cell]>>,
    /// Held by who collects or changes the limit.
    changing: Mutex<()>,
}

/// Free permits that a thread keeps, apart from what other threads write.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell(AtomicU32);

impl SpreadGauge {
    pub(crate) fn new(limit: u32) -> Self {
        let owners = u32::try_from(threads::owners()).unwrap_or(u32::MAX);
        Self::with(limit, i64::from(PLENTY) * i64::from(owners), BATCH)
    }

    /// Models are small.
    fn with(limit: u32, plenty: i64, batch: u32) -> Self {
        Self {
            word: AtomicU64::new(permits(limit)),
            limit: AtomicU32::new(limit),
            plenty,
            batch,
            cells: OnceLock::new(),
            changing: Mutex::new(()),
        }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the limit. What is in flight stays.
    pub(crate) fn set_limit(&self, limit: u32) {
        let changing = self.changing.lock();
        let before = self.limit.swap(limit, Ordering::Relaxed);
        self.word.fetch_add(permits(limit).wrapping_sub(permits(before)), Ordering::SeqCst);
        // What lies in cells may not be free any more.
        self.collect();
        drop(changing);
    }

    /// Permits in flight; those that are moved at this moment count.
    pub(crate) fn in_flight(&self) -> u32 {
        let word = self.word.load(Ordering::SeqCst);
        let kept = if word & SPREAD == 0 { 0 } else { self.cells().iter().map(Cell::kept).sum() };
        self.beyond(word, kept)
    }

    /// Permits in flight, and those that other threads keep.
    #[inline]
    pub(crate) fn in_flight_at_most(&self) -> u32 {
        self.beyond(self.word.load(Ordering::Relaxed), self.cell().map_or(0, Cell::kept))
    }

    /// Takes permits, if so many are free and others are left.
    ///
    /// # Cost
    ///
    /// One compare-exchange: of a word that no other thread writes, where many permits are free.
    #[inline]
    pub(crate) fn acquire(&self, count: u32, left: u32) -> bool {
        if count == 0 {
            return true;
        }
        if left == 0
            && let Some(cell) = self.cell()
            && cell.take(count)
        {
            settle();
            if free(self.word.load(Ordering::SeqCst)) >= 0 {
                return true;
            }
            self.word.fetch_add(permits(count), Ordering::SeqCst);
        }
        self.acquire_shared(count, left)
    }

    /// Takes permits, however many, if none is in flight.
    #[cold]
    pub(crate) fn acquire_alone(&self, count: u32) -> bool {
        if self.in_flight() > 0 {
            return false;
        }
        let _changing = self.changing.lock();
        self.collect();
        let word = self.word.load(Ordering::SeqCst);
        let idle = free(word) == i64::from(self.limit());
        let after = word.wrapping_sub(permits(count));
        idle && self.word.compare_exchange(word, after, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Gives permits back.
    ///
    /// # Cost
    ///
    /// One read-modify-write: of a word that no other thread writes, where many permits are free.
    #[inline]
    pub(crate) fn release(&self, count: u32) {
        match self.cell() {
            Some(cell) if count <= self.batch && free(self.word.load(Ordering::Relaxed)) >= self.plenty => {
                self.keep(cell, count);
            }
            _ => _ = self.word.fetch_add(permits(count), Ordering::SeqCst),
        }
    }

    /// Takes from the word, and some more where there are many.
    #[inline(never)]
    fn acquire_shared(&self, count: u32, left: u32) -> bool {
        let needed = i64::from(count) + i64::from(left);
        let (mut word, mut has_collected) = (self.word.load(Ordering::SeqCst), false);
        loop {
            let free = free(word);
            if free < needed {
                // What was put into cells since was given back after this call asked.
                if has_collected || word & (SPREAD | COLLECTING) == 0 {
                    return false;
                }
                let changing = self.changing.lock();
                self.collect();
                drop(changing);
                (word, has_collected) = (self.word.load(Ordering::SeqCst), true);
                continue;
            }
            let is_plenty = left == 0 && count <= self.batch && free >= self.plenty.max(needed + i64::from(self.batch));
            let batch = if is_plenty { self.batch } else { 0 };
            let after = word.wrapping_sub(permits(count + batch));
            match self.word.compare_exchange_weak(word, after, Ordering::SeqCst, Ordering::SeqCst) {
                Err(seen) => word = seen,
                Ok(_) => {
                    if batch > 0 {
                        self.spread(batch);
                    }
                    return true;
                }
            }
        }
    }

    /// Puts permits, which are nobody's, into the cell of the thread.
    fn spread(&self, count: u32) {
        threads::register();
        self.cells.get_or_init(|| (0..threads::owners()).map(|_| Cell::default()).collect());
        match self.cell() {
            Some(cell) => self.keep(cell, count),
            None => _ = self.word.fetch_add(permits(count), Ordering::SeqCst),
        }
    }

    /// Puts permits into a cell; those that are too many for it go to the word.
    #[inline]
    fn keep(&self, cell: &Cell, count: u32) {
        let kept = cell.0.fetch_add(count, Ordering::SeqCst).saturating_add(count);
        settle();
        if self.word.load(Ordering::SeqCst) & SPREAD == 0 {
            self.word.fetch_or(SPREAD, Ordering::SeqCst);
        }
        if kept > 2 * self.batch && cell.take(self.batch) {
            self.word.fetch_add(permits(self.batch), Ordering::SeqCst);
        }
    }

    /// Brings the permits of all cells to the word; under the lock.
    fn collect(&self) {
        if self.word.load(Ordering::SeqCst) & SPREAD == 0 {
            return;
        }
        // Both in one step: the word has one of the marks until all is there. An addition, since one mark is set and the
        // other is not.
        self.word.fetch_add(COLLECTING - SPREAD, Ordering::SeqCst);
        settle();
        for cell in self.cells() {
            let kept = cell.0.swap(0, Ordering::SeqCst);
            self.word.fetch_add(permits(kept), Ordering::SeqCst);
        }
        self.word.fetch_and(!COLLECTING, Ordering::SeqCst);
    }

    fn cells(&self) -> &[Cell] {
        self.cells.get().map_or(&[], |cells| cells)
    }

    /// The cell of the calling thread.
    #[inline]
    fn cell(&self) -> Option<&Cell> {
        self.cells.get()?.get(threads::number())
    }

    fn beyond(&self, word: u64, kept: u32) -> u32 {
        let in_flight = i64::from(self.limit()) - free(word) - i64::from(kept);
        in_flight.clamp(0, u32::MAX.into()) as u32
    }
}

impl Cell {
    #[inline]
    fn kept(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Takes permits, if there are as many.
    #[inline]
    fn take(&self, count: u32) -> bool {
        let mut kept = self.0.load(Ordering::Relaxed);
        while let Some(rest) = kept.checked_sub(count) {
            match self.0.compare_exchange_weak(kept, rest, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => kept = seen,
            }
        }
        false
    }
}

/// Models take accesses that are sequentially consistent for weaker ones, and need a fence between them.
#[inline(always)]
fn settle() {
    #[cfg(loom)]
    super::primitive::fence(Ordering::SeqCst);
}

/// Permits, as the word counts them.
#[inline]
fn permits(count: u32) -> u64 {
    u64::from(count) << MARK_BITS
}

#[inline]
fn free(word: u64) -> i64 {
    word.cast_signed() >> MARK_BITS
}
