use sentinel_core::{Entry, Outcome};

/// The entry of a request, for as long as the request lasts.
///
/// Dropped before it is [concluded](Guard::conclude), the request was cancelled: its outcome is ignored. Dropped by a
/// panic, it failed.
#[derive(Debug)]
#[must_use = "dropping the guard ends the call as cancelled"]
pub struct Guard(Option<Entry>);

impl Guard {
    pub(crate) fn new(entry: Entry) -> Self {
        Self(Some(entry))
    }

    /// The guard of a request that does not enter anything.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Ends the call.
    pub fn conclude(mut self, outcome: Outcome) {
        let Some(mut entry) = self.0.take() else { return };
        match outcome {
            Outcome::Error => entry.fail(),
            Outcome::Ignored => entry.ignore(),
            _ => {}
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut entry) = self.0.take() {
            entry.ignore();
        }
    }
}
