//! Isolation rules: how many calls at a time, and who waits.

use std::{error::Error, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use sentinel_axum::layer;
use sentinel_core::Sentinel;
use sentinel_examples::{
    client::{Ask, Client},
    load::Load,
};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{Outcome, Report, room::Room, stage};

const RULES: &str = "\
isolation:
  - {resource: GET /slow, threshold: 4, maxQueueSize: 8, maxQueueingTimeMs: 1000}
  - {resource: GET /held, threshold: 1, maxQueueSize: 1, maxQueueingTimeMs: 5000}";

const TAKES: Duration = Duration::from_millis(50);
const LOAD: Load = Load { clients: 24, per_second: 400.0, length: Duration::from_secs(2) };
/// Long enough for a request to be in the queue.
const ARRIVAL: Duration = Duration::from_millis(250);

pub(super) async fn perform(report: &mut Report) -> Outcome {
    report.scene("A slow handler that four calls may be in at a time, with a queue in front of it:", RULES);
    let sentinel = stage::sentinel(Sentinel::builder(), RULES)?;
    let (slow, held, gate) = (Room::default(), Room::default(), Arc::new(Semaphore::new(0)));
    let app = Router::new()
        .route("/slow", get(handler(slow.clone(), || sleep(TAKES))))
        .route(
            "/held",
            get(handler(held.clone(), {
                let gate = Arc::clone(&gate);
                move || opened(Arc::clone(&gate))
            })),
        )
        .layer(layer(&sentinel));
    let server = stage::serve(app).await?;

    report.note("24 clients ask 400 times a second; it answers 80, in 50 ms each.");
    let answers = LOAD.on(server.address, |_| Ask::get("/slow")).await?;
    let (served, refused) = (answers.of(StatusCode::OK), answers.of(StatusCode::SERVICE_UNAVAILABLE));
    let most = slow.most();
    report.expect(most == 4, format!("never more than 4 inside, and all of 4 used: {most} at most"));
    let enough = served.len() as f64 >= 0.75 * 4.0 * LOAD.length.as_secs_f64() / TAKES.as_secs_f64();
    report.expect(enough, format!("the queue keeps it busy: {} served in {:?}", served.len(), LOAD.length));
    let waited = served.percentile(0.5);
    report.expect(
        waited > TAKES * 3 / 2 && !refused.is_empty(),
        format!("who finds a place waits (the median answer took {waited:.0?}), {} found none", refused.len()),
    );
    let all = served.len() as u64 == slow.all() && served.len() + refused.len() == answers.len();
    report
        .expect(all, format!("each of {} answers is one or the other, and {} were inside", answers.len(), slow.all()));

    report.note(
        "One call is held inside and one waits in a queue of one. Another comes; then the one that waits gives up.",
    );
    let (refused, next) = give_up(server.address, &held, &gate).await?;
    report.expect(refused == StatusCode::SERVICE_UNAVAILABLE, format!("a full queue refuses at once: {refused}"));
    let words = format!("who gives up leaves the queue: the next one waited there, and got {next}");
    report.expect(next == StatusCode::OK && held.all() == 2, words);
    stage::end(server).await?;
    report.expect_rest(&sentinel);
    Ok(())
}

/// A handler that counts who is inside.
fn handler<F>(room: Room, work: impl Fn() -> F + Clone) -> impl Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Clone
where
    F: Future<Output = ()> + Send + 'static,
{
    move || {
        let (inside, work) = (room.enter(), work());
        Box::pin(async move {
            work.await;
            drop(inside);
        })
    }
}

/// Lets a call through as often as the gate is opened.
async fn opened(gate: Arc<Semaphore>) {
    if let Ok(once) = gate.acquire().await {
        once.forget();
    }
}

/// What the one got who came while the queue was full, and the one who came after the queue was left.
async fn give_up(
    service: SocketAddr,
    held: &Room,
    gate: &Semaphore,
) -> Result<(StatusCode, StatusCode), Box<dyn Error>> {
    let ask = move || async move { Client::connect(service).await?.get("/held").await };
    let first = tokio::spawn(ask());
    stage::until("the first call is inside", || held.now() == 1).await?;
    let waiting = tokio::spawn(ask());
    sleep(ARRIVAL).await;
    let refused = timeout(ARRIVAL, ask()).await??;
    waiting.abort();
    // Until the service has seen that the client is gone, the next one is refused as well.
    let next = tokio::spawn(async move {
        loop {
            match ask().await? {
                StatusCode::SERVICE_UNAVAILABLE => {}
                status => return Ok::<_, io::Error>(status),
            }
        }
    });
    sleep(ARRIVAL).await;
    gate.add_permits(2);
    first.await??;
    Ok((refused, next.await??))
}
