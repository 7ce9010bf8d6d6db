//! The layer around HTTP services, on a manual clock.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{pending, ready},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty, Full};
use sentinel_core::{Arg, Call, FlowRule, ManualClock, Outcome, Rules, Sentinel};
use sentinel_tower::{Http, SentinelLayer, http::GuardedBody};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

const NAME: &str = "orders";

fn instance(rules: impl IntoIterator<Item = FlowRule>) -> (Sentinel, ManualClock) {
    let clock = ManualClock::new();
    let sentinel = Sentinel::builder().clock(clock.clone()).build().unwrap();
    sentinel.rules().replace("test", Rules::new().flow(rules)).unwrap();
    (sentinel, clock)
}

/// How many calls are inside, have ended, and have failed.
fn counts(sentinel: &Sentinel) -> [u64; 3] {
    let statistics = sentinel.snapshot_of(NAME).expect("the resource has been entered").statistics;
    [statistics.in_flight, statistics.totals.complete, statistics.totals.error]
}

/// A service behind a layer that answers with what `respond` makes.
fn service<B>(
    sentinel: &Sentinel,
    http: Http<B>,
    respond: impl Fn() -> Response<B> + Clone,
) -> impl Service<Request<()>, Response = Response<GuardedBody<B>>, Error = Infallible> + Clone
where
    B: Body<Data = Bytes>,
{
    SentinelLayer::new(sentinel, http).layer(service_fn(move |_| ready(Ok(respond()))))
}

fn request() -> Request<()> {
    Request::new(())
}

/// A body of given frames; pending for good after the last, unless it ends.
struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, io::Error>>,
    ends: bool,
}

fn frames<const N: usize>(frames: [Result<Frame<Bytes>, io::Error>; N]) -> Frames {
    Frames { frames: frames.into(), ends: true }
}

fn data(text: &'static str) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.frames.pop_front() {
            None if !self.ends => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }
}

#[tokio::test]
async fn an_entry_lasts_until_the_body_has_ended() {
    let (sentinel, clock) = instance([]);
    let service = service(&sentinel, Http::named(NAME), || Response::new(frames([data("one"), data("two")])));
    let mut body = service.oneshot(request()).await.unwrap().into_body();
    assert_eq!(counts(&sentinel), [1, 0, 0]);
    clock.advance(Duration::from_millis(30));
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    assert_eq!(counts(&sentinel), [1, 0, 0], "nobody said that this was the last frame");
    assert!(body.frame().await.is_none());
    assert_eq!(counts(&sentinel), [0, 1, 0]);
    let times = sentinel.snapshot_of(NAME).unwrap().statistics.second.response_times;
    assert_eq!(times.max, Duration::from_millis(30));
}

#[tokio::test]
async fn trailers_end_the_call() {
    let (sentinel, _) = instance([]);
    let respond = || Response::new(Frames { frames: [Ok(Frame::trailers(HeaderMap::new()))].into(), ends: false });
    let mut body = service(&sentinel, Http::named(NAME), respond).oneshot(request()).await.unwrap().into_body();
    assert_eq!(counts(&sentinel), [1, 0, 0]);
    body.frame().await.unwrap().unwrap();
    assert_eq!(counts(&sentinel), [0, 1, 0]);
}

#[tokio::test]
async fn the_last_announced_byte_ends_the_call() {
    let (sentinel, _) = instance([]);
    let respond = || {
        let body = Frames { frames: [data("ab"), data("c")].into(), ends: false };
        Response::builder().header(CONTENT_LENGTH, 3).body(body).unwrap()
    };
    let mut body = service(&sentinel, Http::named(NAME), respond).oneshot(request()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(counts(&sentinel), [1, 0, 0]);
    body.frame().await.unwrap().unwrap();
    assert_eq!(counts(&sentinel), [0, 1, 0]);
}

#[tokio::test]
async fn an_error_of_the_body_is_an_error_of_the_call() {
    let (sentinel, _) = instance([]);
    let respond = || Response::new(frames([data("one"), Err(io::Error::other("reset"))]));
    let response = service(&sentinel, Http::named(NAME), respond).oneshot(request()).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(counts(&sentinel), [0, 1, 1]);
}

#[tokio::test]
async fn a_body_that_is_dropped_before_its_end_is_a_cancelled_call() {
    let (sentinel, clock) = instance([]);
    let respond = || Response::builder().status(500).body(frames([data("one"), data("two")])).unwrap();
    let mut body = service(&sentinel, Http::named(NAME), respond).oneshot(request()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    clock.advance(Duration::from_millis(7));
    drop(body);
    assert_eq!(counts(&sentinel), [0, 1, 0], "released, and no error in spite of the status");
    assert_eq!(sentinel.snapshot_of(NAME).unwrap().statistics.second.response_times.max, Duration::ZERO);
}

#[tokio::test]
async fn a_body_that_panics_has_failed() {
    struct Panics;

    impl Body for Panics {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            panic!("a fault of the body");
        }
    }

    let (sentinel, _) = instance([]);
    let response = service(&sentinel, Http::named(NAME), || Response::new(Panics)).oneshot(request()).await.unwrap();
    let mut body = pin!(response.into_body());
    let mut context = Context::from_waker(Waker::noop());
    catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(&mut context).is_ready())).unwrap_err();
    assert_eq!(counts(&sentinel), [0, 1, 1]);
}

