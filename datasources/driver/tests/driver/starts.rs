//! What a start waits for, and what it fails for.

use std::time::Duration;

use sentinel_core::Sentinel;
use sentinel_datasource::{Backoff, Datasource, State, WhenMissing};
use tokio::time::sleep;

use crate::memory::{Server, failing, flow, long, settle, threshold};

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_a_server_that_is_not_there_yet_but_not_for_what_will_not_change() {
    let sentinel = Sentinel::default();
    let server = Server::of(&[("rules", &flow(1))]);
    server.kill();
    let (error, took) = failing(Datasource::new(server.clone()), &sentinel).await;
    assert_eq!(error.to_string(), "memory: memory cannot be reached: it is down");
    assert_eq!(took, Duration::from_secs(5));

    let late = server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(2)).await;
        late.revive();
    });
    drop(Datasource::new(server.clone()).start(&sentinel).await.unwrap());

    server.set(|inside| inside.denies = true);
    let (error, took) = failing(Datasource::new(server.clone()), &sentinel).await;
    assert_eq!((error.to_string().as_str(), took), ("memory: memory refuses access: wrong password", Duration::ZERO));

    server.set(|inside| (inside.denies, inside.stalls) = (false, true));
    let (error, took) = failing(Datasource::new(server.clone()).timeout(Duration::from_secs(60)), &sentinel).await;
    assert_eq!(
        (error.to_string().as_str(), took),
        ("memory: starting took longer than 5000 ms", Duration::from_secs(5))
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_with_a_wrong_document_puts_nothing_in_force_unless_it_is_optional() {
    let sentinel = Sentinel::default();
    let server = Server::of(&[("a", &flow(1)), ("b", "flow: 7")]);
    let (error, took) = failing(Datasource::new(server.clone()), &sentinel).await;
    assert!(error.to_string().starts_with("memory: `b`: flow rule 1"), "{error}");
    assert_eq!(took, Duration::ZERO);
    assert!(sentinel.rules().get("memory").is_none());
    settle().await;
    assert_eq!(server.0.lock().open, 0, "a start that failed leaves no connection");

    let watch = Datasource::new(server.clone()).optional().start(&sentinel).await.unwrap();
    assert_eq!((threshold(&sentinel), watch.status().is_healthy()), (Some(1.0), false));
}

#[tokio::test(start_paused = true)]
async fn a_start_without_the_key_fails_where_it_has_to_be_there() {
    let sentinel = Sentinel::default();
    let server = Server::default();
    server.delete("rules");
    let (error, _) = failing(Datasource::new(server.clone()), &sentinel).await;
    assert_eq!(error.to_string(), "memory: `rules` does not exist");

    let watch = Datasource::new(server.clone()).when_missing(WhenMissing::Clear).start(&sentinel).await.unwrap();
    assert!(watch.status().is_healthy());
}

#[tokio::test(start_paused = true)]
async fn any_duration_can_be_asked_for() {
    let server = Server::of(&[("rules", &flow(1))]);
    let datasource = Datasource::new(server.clone()).start_within(Duration::MAX).min_interval(Duration::MAX);
    let longest = datasource.timeout(Duration::MAX).backoff(Backoff::new(Duration::MAX, Duration::MAX));
    let watch = longest.start(&Sentinel::default()).await.unwrap();
    server.put("rules", &flow(2));
    settle().await;
    assert_eq!(watch.status().state, State::Connected);
}

#[tokio::test]
async fn what_was_read_in_time_is_in_force_when_the_start_is_done_and_the_status_knows() {
    let server = Server::of(&[("rules", &long(5_000))]);
    let sentinel = Sentinel::default();
    let watch = Datasource::new(server).start_within(Duration::from_millis(1)).start(&sentinel).await.unwrap();
    assert_eq!(sentinel.rules().get("memory").map(|rules| rules.len()), Some(5_000));
    assert_eq!((watch.status().rules, watch.status().applied), (5_000, 1));
}
