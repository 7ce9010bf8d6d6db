use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use sentinel_core::{Blocked, Decision, Reservation};
use tower_service::Service;

use crate::{
    Guard, Protocol,
    layer::{Shared, Sleep},
};

pin_project! {
    /// The answer of a [`SentinelService`](crate::SentinelService).
    ///
    /// Dropped while it waits, it gives back what is reserved; dropped while the service works, the call was cancelled.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct ResponseFuture<S, P, Req>
    where
        S: Service<Req>,
        P: Protocol<Req, S::Response, S::Error>,
    {
        #[pin]
        state: State<S, P, Req>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, P, Req>
    where
        S: Service<Req>,
        P: Protocol<Req, S::Response, S::Error>,
    {
        // Boxed, so that the futures of requests that do not wait stay small.
        Waiting { waiting: Option<Box<Waiting<S, P, Req>>> },
        Calling { #[pin] future: S::Future, pending: Option<Pending<P::Kept>> },
        Refused { answer: Option<Result<P::Response, P::Error>> },
    }
}

struct Waiting<S, P, Req> {
    sleep: Sleep,
    reservation: Reservation,
    service: S,
    request: Req,
    shared: Arc<Shared<P>>,
}

impl<S, P, Req> Waiting<S, P, Req> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.reservation.poll_wait(self.sleep.as_mut(), context)
    }
}

/// What is needed when the service has answered.
struct Pending<K> {
    guard: Guard,
    kept: K,
}

impl<S, P, Req> ResponseFuture<S, P, Req>
where
    S: Service<Req>,
    P: Protocol<Req, S::Response, S::Error>,
{
    #[inline(always)]
    pub(crate) fn calling(future: S::Future, guard: Guard, kept: P::Kept) -> Self {
        Self { state: State::Calling { future, pending: Some(Pending { guard, kept }) } }
    }

    pub(crate) fn waiting(shared: Arc<Shared<P>>, service: S, request: Req, reservation: Reservation) -> Self {
        Self { state: State::asleep(shared, service, request, reservation) }
    }

    pub(crate) fn refused(shared: &Shared<P>, blocked: Blocked, request: &Req) -> Self {
        Self { state: State::refused(shared, blocked, request) }
    }
}

impl<S, P, Req> State<S, P, Req>
where
    S: Service<Req>,
    P: Protocol<Req, S::Response, S::Error>,
{
    fn calling(shared: &Shared<P>, service: &mut S, request: Req, guard: Guard) -> Self {
        let pending = Some(Pending { kept: shared.protocol.keep(&request), guard });
        Self::Calling { future: service.call(request), pending }
    }

    fn asleep(shared: Arc<Shared<P>>, service: S, request: Req, reservation: Reservation) -> Self {
        match shared.sleep(reservation.delay()) {
            Some(sleep) => {
                let waiting = Waiting { sleep, reservation, service, request, shared };
                Self::Waiting { waiting: Some(Box::new(waiting)) }
            }
            None => match Decision::Wait(reservation).immediately() {
                Ok(entry) => Self::calling(&shared, &mut { service }, request, Guard::new(entry)),
                Err(blocked) => Self::refused(&shared, blocked, &request),
            },
        }
    }

    fn refused(shared: &Shared<P>, blocked: Blocked, request: &Req) -> Self {
        Self::Refused { answer: Some(shared.protocol.refuse(blocked, request)) }
    }

    /// Goes on after the wait.
    fn awake(waiting: Waiting<S, P, Req>) -> Self {
        let Waiting { reservation, mut service, request, shared, .. } = waiting;
        match reservation.resume() {
            Decision::Admit(entry) => Self::calling(&shared, &mut service, request, Guard::new(entry)),
            Decision::Wait(reservation) => Self::asleep(shared, service, request, reservation),
            Decision::Block(blocked) => Self::refused(&shared, blocked, &request),
        }
    }
}

impl<S, P, Req> Future for ResponseFuture<S, P, Req>
where
    S: Service<Req>,
    P: Protocol<Req, S::Response, S::Error>,
{
    type Output = Result<P::Response, P::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Waiting { waiting } => {
                    ready!(waiting.as_mut().map_or(Poll::Ready(()), |waiting| waiting.poll(context)));
                    let waiting = waiting.take().expect(AGAIN);
                    state.set(State::awake(*waiting));
                }
                StateProjection::Calling { future, pending } => {
                    // On the stack while the service is polled, so that a panic there ends the call as failed.
                    let Pending { guard, kept } = pending.take().expect(AGAIN);
                    return match future.poll(context) {
                        Poll::Ready(result) => Poll::Ready(P::conclude(result, guard, kept)),
                        Poll::Pending => {
                            *pending = Some(Pending { guard, kept });
                            Poll::Pending
                        }
                    };
                }
                StateProjection::Refused { answer } => return Poll::Ready(answer.take().expect(AGAIN)),
            }
        }
    }
}

/// As every future, this one may not be polled after its end.
const AGAIN: &str = "the future was polled after its end";

impl<S, P, Req> fmt::Debug for ResponseFuture<S, P, Req>
where
    S: Service<Req>,
    P: Protocol<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