#[tokio::test]
async fn bodies_without_content_end_the_call_with_the_head() {
    let (sentinel, _) = instance([]);
    let empty = service(&sentinel, Http::named(NAME), || Response::new(Empty::<Bytes>::new()));
    let _response = empty.oneshot(request()).await.unwrap();
    assert_eq!(counts(&sentinel), [0, 1, 0]);

    let full = service(&sentinel, Http::named(NAME), || Response::new(Full::from("text")));
    let _response = full.oneshot(Request::head("/").body(()).unwrap()).await.unwrap();
    assert_eq!(counts(&sentinel), [0, 2, 0], "the body of an answer to HEAD is never read");
}

#[tokio::test]
async fn the_length_of_a_body_stays_known() {
    let (sentinel, _) = instance([]);
    let response =
        service(&sentinel, Http::named(NAME), || Response::new(Full::from("text"))).oneshot(request()).await.unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(4));
    assert!(!response.body().is_end_stream());
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "text");
    assert!(body.is_end_stream());
    assert_eq!(counts(&sentinel), [0, 1, 0], "the body said that this was the last frame");
}

#[tokio::test]
async fn head_only_ends_the_call_with_the_head() {
    let (sentinel, _) = instance([]);
    let events = || Response::new(Frames { frames: [data("event")].into(), ends: false });
    let mut body =
        service(&sentinel, Http::named(NAME).head_only(), events).oneshot(request()).await.unwrap().into_body();
    assert_eq!(counts(&sentinel), [0, 1, 0]);
    assert!(body.frame().await.unwrap().is_ok());
}

#[tokio::test]
async fn the_status_or_the_handler_itself_says_how_a_call_has_ended() {
    let (sentinel, _) = instance([]);
    let status = |code: u16| move || Response::builder().status(code).body(Empty::<Bytes>::new()).unwrap();
    for (code, errors) in [(200, 0), (404, 0), (499, 0), (500, 1), (503, 2)] {
        let _response = service(&sentinel, Http::named(NAME), status(code)).oneshot(request()).await.unwrap();
        assert_eq!(counts(&sentinel)[2], errors, "{code}");
    }
    let strict = || Http::named(NAME).classify(|status| if status == 404 { Outcome::Error } else { Outcome::Ok });
    let _response = service(&sentinel, strict(), status(404)).oneshot(request()).await.unwrap();
    let _response = service(&sentinel, strict(), status(500)).oneshot(request()).await.unwrap();
    assert_eq!(counts(&sentinel)[2], 3);
    let by_itself = || Response::builder().extension(Outcome::Error).body(Empty::<Bytes>::new()).unwrap();
    let _response = service(&sentinel, Http::named(NAME), by_itself).oneshot(request()).await.unwrap();
    assert_eq!(counts(&sentinel)[2], 4);
}

#[tokio::test]
async fn a_handler_that_is_dropped_midway_is_a_cancelled_call() {
    let (sentinel, _) = instance([]);
    let inner = service_fn(|_: Request<()>| pending::<Result<Response<Full<Bytes>>, Infallible>>());
    let service = SentinelLayer::new(&sentinel, Http::named(NAME)).layer(inner);
    let mut answer = Box::pin(service.oneshot(request()));
    assert!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(counts(&sentinel), [1, 0, 0]);
    drop(answer);
    assert_eq!(counts(&sentinel), [0, 1, 0]);
}

#[tokio::test]
async fn a_handler_that_panics_has_failed() {
    let (sentinel, _) = instance([]);
    let inner = service_fn(async |_: Request<()>| -> Result<Response<Full<Bytes>>, Infallible> {
        tokio::task::yield_now().await;
        panic!("a fault of the handler")
    });
    let service = SentinelLayer::new(&sentinel, Http::named(NAME)).layer(inner);
    // As in a server, the task catches the panic and drops the future afterwards.
    assert!(tokio::spawn(service.oneshot(request())).await.unwrap_err().is_panic());
    assert_eq!(counts(&sentinel), [0, 1, 1]);
}

