use std::{fmt, sync::Arc, time::Duration};

use super::{Attempt, Ended};
use crate::{
    clock::saturating_nanos,
    families::{Cause, FAMILIES},
    plan::Stage,
    sentinel::BuildError,
};

/// A check of one's own, asked for every call of an instance.
///
/// Registered with [`Builder::check`](crate::Builder::check), at its [`Position`] among the families. It is the same
/// for all resources, and says [`Pass`](CheckAnswer::Pass) where it is not about one. It is not a rule: no document
/// changes it, and what it lets through or refuses when, is its own to know.
///
/// # What it may do
///
/// It runs on the thread that asks, often in async code, outside of any lock: it decides from what it has in memory,
/// and does not block. It may be asked more often than calls are admitted: a later rule may refuse, a call may give up
/// waiting, and a resource that is given up at this moment is looked up and asked for anew. So what it takes it takes
/// by [holding](CheckAnswer::Hold), which is given back if the call does not come in. It does not enter the resource
/// itself: that would ask it again.
///
/// # Cost
///
/// With a check (or an [observer](crate::Observer)) registered, every call takes the way through all families instead of
/// the short one, also where there is one rule or none: with one flow rule some 900 instructions instead of 280. Each
/// check is one dynamic call; what is held is an allocation.
///
/// # Panics
///
/// Its panic goes on to whoever entered, after what the call took so far has been given back; the call counts neither as
/// passed nor as blocked. The next call asks the check again.
///
/// # When not to use it
///
/// Where a rule can say it: rules are documents, reloads and dry runs. For what concerns one resource only and holds
/// nothing: an `if` before the call is shorter.
///
/// # Example
///
/// At most two exports at a time, for the whole instance, whatever resource they enter:
///
/// ```
/// use std::{fmt, sync::{Arc, Mutex}, time::Duration};
/// use sentinel_core::{CheckAnswer, Attempt, CustomCheck, Ended, Held, Position, Refusal, Sentinel};
///
/// struct Exports(Arc<Mutex<u32>>);
///
/// /// One export; dropped when it is over, or when it is refused elsewhere.
/// struct Export(Arc<Mutex<u32>>);
///
/// impl CustomCheck for Exports {
///     fn name(&self) -> &'static str {
///         "exports"
///     }
///
///     fn check(&self, attempt: &Attempt<'_>) -> CheckAnswer {
///         if !attempt.resource.name.starts_with("export ") {
///             return CheckAnswer::Pass;
///         }
///         let mut open = self.0.lock().unwrap();
///         if *open == 2 {
///             return Refusal::new().seen(2.0, 2.0).retry_after(Duration::from_secs(1)).into();
///         }
///         *open += 1;
///         CheckAnswer::hold(Export(self.0.clone()))
///     }
///
///     fn explain(&self, refusal: &Refusal, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         write!(f, "{} of {} are open", refusal.observed, refusal.threshold)
///     }
/// }
///
/// impl Drop for Export {
///     fn drop(&mut self) {
///         *self.0.lock().unwrap() -= 1;
///     }
/// }
///
/// impl Held for Export {}
///
/// let sentinel = Sentinel::builder().check(Position::Before("flow"), Exports(Arc::default())).build()?;
/// let first = sentinel.enter("export a").immediately().unwrap();
/// let _second = sentinel.enter("export b").immediately().unwrap();
/// let refused = sentinel.enter("export c").immediately().unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "exports check blocks `export c`: 2 of 2 are open, try again in 1s",
/// );
/// drop(first);
/// assert!(sentinel.enter("export c").immediately().is_ok());
/// # Ok::<(), sentinel_core::BuildError>(())
/// ```
pub trait CustomCheck: Send + Sync + 'static {
    /// What refusals name as their [family](crate::Blocked::family): a name that no family and no other check of the
    /// instance has. Asked once.
    fn name(&self) -> &'static str;

    /// Decides, and takes in the same step.
    fn check(&self, attempt: &Attempt<'_>) -> CheckAnswer;

    /// Says why a call was refused, in the middle of a sentence. Asked only when a [`Blocked`](crate::Blocked) is
    /// shown; without one's own, the numbers.
    fn explain(&self, refusal: &Refusal, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", refusal.observed, refusal.threshold)
    }
}

