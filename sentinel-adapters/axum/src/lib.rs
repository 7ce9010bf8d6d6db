#![doc = include_str!("../README.md")]

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, MatchedPath},
    http::Method,
    response::{IntoResponse, Response},
};
use sentinel_core::{Blocked, Sentinel};
pub use sentinel_tower::{Http, Name, SentinelLayer, http::RequestHead};

/// The resource of requests that match no route.
pub const UNMATCHED: &str = "unmatched";

/// A layer that makes each method and route a resource: [`by_route`] with nothing set.
///
/// Goes into `Router::layer`, `Router::route_layer` or `MethodRouter::layer`, as often as one likes: a request enters a
/// resource of an instance once, however many layers are on its way.
pub fn layer(sentinel: &Sentinel) -> SentinelLayer<Http<Body>> {
    SentinelLayer::new(sentinel, by_route())
}

/// Requests enter the resource of their method and matched route, such as `GET /orders/{id}`.
///
/// Names come from the program alone: requests without a route are all [`UNMATCHED`], and methods that are none of HTTP's
/// own are all `OTHER`. HEAD is GET, since axum answers it with the handler for GET.
///
/// A layer sees the routes of the routers that are [nested](axum::Router::nest) in its own. A nested *service* has no
/// route for it, so that all its requests are [`UNMATCHED`]: give it a layer of its own, and none outside.
///
/// # Example
///
/// ```
/// use axum::{Json, Router, http::{HeaderName, StatusCode}};
/// use sentinel_axum::{SentinelLayer, by_route, refuse_with};
/// use sentinel_core::Sentinel;
///
/// let http = by_route()
///     .origin_from(HeaderName::from_static("x-client-id"))
///     .fallback(refuse_with(|blocked, _| (StatusCode::TOO_MANY_REQUESTS, Json(blocked.resource().to_owned()))));
/// let app: Router = Router::new().layer(SentinelLayer::new(&Sentinel::default(), http));
/// ```
pub fn by_route() -> Http<Body> {
    Http::new(|head| Some(resource(head)))
}

/// The name that [`by_route`] gives to a request.
pub fn resource(head: RequestHead<'_>) -> Name<'_> {
    match head.extensions.get::<MatchedPath>() {
        Some(route) => Name::of_two(standard(head.method), route.as_str()),
        None => UNMATCHED.into(),
    }
}

fn standard(method: &Method) -> &'static str {
    match *method {
        // A route for GET answers HEAD too, with the same work: it is no way around the limit.
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "OTHER",
    }
}

/// The address of the peer as an origin, for [`Http::origin`]; IPv6 addresses are cut to their network (/64).
///
/// Needs `into_make_service_with_connect_info::<SocketAddr>()`. Behind a proxy this is the proxy's address: take the
/// client's from a header that the proxy sets.
///
/// ```
/// use sentinel_axum::{by_route, peer_address};
///
/// let http = by_route().origin(peer_address);
/// ```
pub fn peer_address(head: RequestHead<'_>) -> Option<Cow<'_, str>> {
    let ConnectInfo(address) = head.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(Cow::Owned(match address.ip().to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }))
}

/// Turns a closure whose result is a response for axum into a [`fallback`](Http::fallback).
pub fn refuse_with<R: IntoResponse>(
    refuse: impl Fn(&Blocked, RequestHead<'_>) -> R + Send + Sync + 'static,
) -> impl Fn(&Blocked, RequestHead<'_>) -> Response + Send + Sync + 'static {
    move |blocked, head| refuse(blocked, head).into_response()
}
