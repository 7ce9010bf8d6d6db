//! The layer in routers.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Path},
    http::{Request, StatusCode},
    routing::{any, get, post},
};
use sentinel_axum::{SentinelLayer, UNMATCHED, by_route, layer, peer_address, refuse_with};
use sentinel_core::{Direction, FlowRule, Kind, ManualClock, Rules, Sentinel};
use tower::ServiceExt as _;

const ORDER: &str = "GET /orders/{id}";

fn instance(rules: impl IntoIterator<Item = FlowRule>) -> Sentinel {
    let sentinel = Sentinel::builder().clock(ManualClock::new()).build().unwrap();
    sentinel.rules().replace("test", Rules::new().flow(rules)).unwrap();
    sentinel
}

async fn order(Path(id): Path<u64>) -> String {
    format!("order {id}")
}

fn orders() -> Router {
    Router::new().route("/orders/{id}", get(order))
}

async fn ask(app: &Router, method: &str, path: &str) -> StatusCode {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

fn names(sentinel: &Sentinel) -> Vec<String> {
    let mut names: Vec<_> = sentinel.snapshot().resources.iter().map(|resource| resource.name.to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_resource_is_the_method_and_the_matched_route() {
    let sentinel = instance([]);
    let app =
        orders().nest("/admin", Router::new().route("/users/{name}", post(async || "ok"))).layer(layer(&sentinel));
    for id in 0..20 {
        assert_eq!(ask(&app, "GET", &format!("/orders/{id}")).await, 200);
    }
    assert_eq!(ask(&app, "POST", "/admin/users/ann").await, 200);
    assert_eq!(names(&sentinel), [ORDER, "POST /admin/users/{name}"]);
    let orders = sentinel.snapshot_of(ORDER).unwrap();
    assert_eq!((orders.kind, orders.direction, orders.statistics.totals.pass), (Kind::Web, Direction::Inbound, 20));
    assert_eq!(sentinel.snapshot().inbound.totals.pass, 21);
}

#[tokio::test]
async fn paths_and_methods_that_clients_make_up_make_no_resources() {
    let sentinel = instance([]);
    let app = Router::new().route("/any", any(async || "ok")).route("/orders/{id}", get(order)).layer(layer(&sentinel));
    for number in 0..50 {
        assert_eq!(ask(&app, "GET", &format!("/nothing/{number}")).await, 404);
        assert_eq!(ask(&app, &format!("MADEUP{number}"), "/any").await, 200);
        assert_eq!(ask(&app, &format!("MADEUP{number}"), "/orders/1").await, 405);
    }
    assert_eq!(names(&sentinel), ["OTHER /any", "OTHER /orders/{id}", UNMATCHED]);

    let sentinel = instance([]);
    let app = orders().route_layer(layer(&sentinel));
    assert_eq!(ask(&app, "GET", "/nothing").await, 404);
    assert!(names(&sentinel).is_empty(), "as a layer of routes it does not see what has none");
}

#[tokio::test]
async fn head_is_no_way_around_the_limit_of_get() {
    let sentinel = instance([FlowRule::new(ORDER, 1.0)]);
    let app = orders().layer(layer(&sentinel));
    assert_eq!(ask(&app, "HEAD", "/orders/1").await, 200);
    assert_eq!(ask(&app, "GET", "/orders/1").await, 429);
}

#[tokio::test]
async fn layers_in_many_places_are_one_set_of_resources() {
    let sentinel = instance([FlowRule::new(ORDER, 5.0)]);
    let once = layer(&sentinel);
    let mut app = orders();
    for number in 0..10 {
        app = app.route(&format!("/{number}"), get(async || "ok").layer(once.clone()));
    }
    // Another layer of the same instance means the same resources.
    let app = app.route_layer(once.clone()).route_layer(layer(&sentinel)).layer(once);
    for _ in 0..5 {
        assert_eq!(ask(&app, "GET", "/orders/1").await, 200);
    }
    assert_eq!(ask(&app, "GET", "/orders/1").await, 429);
    for number in 0..10 {
        assert_eq!(ask(&app, "GET", &format!("/{number}")).await, 200);
    }
    assert_eq!(names(&sentinel).len(), 11);
    let totals = sentinel.snapshot().inbound.totals;
    assert_eq!((totals.pass, totals.block, totals.complete), (15, 1, 15));
}

#[tokio::test]
async fn ones_own_refusal_is_any_response_of_axum() {
    let sentinel = instance([FlowRule::new(ORDER, 0.0)]);
    let http = by_route()
        .fallback(refuse_with(|blocked, _| (StatusCode::TOO_MANY_REQUESTS, Json(vec![blocked.rule_id().to_owned()]))));
    let app = orders().layer(SentinelLayer::new(&sentinel, http));
    let response = app.oneshot(Request::get("/orders/1").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (429, &"application/json".parse().unwrap())
    );
    assert_eq!(to_bytes(response.into_body(), 1_000).await.unwrap(), r#"["flow:GET /orders/{id}#0"]"#);
}

#[tokio::test]
async fn the_peer_is_an_origin() {
    let sentinel = instance([
        FlowRule::new(ORDER, 1.0).for_origin("10.0.0.1"),
        FlowRule::new(ORDER, 2.0).for_origin("2001:db8::/64"),
    ]);
    let app = orders().layer(SentinelLayer::new(&sentinel, by_route().origin(peer_address)));
    let mut statuses = Vec::new();
    for peer in ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        let peer = SocketAddr::new(peer.parse().unwrap(), 40_000);
        let request = Request::get("/orders/1").extension(ConnectInfo(peer)).body(Body::empty()).unwrap();
        statuses.push(app.clone().oneshot(request).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 200, 200, 200, 429]);
}
