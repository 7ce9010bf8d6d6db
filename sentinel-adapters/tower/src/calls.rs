use std::{error::Error, fmt, sync::Arc};

use sentinel_core::{Blocked, Call, Decision, Kind, Outcome, Sentinel, Target};

use crate::{Enter, Guard, Name, Protocol};

/// Requests of any kind, whose refusal is an error.
///
/// For the client's side of HTTP, for databases, queues, and whatever else is a `tower::Service`. A call lasts until the
/// service has answered; an error counts as one.
///
/// # Example
///
/// ```
/// use sentinel_core::{Call, Kind, Outcome, Sentinel};
/// use sentinel_tower::{Calls, SentinelLayer};
///
/// struct Query { table: String, tenant: String }
///
/// let queries: Calls<Query, Vec<u8>, std::io::Error> = Calls::new(|query: &Query| Some(query.table.as_str().into()))
///     .kind(Kind::Db)
///     .calling(|query, enter| enter.with(&Call::new().origin(&query.tenant)))
///     .classify(|result| if result.is_ok() { Outcome::Ok } else { Outcome::Error });
/// let layer = SentinelLayer::new(&Sentinel::default(), queries);
/// ```
pub struct Calls<Req, Res, Err> {
    resource: Arc<Resource<Req>>,
    call: Arc<Calling<Req>>,
    /// Unless by whether there is an error.
    classify: Option<Arc<Classify<Res, Err>>>,
    inbound: bool,
    kind: Kind,
}

type Resource<Req> = dyn for<'a> Fn(&'a Req) -> Option<Name<'a>> + Send + Sync;
type Calling<Req> = dyn Fn(&Req, Enter<'_>) -> Decision + Send + Sync;
type Classify<Res, Err> = dyn Fn(&Result<Res, Err>) -> Outcome + Send + Sync;

impl<Req, Res, Err> Calls<Req, Res, Err> {
    /// Requests enter the resource that the closure names; those that it names none for are let through.
    ///
    /// Outbound and of the kind [`Kind::Common`], unless said otherwise.
    pub fn new(resource: impl for<'a> Fn(&'a Req) -> Option<Name<'a>> + Send + Sync + 'static) -> Self {
        Self {
            resource: Arc::new(resource),
            call: Arc::new(|_, enter| enter.with(&Call::new())),
            classify: None,
            inbound: false,
            kind: Kind::Common,
        }
    }

    /// All requests enter one resource.
    pub fn named(resource: &'static str) -> Self {
        Self::new(move |_| Some(resource.into()))
    }

    /// What else a request says of itself: the closure enters with a [`Call`] and returns the decision.
    #[must_use]
    pub fn calling(mut self, call: impl Fn(&Req, Enter<'_>) -> Decision + Send + Sync + 'static) -> Self {
        self.call = Arc::new(call);
        self
    }

    /// How a call has ended; by default, an error is [`Outcome::Error`].
    #[must_use]
    pub fn classify(mut self, classify: impl Fn(&Result<Res, Err>) -> Outcome + Send + Sync + 'static) -> Self {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// The requests come into this service.
    #[must_use]
    pub fn inbound(mut self) -> Self {
        self.inbound = true;
        self
    }

    /// What kind of thing the resources are.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

impl<Req, Res, Err> Protocol<Req, Res, Err> for Calls<Req, Res, Err> {
    type Response = Res;
    type Error = CallError<Err>;
    type Kept = Option<Arc<Classify<Res, Err>>>;

    fn enter(&self, sentinel: &Sentinel, request: &mut Req) -> Option<Decision> {
        let request = &*request;
        let decision = (self.resource)(request)?.with(|name| {
            let target = Target::new(name).kind(self.kind);
            let target = if self.inbound { target.inbound() } else { target };
            (self.call)(request, Enter::new(sentinel, target))
        });
        Some(decision)
    }

    fn keep(&self, _: &Req) -> Self::Kept {
        self.classify.clone()
    }

    fn refuse(&self, blocked: Blocked, _: &Req) -> Result<Res, CallError<Err>> {
        Err(CallError::Blocked(blocked))
    }

    fn not_ready(error: Err) -> CallError<Err> {
        CallError::Service(error)
    }

    fn conclude(result: Result<Res, Err>, guard: Guard, classify: Self::Kept) -> Result<Res, CallError<Err>> {
        guard.conclude(match classify {
            Some(classify) => classify(&result),
            None if result.is_ok() => Outcome::Ok,
            None => Outcome::Error,
        });
        result.map_err(CallError::Service)
    }
}

impl<Req, Res, Err> Clone for Calls<Req, Res, Err> {
    fn clone(&self) -> Self {
        Self {
            resource: Arc::clone(&self.resource),
            call: Arc::clone(&self.call),
            classify: self.classify.clone(),
            inbound: self.inbound,
            kind: self.kind,
        }
    }
}

impl<Req, Res, Err> fmt::Debug for Calls<Req, Res, Err> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("inbound", &self.inbound).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Why a call did not succeed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallError<E> {
    /// A rule refused it; the service was not called.
    Blocked(Blocked),
    /// The service failed.
    Service(E),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked(blocked) => blocked.fmt(f),
            Self::Service(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Blocked(blocked) => blocked.source(),
            Self::Service(error) => error.source(),
        }
    }
}
