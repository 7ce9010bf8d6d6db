//! Connections that break, and what is made up for.

use std::time::Duration;

use sentinel_core::Sentinel;
use sentinel_datasource::{Backoff, Datasource, State};
use tokio::time::{Instant, sleep};

use crate::memory::{Server, error, flow, settle, started, threshold};

#[tokio::test(start_paused = true)]
async fn what_changed_while_the_server_was_away_is_in_force_when_it_is_back() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (sentinel, watch) = started(&server).await;
    server.kill();
    settle().await;
    assert_eq!(watch.status().state, State::Connecting);
    server.put("rules", &flow(2));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(threshold(&sentinel), Some(1.0));
    assert_eq!(error(&watch), "memory cannot be reached: it is down");

    server.revive();
    let back = Instant::now();
    while threshold(&sentinel) != Some(2.0) {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(back.elapsed() <= Duration::from_secs(3), "{:?}", back.elapsed());
    assert!(watch.status().is_healthy());
    assert_eq!(server.0.lock().open, 1, "the broken connection is gone");
}

#[tokio::test(start_paused = true)]
async fn attempts_to_connect_come_in_growing_pauses() {
    let server = Server::of(&[("rules", &flow(1))]);
    let sentinel = Sentinel::default();
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(4));
    let _watch = Datasource::new(server.clone()).backoff(backoff).start(&sentinel).await.unwrap();
    server.kill();
    sleep(Duration::from_secs(120)).await;
    let connections = server.0.lock().connections.clone();
    let pauses: Vec<Duration> = connections.windows(2).skip(1).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() < 40, "{}", pauses.len());
    assert!(pauses[0] < Duration::from_millis(500) && pauses.iter().all(|pause| *pause <= Duration::from_secs(8)));
    assert!(pauses[10..].iter().all(|pause| *pause >= Duration::from_secs(4)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_again_and_again_is_not_made_in_a_hurry() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (_sentinel, _watch) = started(&server).await;
    for _ in 0..60_000 {
        server.set(|inside| inside.generation += 1);
        server.1.notify_waiters();
        sleep(Duration::from_millis(1)).await;
    }
    let connections = server.0.lock().connections.len();
    assert!(connections < 80, "{connections} connections within a minute");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_tells_of_is_found_by_reading_from_time_to_time() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (sentinel, _watch) = started(&server).await;
    server.set(|inside| inside.is_silent = true);
    server.put("rules", &flow(2));
    sleep(Duration::from_secs(16)).await;
    assert_eq!(threshold(&sentinel), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dead_without_a_word_is_made_anew() {
    let server = Server::of(&[("rules", &flow(1))]);
    let (sentinel, watch) = started(&server).await;
    server.set(|inside| inside.stalls = true);
    server.put("rules", &flow(2));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(error(&watch), "reading took longer than 5000 ms");
    server.set(|inside| inside.stalls = false);
    sleep(Duration::from_secs(3 + 5)).await;
    assert_eq!(threshold(&sentinel), Some(2.0));
    assert_eq!(server.0.lock().open, 1);
}