impl<T: CustomCheck + ?Sized> CustomCheck for Arc<T> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn check(&self, attempt: &Attempt<'_>) -> CheckAnswer {
        (**self).check(attempt)
    }

    fn explain(&self, refusal: &Refusal, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).explain(refusal, f)
    }
}

/// The place of a [`CustomCheck`] in the order in which a call meets families and checks.
///
/// Checks at one place are asked in the order in which they were registered. First is before the first family, last after
/// the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Before all families: for what is decided in a moment, and for what should not cost a call its place in a queue.
    First,
    /// Before a [family](crate::FAMILIES).
    Before(&'static str),
    /// After a [family](crate::FAMILIES): a call that has to wait there meets the check when its wait is over.
    After(&'static str),
    /// After all families: for what only calls may take that come in.
    Last,
}

/// What a [`CustomCheck`] says to a call.
pub enum CheckAnswer {
    /// It may go on.
    Pass,
    /// It may go on, and holds something until it ends.
    Hold(Box<dyn Held>),
    /// It is refused.
    Block(Refusal),
}

impl CheckAnswer {
    /// The call may go on, and holds this.
    pub fn hold(held: impl Held) -> Self {
        Self::Hold(Box::new(held))
    }
}

impl From<Refusal> for CheckAnswer {
    fn from(refusal: Refusal) -> Self {
        Self::Block(refusal)
    }
}

impl fmt::Debug for CheckAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("Pass"),
            Self::Hold(_) => f.write_str("Hold(..)"),
            Self::Block(refusal) => f.debug_tuple("Block").field(refusal).finish(),
        }
    }
}

/// What a call holds of a [`CustomCheck`] while it waits and while it runs.
///
/// It [ends](Held::end) with the call, or is just dropped where the call does not come in: a later rule refuses, or the
/// call gives up waiting. One of the two happens, once, on whichever thread the call is by then, and in reverse order:
/// after the rules and checks behind have got back what is theirs, and before those in front do.
///
/// A closure that takes an [`Ended`] is such a thing as well: what it owns is what is held.
///
/// If it panics, at its end or when it is dropped, the panic hook says so, and that is all.
pub trait Held: Send + Sync + 'static {
    /// The admitted call is over. Without one's own, this drops what is held.
    fn end(self: Box<Self>, _ended: &Ended<'_>) {}
}

impl<F: FnOnce(&Ended<'_>) + Send + Sync + 'static> Held for F {
    fn end(self: Box<Self>, ended: &Ended<'_>) {
        self(ended);
    }
}

/// Why a [`CustomCheck`] refuses a call, in numbers; [`explain`](CustomCheck::explain) makes words of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Refusal {
    /// What was seen, in the unit of the threshold; default 0.
    pub observed: f64,
    /// What is admitted; default 0.
    pub threshold: f64,
    /// How long until trying again may help: not earlier. `None`, the default, when it never will.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal without numbers, and for good.
    pub const fn new() -> Self {
        Self { observed: 0.0, threshold: 0.0, retry_after: None }
    }

    /// Says what was seen, of what is admitted.
    #[must_use]
    pub const fn seen(mut self, observed: f64, threshold: f64) -> Self {
        self.observed = observed;
        self.threshold = threshold;
        self
    }

    /// Says when trying again may help: not earlier.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(super) fn cause(&self) -> Cause {
        let Self { observed, threshold, retry_after } = *self;
        Cause { observed, threshold, retry_after: retry_after.map_or(u64::MAX, saturating_nanos) }
    }
}

impl From<&Cause> for Refusal {
    fn from(cause: &Cause) -> Self {
        Self { observed: cause.observed, threshold: cause.threshold, retry_after: cause.retry_after() }
    }
}

impl Position {
    /// The family that comes next, counted from the first.
    pub(super) fn before(self) -> Result<u16, BuildError> {
        let place = |given| {
            let found = FAMILIES.iter().position(|name| *name == given);
            found.map(|place| place as u16).ok_or(BuildError::UnknownFamily { given })
        };
        match self {
            Self::First => Ok(0),
            Self::Before(family) => place(family),
            Self::After(family) => Ok(place(family)? + 1),
            Self::Last => Ok(Stage::END),
        }
    }
}
