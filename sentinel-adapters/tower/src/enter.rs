use sentinel_core::{Call, Decision, Sentinel, Target};

/// The resource that a request is about to enter.
#[derive(Debug)]
#[must_use = "the request has to enter"]
pub struct Enter<'a> {
    sentinel: &'a Sentinel,
    target: Target<'a>,
}

impl<'a> Enter<'a> {
    pub(crate) fn new(sentinel: &'a Sentinel, target: Target<'a>) -> Self {
        Self { sentinel, target }
    }

    /// Enters with what the request says of itself.
    pub fn with(self, call: &Call<'_>) -> Decision {
        self.sentinel.enter_with(self.target, call)
    }
}
