use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use sentinel_core::{Decision, Sentinel};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Guard, Protocol, ResponseFuture};

/// Wraps services, so that their requests enter resources of a [`Sentinel`].
///
/// All that lasts is in the instance: a layer that is cloned, applied to many services or to every connection anew
/// means the same resources.
///
/// The decision is taken when the service is called, never while it becomes ready. What must wait waits in the response
/// future, with the service inside kept ready.
///
/// # Example
///
/// ```
/// use std::{borrow::Cow, convert::Infallible};
/// use sentinel_core::{FlowRule, Rules, Sentinel};
/// use sentinel_tower::{CallError, Calls, SentinelLayer};
/// use tower::{ServiceBuilder, ServiceExt as _, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sentinel = Sentinel::default();
/// sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("double", 1.0)]))?;
///
/// let double = ServiceBuilder::new()
///     .layer(SentinelLayer::new(&sentinel, Calls::named("double")))
///     .service(service_fn(async |number: u32| Ok::<_, Infallible>(2 * number)));
///
/// assert_eq!(double.clone().oneshot(21).await?, 42);
/// assert!(matches!(double.oneshot(21).await, Err(CallError::Blocked(_))));
/// # Ok(())
/// # }
/// ```
pub struct SentinelLayer<P> {
    shared: Arc<Shared<P>>,
}

/// What clones of a layer, and their services, share.
pub(crate) struct Shared<P> {
    sentinel: Sentinel,
    pub(crate) protocol: P,
    timer: Option<Timer>,
}

type Timer = Box<dyn Fn(Duration) -> Sleep + Send + Sync>;
pub(crate) type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<P> SentinelLayer<P> {
    /// A layer whose requests are what the protocol says.
    ///
    /// Requests that have to wait do so on tokio's timer; without the feature `tokio` they are refused.
    pub fn new(sentinel: &Sentinel, protocol: P) -> Self {
        #[cfg(feature = "tokio")]
        let timer: Option<Timer> = Some(Box::new(|delay| Box::pin(tokio::time::sleep(delay))));
        #[cfg(not(feature = "tokio"))]
        let timer = None;
        Self::with_timer(sentinel, protocol, timer)
    }

    /// A layer whose requests wait on another timer, such as that of another runtime.
    pub fn sleeping_by<F>(
        sentinel: &Sentinel,
        protocol: P,
        sleep: impl Fn(Duration) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with_timer(sentinel, protocol, Some(Box::new(move |delay| Box::pin(sleep(delay)))))
    }

    /// A layer whose requests never wait: one that would have to is refused.
    pub fn never_waiting(sentinel: &Sentinel, protocol: P) -> Self {
        Self::with_timer(sentinel, protocol, None)
    }

    fn with_timer(sentinel: &Sentinel, protocol: P, timer: Option<Timer>) -> Self {
        Self { shared: Arc::new(Shared { sentinel: sentinel.clone(), protocol, timer }) }
    }
}

impl<P> Clone for SentinelLayer<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<P> fmt::Debug for SentinelLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelLayer").field("sentinel", &self.shared.sentinel).finish_non_exhaustive()
    }
}

impl<S, P> Layer<S> for SentinelLayer<P> {
    type Service = SentinelService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        SentinelService { inner, shared: Arc::clone(&self.shared) }
    }
}

/// A service whose requests enter resources; made by [`SentinelLayer`].
pub struct SentinelService<S, P> {
    inner: S,
    shared: Arc<Shared<P>>,
}

impl<S: Clone, P> Clone for SentinelService<S, P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for SentinelService<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, P, Req> Service<Req> for SentinelService<S, P>
where
    S: Service<Req> + Clone,
    P: Protocol<Req, S::Response, S::Error>,
{
    type Response = P::Response;
    type Error = P::Error;
    type Future = ResponseFuture<S, P, Req>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(P::not_ready)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let Self { inner, shared } = self;
        let guard = match shared.protocol.enter(&shared.sentinel, &mut request) {
            None => Guard::none(),
            Some(Decision::Admit(entry)) => Guard::new(entry),
            Some(Decision::Wait(reservation)) if shared.timer.is_some() => {
                // It is this service that became ready, not its clone.
                let clone = inner.clone();
                let ready = mem::replace(inner, clone);
                return ResponseFuture::waiting(Arc::clone(shared), ready, request, reservation);
            }
            Some(decision) => match decision.immediately() {
                Ok(entry) => Guard::new(entry),
                Err(blocked) => return ResponseFuture::refused(shared, blocked, &request),
            },
        };
        // One way for all, and in one step: every further one would copy the request or the future.
        let kept = shared.protocol.keep(&request);
        ResponseFuture::calling(inner.call(request), guard, kept)
    }
}

impl<P> Shared<P> {
    /// Sleeps for what the reservation still has to wait.
    pub(crate) fn sleep(&self, delay: Duration) -> Option<Sleep> {
        self.timer.as_ref().map(|timer| timer(delay))
    }
}
