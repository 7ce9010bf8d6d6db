use std::sync::Arc;

use super::{Attempt, Ended};
use crate::blocked::Blocked;

/// Sees what becomes of every call of an instance.
///
/// Registered with [`Builder::observer`](crate::Builder::observer). Each admitted call is told once when it enters and
/// once when it ends, each refusal once: what is counted is what is told. A call that gives up waiting is neither
/// passed nor blocked, and not told.
///
/// # What it may do
///
/// It runs on the thread of the call, outside of any lock, and the call waits for it: write a line, add to a counter,
/// send to a channel that does not block. What it is told has happened; what the call took is given back before a
/// refusal or an end is told. If it panics, the panic hook says so, and that is all.
///
/// # Cost
///
/// With an observer (or a [check](crate::CustomCheck)) registered, every call takes the way through all families instead of
/// the short one, also where there is one rule or none: with one flow rule some 700 instructions instead of 280. Each
/// observer is one dynamic call each time.
///
/// # When not to use it
///
/// For numbers: [`Sentinel::snapshot`](crate::Sentinel::snapshot) has them, and costs calls nothing. For what happens
/// to the instance, such as reloads: [`Sentinel::subscribe`](crate::Sentinel::subscribe). To decide: that is a
/// [`CustomCheck`](crate::CustomCheck).
///
/// # Example
///
/// ```
/// use sentinel_core::{Attempt, Blocked, FlowRule, Observer, Rules, Sentinel};
///
/// struct Log;
///
/// impl Observer for Log {
///     fn blocked(&self, attempt: &Attempt<'_>, blocked: &Blocked) {
///         eprintln!("{:?} {}: {blocked}", attempt.now, attempt.call.caller());
///     }
/// }
///
/// let sentinel = Sentinel::builder().observer(Log).build()?;
/// sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("orders", 0.0)]))?;
/// assert!(sentinel.enter("orders").immediately().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Observer: Send + Sync + 'static {
    /// The call is admitted: at once, or after a wait.
    fn passed(&self, _attempt: &Attempt<'_>) {}

    /// The call is refused: by a rule, by a check, or because it would have had to wait and
    /// [does not](crate::Decision::immediately).
    fn blocked(&self, _attempt: &Attempt<'_>, _blocked: &Blocked) {}

    /// The admitted call is over.
    fn ended(&self, _ended: &Ended<'_>) {}
}

impl<T: Observer + ?Sized> Observer for Arc<T> {
    fn passed(&self, attempt: &Attempt<'_>) {
        (**self).passed(attempt);
    }

    fn blocked(&self, attempt: &Attempt<'_>, blocked: &Blocked) {
        (**self).blocked(attempt, blocked);
    }

    fn ended(&self, ended: &Ended<'_>) {
        (**self).ended(ended);
    }
}
