//! Requests over HTTP: what they enter, and how they are refused.

mod accept;
mod body;
mod head;
mod refusal;

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, header::CONTENT_LENGTH};
use http_body::Body;
use sentinel_core::{Blocked, Call, Decision, Kind, Outcome, ResourceId, Sentinel, Target};
use smallvec::SmallVec;

use self::refusal::Refusal;
pub use self::{body::GuardedBody, head::RequestHead};
use crate::{Enter, Guard, Name, Protocol};

/// Requests over HTTP, whose refusal is a response.
///
/// A call lasts until the response body has ended: with its last byte, its trailers, an error, or because the client went
/// away, which makes it a cancelled call ([`Outcome::Ignored`]). The body has ended when the server has taken all of it,
/// which may be before the client has received it. A status of 500 or more, an error of the service and an
/// error of the body count as errors; a response that carries an [`Outcome`] in its extensions says it itself.
///
/// A request enters a resource once, however many layers with that resource are on its way.
///
/// # Refusals
///
/// 429, or 503 where the server and not the caller is the reason, with `Retry-After` (whole seconds, at least 1; absent
/// when trying again never helps), `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10),
/// `Cache-Control: no-store`, and a body of problem details (RFC 9457), or plain text for clients that prefer it.
///
/// # Example
///
/// ```
/// use http::{HeaderName, StatusCode};
/// use sentinel_core::Sentinel;
/// use sentinel_tower::{Http, SentinelLayer};
///
/// # type Body = http_body_util::Full<bytes::Bytes>;
/// let http = Http::<Body>::new(|head| Some(if head.uri.path() == "/pay" { "pay" } else { "other" }.into()))
///     .origin_from(HeaderName::from_static("x-client-id"))
///     .status("flow", StatusCode::SERVICE_UNAVAILABLE);
/// let layer = SentinelLayer::new(&Sentinel::default(), http);
/// ```
pub struct Http<B> {
    resource: Arc<Resource>,
    call: Arc<Calling>,
    /// Unless by whether the server is at fault.
    classify: Option<Arc<Classify>>,
    fallback: Option<Arc<Fallback<B>>>,
    refusal: Refusal,
    outbound: bool,
    kind: Kind,
    head_only: bool,
}