#[tokio::test]
async fn an_error_of_the_service_stays_what_it_is_and_counts() {
    let (sentinel, _) = instance([]);
    let inner = service_fn(async |_: Request<()>| Err::<Response<Full<Bytes>>, _>(io::Error::other("down")));
    let service = SentinelLayer::new(&sentinel, Http::named(NAME)).layer(inner);
    assert_eq!(service.oneshot(request()).await.unwrap_err().to_string(), "down");
    assert_eq!(counts(&sentinel), [0, 1, 1]);
}

#[tokio::test]
async fn a_service_that_is_not_ready_takes_no_permit() {
    #[derive(Clone)]
    struct Never;

    impl Service<Request<()>> for Never {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Pending<Result<Response<Full<Bytes>>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Pending
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            pending()
        }
    }

    let (sentinel, _) = instance([FlowRule::new(NAME, 1.0)]);
    let mut service = SentinelLayer::new(&sentinel, Http::named(NAME)).layer(Never);
    assert!(service.poll_ready(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(sentinel.snapshot_of(NAME).is_none_or(|orders| orders.statistics.totals.pass == 0));
}

#[tokio::test]
async fn one_layer_applied_many_times_is_one_entry_and_one_limit() {
    let (sentinel, _) = instance([FlowRule::new(NAME, 3.0)]);
    let layer = SentinelLayer::new(&sentinel, Http::named(NAME));
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("ok").boxed_unsync())));
    let once = layer.clone().layer(inner);
    // A layer knows the body of its service: what it makes of it is boxed again.
    let twice = layer.layer(once.clone().map_response(|response| response.map(http_body_util::BodyExt::boxed_unsync)));
    for _ in 0..2 {
        assert_eq!(twice.clone().oneshot(request()).await.unwrap().status(), 200);
    }
    assert_eq!(once.clone().oneshot(request()).await.unwrap().status(), 200);
    assert_eq!(once.oneshot(request()).await.unwrap().status(), 429);
    assert_eq!(twice.oneshot(request()).await.unwrap().status(), 429);
    let totals = sentinel.snapshot_of(NAME).unwrap().statistics.totals;
    assert_eq!((totals.pass, totals.block), (3, 2));
    assert_eq!(sentinel.snapshot().resources.len(), 1);
}

#[tokio::test]
async fn a_request_enters_each_resource_of_each_instance_once() {
    let (first, second) = (instance([]).0, instance([]).0);
    let layers = [(&first, NAME), (&second, NAME), (&first, "all"), (&first, NAME), (&second, NAME)];
    let mut service =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::new().boxed_unsync())))
            .boxed_clone();
    for (sentinel, name) in layers {
        let layer = SentinelLayer::new(sentinel, Http::named(name));
        service = layer
            .layer(service)
            .map_response(|response| response.map(http_body_util::BodyExt::boxed_unsync))
            .boxed_clone();
    }
    service.oneshot(request()).await.unwrap();
    let passed = |sentinel: &Sentinel, name| sentinel.snapshot_of(name).map(|resource| resource.statistics.totals.pass);
    assert_eq!([passed(&first, NAME), passed(&first, "all"), passed(&second, NAME)], [Some(1); 3]);
}

#[tokio::test]
async fn past_the_bound_on_resources_a_request_still_enters_once() {
    let sentinel = Sentinel::builder().clock(ManualClock::new()).max_resources(1).build().unwrap();
    let _only = sentinel.resource("only");
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::new().boxed_unsync())));
    let layer = || SentinelLayer::new(&sentinel, Http::named(NAME));
    let once = layer().layer(inner).map_response(|response| response.map(http_body_util::BodyExt::boxed_unsync));
    layer().layer(once).oneshot(request()).await.unwrap();
    assert_eq!(sentinel.snapshot_of(NAME).map(|orders| orders.name), None);
    assert_eq!(sentinel.snapshot().resource("__other_inbound__").unwrap().statistics.totals.pass, 1);
}

