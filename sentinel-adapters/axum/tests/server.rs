//! A real server on loopback.

use std::{convert::Infallible, net::Ipv4Addr, time::Duration};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use sentinel_core::{FlowRule, ManualClock, Rules, Sentinel, Statistics};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A connection of one's own to a router that is served on loopback.
async fn connect(port: u16) -> Result<http1::SendRequest<Empty<Bytes>>, Error> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(requests)
}

async fn serve(app: Router) -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(port)
}

async fn ask(requests: &mut http1::SendRequest<Empty<Bytes>>, path: &str) -> Result<Response<Incoming>, Error> {
    requests.ready().await?;
    Ok(requests.send_request(Request::get(path).header("host", "localhost").body(Empty::new())?).await?)
}

/// Waits until the statistics of a resource are as they should be.
async fn until(sentinel: &Sentinel, resource: &str, as_it_should_be: impl Fn(&Statistics) -> bool) {
    let seen = timeout(Duration::from_secs(5), async {
        while !sentinel.snapshot_of(resource).is_some_and(|snapshot| as_it_should_be(&snapshot.statistics)) {
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(seen.await.is_ok(), "after 5 s: {:?}", sentinel.snapshot_of(resource));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_share_one_limit() -> Result<(), Error> {
    let sentinel = Sentinel::builder().clock(ManualClock::new()).build()?;
    sentinel.rules().replace("test", Rules::new().flow([FlowRule::new("GET /", 100.0)]))?;
    let port = serve(Router::new().route("/", get(async || "ok")).layer(sentinel_axum::layer(&sentinel))).await?;
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        clients.spawn(async move {
            let mut connection = connect(port).await?;
            let mut admitted = 0;
            for _ in 0..20 {
                let response = ask(&mut connection, "/").await?;
                admitted += usize::from(response.status() == 200);
                response.into_body().collect().await?;
            }
            Ok::<_, Error>(admitted)
        });
    }
    let mut admitted = 0;
    while let Some(client) = clients.join_next().await {
        admitted += client??;
    }
    assert_eq!(admitted, 100, "of 1,000 in no time at all");
    until(&sentinel, "GET /", |statistics| statistics.in_flight == 0).await;
    let totals = sentinel.snapshot_of("GET /").ok_or("no such resource")?.statistics.totals;
    assert_eq!((totals.pass, totals.complete, totals.block, totals.error), (100, 100, 900, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_of_known_length_keeps_it() -> Result<(), Error> {
    let sentinel = Sentinel::default();
    let port =
        serve(Router::new().route("/", get(async || "twelve bytes")).layer(sentinel_axum::layer(&sentinel))).await?;
    let mut connection = connect(port).await?;
    let response = ask(&mut connection, "/").await?;
    assert_eq!(response.headers().get("content-length").map(axum::http::HeaderValue::as_bytes), Some(&b"12"[..]));
    assert!(!response.headers().contains_key("transfer-encoding"));
    assert_eq!(response.into_body().collect().await?.to_bytes(), "twelve bytes");
    until(&sentinel, "GET /", |statistics| statistics.in_flight == 0 && statistics.second.complete == 1).await;
    // A completion with its response time: read to the end, not cancelled.
    until(&sentinel, "GET /", |statistics| statistics.minute.response_times.max > Duration::ZERO).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_in_the_middle_of_the_body_releases_the_entry() -> Result<(), Error> {
    let sentinel = Sentinel::default();
    let (frames, received) = mpsc::channel::<Bytes>(1);
    let received = std::sync::Mutex::new(Some(received));
    let stream = move || {
        let received = received.lock().ok().and_then(|mut received| received.take());
        async move { Body::new(Channel(received)) }
    };
    let stream = std::sync::Arc::new(stream);
    let app = Router::new().route("/stream", get(move || stream())).layer(sentinel_axum::layer(&sentinel));
    let mut connection = connect(serve(app).await?).await?;
    let mut response = ask(&mut connection, "/stream").await?;
    frames.send(Bytes::from_static(b"first")).await?;
    response.frame().await.ok_or("the body ended")??;
    assert_eq!(sentinel.snapshot_of("GET /stream").map(|stream| stream.statistics.in_flight), Some(1));
    drop((response, connection));
    // The server learns of it when it writes or reads; hyper reads all the time.
    until(&sentinel, "GET /stream", |statistics| statistics.in_flight == 0).await;
    let statistics = sentinel.snapshot_of("GET /stream").ok_or("no such resource")?.statistics;
    assert_eq!((statistics.totals.complete, statistics.totals.error), (1, 0));
    assert_eq!(statistics.minute.response_times.max, Duration::ZERO, "a cancelled call has no response time");
    Ok(())
}

/// A body of the frames that a channel gives.
struct Channel(Option<mpsc::Receiver<Bytes>>);

impl hyper::body::Body for Channel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Some(frames) => {
                frames.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(hyper::body::Frame::data(bytes))))
            }
            None => std::task::Poll::Ready(None),
        }
    }
}