type Resource = dyn for<'a> Fn(RequestHead<'a>) -> Option<Name<'a>> + Send + Sync;
type Calling = dyn Fn(RequestHead<'_>, Enter<'_>) -> Decision + Send + Sync;
type Classify = dyn Fn(StatusCode) -> Outcome + Send + Sync;
type Fallback<B> = dyn Fn(&Blocked, RequestHead<'_>) -> Response<B> + Send + Sync;

impl<B> Http<B> {
    /// Requests enter the resource that the closure names; those that it names none for are let through.
    ///
    /// The name should come from a small set, such as matched routes: never from the raw path, which whoever calls may
    /// choose. Inbound and of the kind [`Kind::Web`], unless said otherwise.
    pub fn new(resource: impl for<'a> Fn(RequestHead<'a>) -> Option<Name<'a>> + Send + Sync + 'static) -> Self {
        Self {
            resource: Arc::new(resource),
            call: Arc::new(|_, enter| enter.with(&Call::new())),
            classify: None,
            fallback: None,
            refusal: Refusal::default(),
            outbound: false,
            kind: Kind::Web,
            head_only: false,
        }
    }

    /// All requests enter one resource.
    pub fn named(resource: &'static str) -> Self {
        Self::new(move |_| Some(resource.into()))
    }

    /// Who calls. Takes the place of an earlier [`calling`](Http::calling).
    #[must_use]
    pub fn origin(
        self,
        origin: impl for<'a> Fn(RequestHead<'a>) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    ) -> Self {
        self.calling(move |head, enter| enter.with(&Call::new().origin(&origin(head).unwrap_or_default())))
    }

    /// Who calls, by a header; believe only headers that clients cannot choose.
    #[must_use]
    pub fn origin_from(self, header: HeaderName) -> Self {
        self.origin(move |head| Some(head.headers.get(&header)?.to_str().ok()?.into()))
    }

    /// What a request says of itself: the closure enters with a [`Call`] and returns the decision.
    ///
    /// ```
    /// use sentinel_core::{Arg, Call};
    /// use sentinel_tower::Http;
    ///
    /// let http = Http::<String>::named("search").calling(|head, enter| {
    ///     let tenant = head.headers.get("x-tenant").map_or(&b""[..], |value| value.as_bytes());
    ///     let long = head.uri.query().is_some_and(|query| query.len() > 100);
    ///     enter.with(&Call::new().count(if long { 2 } else { 1 }).named_args(&[("tenant", Arg::from(tenant))]))
    /// });
    /// ```
    #[must_use]
    pub fn calling(mut self, call: impl Fn(RequestHead<'_>, Enter<'_>) -> Decision + Send + Sync + 'static) -> Self {
        self.call = Arc::new(call);
        self
    }

    /// How a call with a response of this status has ended; by default, 500 and more are [`Outcome::Error`].
    #[must_use]
    pub fn classify(mut self, classify: impl Fn(StatusCode) -> Outcome + Send + Sync + 'static) -> Self {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// Ends the call with the head of the response: for responses whose body has no end of its own, such as server-sent
    /// events and upgraded connections.
    #[must_use]
    pub fn head_only(mut self) -> Self {
        self.head_only = true;
        self
    }

    /// The requests go out of this service.
    #[must_use]
    pub fn outbound(mut self) -> Self {
        self.outbound = true;
        self
    }

    /// What kind of thing the resources are.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The status of refusals by rules of a family, such as `flow`. One below 400 means the default.
    #[must_use]
    pub fn status(mut self, family: &'static str, status: StatusCode) -> Self {
        self.refusal.statuses.retain(|(known, _)| *known != family);
        if !status.is_informational() && !status.is_success() && !status.is_redirection() {
            self.refusal.statuses.push((family, status));
        }
        self
    }

    /// Tells the client what the rule saw and what its threshold is. It also may help those who want to stay just below.
    #[must_use]
    pub fn explain(mut self) -> Self {
        self.refusal.explain = true;
        self
    }

    /// Leaves out `RateLimit` and `RateLimit-Policy`.
    #[must_use]
    pub fn without_rate_limit_fields(mut self) -> Self {
        self.refusal.rate_limit_fields = false;
        self
    }

    /// Makes the responses of refusals; nothing is added to them.
    #[must_use]
    pub fn fallback(
        mut self,
        fallback: impl Fn(&Blocked, RequestHead<'_>) -> Response<B> + Send + Sync + 'static,
    ) -> Self {
        self.fallback = Some(Arc::new(fallback));
        self
    }
}

impl<ReqB, B, E> Protocol<Request<ReqB>, Response<B>, E> for Http<B>
where
    B: Body<Data = Bytes>,
{
    type Response = Response<GuardedBody<B>>;
    type Error = E;
    type Kept = Kept;

    fn enter(&self, sentinel: &Sentinel, request: &mut Request<ReqB>) -> Option<Decision> {
        let head = RequestHead::of(request);
        let decision = (self.resource)(head)?.with(|name| {
            let target = Target::new(name).kind(self.kind);
            let target = if self.outbound { target } else { target.inbound() };
            let entered = head.extensions.get::<Entered>();
            if entered.is_some_and(|Entered(ids)| sentinel.resource_id(target).is_some_and(|id| ids.contains(&id))) {
                return None;
            }
            Some((self.call)(head, Enter::new(sentinel, target)))
        })?;
        if !matches!(decision, Decision::Block(_)) {
            request.extensions_mut().get_or_insert_default::<Entered>().0.push(decision.resource_id());
        }
        Some(decision)
    }

    fn keep(&self, request: &Request<ReqB>) -> Kept {
        Kept { classify: self.classify.clone(), head_only: self.head_only || request.method() == Method::HEAD }
    }

    fn refuse(&self, blocked: Blocked, request: &Request<ReqB>) -> Result<Self::Response, E> {
        let head = RequestHead::of(request);
        Ok(match &self.fallback {
            Some(fallback) => {
                fallback(&blocked, head).map(|body| GuardedBody::new(body, None, Guard::none(), Outcome::Ok))
            }
            None => self.refusal.response(&blocked, head).map(GuardedBody::of_refusal),
        })
    }

    fn not_ready(error: E) -> E {
        error
    }

    fn conclude(result: Result<Response<B>, E>, guard: Guard, kept: Kept) -> Result<Self::Response, E> {
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                guard.conclude(Outcome::Error);
                return Err(error);
            }
        };
        let outcome =
            response.extensions().get::<Outcome>().copied().unwrap_or_else(|| kept.outcome(response.status()));
        let (status, body) = (response.status(), response.body());
        let no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        // A server stops reading after the bytes that it announced, and does not ask for the end.
        let announced = response.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let left = announced.or_else(|| body.size_hint().exact());
        let ended = body.is_end_stream() || left == Some(0);
        let guard = if kept.head_only || no_body || status.is_informational() || ended {
            guard.conclude(outcome);
            Guard::none()
        } else {
            guard
        };
        Ok(response.map(|body| GuardedBody::new(body, left, guard, outcome)))
    }
}

/// Resources that a request is in already.
#[derive(Clone, Default)]
struct Entered(SmallVec<[ResourceId; 2]>);

/// What an answer is judged by, once its request is gone.
pub struct Kept {
    classify: Option<Arc<Classify>>,
    /// Whether the call ends with the head of the response.
    head_only: bool,
}

impl Kept {
    fn outcome(&self, status: StatusCode) -> Outcome {
        match &self.classify {
            Some(classify) => classify(status),
            None if status.is_server_error() => Outcome::Error,
            None => Outcome::Ok,
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("head_only", &self.head_only).finish_non_exhaustive()
    }
}

impl<B> Clone for Http<B> {
    fn clone(&self) -> Self {
        Self {
            resource: Arc::clone(&self.resource),
            call: Arc::clone(&self.call),
            classify: self.classify.clone(),
            fallback: self.fallback.clone(),
            refusal: self.refusal.clone(),
            outbound: self.outbound,
            kind: self.kind,
            head_only: self.head_only,
        }
    }
}

impl<B> fmt::Debug for Http<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("refusal", &self.refusal)
            .field("outbound", &self.outbound)
            .field("kind", &self.kind)
            .field("head_only", &self.head_only)
            .finish_non_exhaustive()
    }
}
