use sentinel_core::{Blocked, Decision, Sentinel};

use crate::Guard;

/// What a [`SentinelLayer`](crate::SentinelLayer) has to know of requests and answers: [`Http`](crate::Http),
/// [`Calls`](crate::Calls), or one's own.
///
/// `Res` and `Err` are what the service inside answers.
pub trait Protocol<Req, Res, Err> {
    /// What the service with the layer answers.
    type Response;
    /// What the service with the layer fails with.
    type Error;
    /// What is needed once the request is gone.
    type Kept;

    /// Asks to enter; `None` lets the request through as if there were no layer.
    fn enter(&self, sentinel: &Sentinel, request: &mut Req) -> Option<Decision>;

    /// Keeps what [`conclude`](Protocol::conclude) needs, of this and of an admitted request.
    fn keep(&self, request: &Req) -> Self::Kept;

    /// The answer to a request that is refused.
    ///
    /// # Errors
    ///
    /// Where a refusal is an error.
    fn refuse(&self, blocked: Blocked, request: &Req) -> Result<Self::Response, Self::Error>;

    /// The error of a service that does not become ready.
    fn not_ready(error: Err) -> Self::Error;

    /// Takes note of what the service inside answered: [concludes](Guard::conclude) the call, or puts the guard to where
    /// its end will be seen.
    ///
    /// # Errors
    ///
    /// Those of the service.
    fn conclude(result: Result<Res, Err>, guard: Guard, kept: Self::Kept) -> Result<Self::Response, Self::Error>;
}
