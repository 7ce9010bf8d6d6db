//! Timing on a machine that is never quiet: what is compared runs in turn, round by round, and what is reported is the
//! median over the rounds of figures taken within one round.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use crate::Error;

/// How long one loop runs in one round.
const SLICE: Duration = Duration::from_millis(2);

/// Rounds differ in how deep the stack is, in so many steps.
const DEPTHS: usize = 16;

/// Calls of one kind, in a loop.
pub(crate) struct Loop {
    name: String,
    /// What has to become of the calls; a loop that does something else than its name says is an error.
    admitted: bool,
    prepare: Box<dyn Fn()>,
    run: Box<dyn Fn(u64) -> u64>,
}

impl Loop {
    /// Calls that are all admitted.
    pub(crate) fn admitted(name: impl Into<String>, call: impl Fn() -> bool + 'static) -> Self {
        Self {
            name: name.into(),
            admitted: true,
            prepare: Box::new(|| ()),
            run: Box::new(move |calls| repeat(&call, calls)),
        }
    }

    /// Calls that are all refused.
    pub(crate) fn refused(name: impl Into<String>, call: impl Fn() -> bool + 'static) -> Self {
        Self { admitted: false, ..Self::admitted(name, call) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Does something before each round, outside of the time that is taken.
    pub(crate) fn before_each_round(mut self, prepare: impl Fn() + 'static) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    fn time(&self, calls: u64, depth: usize) -> Result<f64, Error> {
        (self.prepare)();
        let (admitted, elapsed) = at_depth(depth, &|| {
            let start = Instant::now();
            ((self.run)(calls), start.elapsed())
        });
        if admitted != if self.admitted { calls } else { 0 } {
            return Err(format!("{}: {admitted} of {calls} calls were admitted", self.name).into());
        }
        Ok(elapsed.as_nanos() as f64 / calls as f64)
    }
}

/// Runs something so many steps further down the stack.
///
/// Where a store to the stack and a load from the heap happen to have the same low bits of their addresses, some
/// processors take the one for the other, and a call takes twice the time: for as long as a process lives, if the stack
/// does not move.
#[inline(never)]
fn at_depth<T>(depth: usize, run: &dyn Fn() -> T) -> T {
    let step = [0_u64; 13];
    black_box(&step);
    if depth == 0 { run() } else { at_depth(depth - 1, run) }
}

/// Makes calls and says how many were admitted.
#[inline]
pub(crate) fn repeat(call: &impl Fn() -> bool, calls: u64) -> u64 {
    let mut admitted = 0;
    for _ in 0..calls {
        admitted += u64::from(black_box(call()));
    }
    admitted
}

/// Nanoseconds per call of each loop in each round.
pub(crate) struct Timings(Vec<(String, Vec<f64>)>);

impl Timings {
    /// Runs the loops in turn.
    pub(crate) fn take(loops: &[Loop], rounds: usize) -> Result<Self, Error> {
        let mut sized = Vec::with_capacity(loops.len());
        for each in loops {
            // The first run warms up; the second tells how many calls fill a slice.
            each.time(1_000, 0)?;
            let calls = (SLICE.as_nanos() as f64 / each.time(1_000, 0)?).clamp(100.0, 200_000.0) as u64;
            sized.push((each, calls));
        }
        let mut times: Vec<_> = loops.iter().map(|each| (each.name.clone(), Vec::with_capacity(rounds))).collect();
        for round in 0..rounds {
            for turn in 0..sized.len() {
                let index = (round + turn) % sized.len();
                let (each, calls) = sized[index];
                times[index].1.push(each.time(calls, round % DEPTHS)?);
            }
        }
        Ok(Self(times))
    }

    /// The median time of a loop.
    pub(crate) fn nanos(&self, name: &str) -> f64 {
        median(self.of(name).to_vec())
    }

    /// The median of how many times longer the first loop takes.
    pub(crate) fn ratio(&self, name: &str, to: &str) -> f64 {
        self.compare(name, to, |a, b| a / b)
    }

    /// The median of how much longer the first loop takes.
    pub(crate) fn difference(&self, name: &str, to: &str) -> f64 {
        self.compare(name, to, |a, b| a - b)
    }

    /// The median of how many times what the first loop takes beyond the second is what the third one takes.
    pub(crate) fn ratio_of_difference(&self, name: &str, from: &str, to: &str) -> f64 {
        let differences = self.of(name).iter().zip(self.of(from)).map(|(a, b)| a - b);
        median(differences.zip(self.of(to)).map(|(difference, to)| difference / to).collect())
    }

    fn compare(&self, a: &str, b: &str, by: impl Fn(f64, f64) -> f64) -> f64 {
        median(self.of(a).iter().zip(self.of(b)).map(|(a, b)| by(*a, *b)).collect())
    }

    fn of(&self, name: &str) -> &[f64] {
        self.0.iter().find(|(known, _)| *known == name).map_or(&[], |(_, times)| times)
    }
}

/// The value in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_does_something_else_than_it_says_is_an_error() {
        assert!(Timings::take(&[Loop::admitted("admitted", || true), Loop::refused("refused", || false)], 3).is_ok());
        assert!(Timings::take(&[Loop::admitted("admitted", || false)], 3).is_err());
        assert!(Timings::take(&[Loop::refused("refused", || true)], 3).is_err());
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        let timings = Timings(vec![("a".to_owned(), vec![2.0, 20.0, 60.0]), ("b".to_owned(), vec![1.0, 10.0, 20.0])]);
        assert_eq!(timings.ratio("a", "b"), 2.0);
        assert_eq!(timings.difference("a", "b"), 10.0);
        assert_eq!(timings.ratio_of_difference("a", "b", "b"), 1.0);
        assert_eq!(timings.nanos("a"), 20.0);
    }
}