#[tokio::test]
async fn a_refusal_says_what_the_standards_want() {
    let (sentinel, _) = instance([FlowRule::new(NAME, 1.0).per(Duration::from_secs(60)).id("per minute")]);
    let service = service(&sentinel, Http::named(NAME), || Response::new(Full::from("ok")));
    service.clone().oneshot(request()).await.unwrap();
    let refused = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), 429);
    let header = |name: &str| refused.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("retry-after"), "60");
    assert_eq!(header("ratelimit-policy"), r#""per minute";q=1;w=60"#);
    assert_eq!(header("ratelimit"), r#""per minute";r=0;t=60"#);
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("content-type"), "application/problem+json");
    let length = header("content-length");
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(length, body.len().to_string());
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        problem,
        serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Quota exceeded",
            "status": 429,
            "detail": "`orders` refuses this request (flow); try again in 60 s",
            "violated-policies": ["per minute"],
            "resource": "orders",
            "retry-after-ms": 60_000,
        })
    );

    let refused = service.oneshot(Request::head("/").body(()).unwrap()).await.unwrap();
    assert_eq!(refused.headers()[CONTENT_LENGTH].to_str().unwrap(), length);
    assert!(refused.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn what_can_never_pass_gets_no_retry_after() {
    let (sentinel, _) = instance([FlowRule::new(NAME, 2.0)]);
    let http = Http::named(NAME).calling(|_, enter| enter.with(&Call::new().count(3)));
    let refused = service(&sentinel, http, || Response::new(Full::from("ok"))).oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(!refused.headers().contains_key("retry-after"));
    assert_eq!(refused.headers()["ratelimit"], r#""flow:orders#0";r=0"#);
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("trying again will not help"));
}

#[tokio::test]
async fn a_refusal_is_set_up_as_its_owner_likes() {
    let (sentinel, _) = instance([FlowRule::new(NAME, 0.0)]);
    let refused = async |http: Http<Full<Bytes>>, accept: &str| {
        let request = Request::get("/").header("accept", accept).body(()).unwrap();
        let response = service(&sentinel, http, || Response::new(Full::from("ok"))).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    };

    let (head, _) = refused(Http::named(NAME).status("flow", StatusCode::SERVICE_UNAVAILABLE), "*/*").await;
    assert_eq!(head.status, 503);
    let (head, _) = refused(Http::named(NAME).status("flow", StatusCode::OK), "*/*").await;
    assert_eq!(head.status, 429, "a refusal is never a success");
    let (head, _) = refused(Http::named(NAME).without_rate_limit_fields(), "*/*").await;
    assert!(!head.headers.contains_key("ratelimit") && !head.headers.contains_key("ratelimit-policy"));
    let (_, body) = refused(Http::named(NAME).explain(), "*/*").await;
    assert!(body.contains(r#""threshold":0.0"#), "{body}");
    let (head, body) = refused(Http::named(NAME), "text/html, */*;q=0.1").await;
    assert_eq!(head.headers["content-type"], "text/plain; charset=utf-8");
    assert!(body.starts_with("Too Many Requests: `orders` refuses this request"), "{body}");

    let own = Http::named(NAME).fallback(|blocked, head| {
        let text = format!("{} {} {}", head.method, blocked.family(), blocked.resource());
        Response::builder().status(418).body(Full::from(text)).unwrap()
    });
    let (head, body) = refused(own, "*/*").await;
    assert_eq!((head.status.as_u16(), &*body), (418, "GET flow orders"));
    assert!(head.headers.is_empty(), "nothing is added to one's own response");
}

#[tokio::test]
async fn callers_and_arguments_come_from_the_request() {
    let (sentinel, _) = instance([FlowRule::new(NAME, 1.0).for_origin("mobile")]);
    let by_header = Http::named(NAME).origin_from(HeaderName::from_static("x-client"));
    let service = service(&sentinel, by_header, || Response::new(Full::from("ok")));
    let mut statuses = Vec::new();
    for client in ["mobile", "mobile", "web", "web"] {
        let request = Request::get("/").header("x-client", client).body(()).unwrap();
        statuses.push(service.clone().oneshot(request).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 200, 200]);

    let with_cost = Http::named("batch").calling(|head, enter| {
        let items = head.uri.query().map_or(1, |query| query.len() as u32);
        enter.with(&Call::new().count(items).args(&[Arg::from(head.uri.path())]))
    });
    let service = self::service(&sentinel, with_cost, || Response::new(Full::from("ok")));
    service.oneshot(Request::get("/?1234").body(()).unwrap()).await.unwrap();
    assert_eq!(sentinel.snapshot_of("batch").unwrap().statistics.totals.pass, 4);
}

#[tokio::test]
async fn requests_without_a_resource_are_let_through() {
    let (sentinel, _) = instance([FlowRule::new(NAME, 0.0)]);
    let http = Http::new(|head| (head.uri.path() != "/health").then_some(NAME.into()));
    let service = service(&sentinel, http, || Response::new(Full::from("ok")));
    let of = |path: &str| Request::get(path.to_owned()).body(()).unwrap();
    assert_eq!(service.clone().oneshot(of("/health")).await.unwrap().status(), 200);
    assert_eq!(service.oneshot(of("/")).await.unwrap().status(), 429);
}

#[test]
fn a_size_that_is_not_known_stays_unknown() {
    assert_eq!(frames([]).size_hint().upper(), SizeHint::default().upper());
}
