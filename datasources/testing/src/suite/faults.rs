use std::{sync::Arc, time::Duration};

use sentinel_core::Sentinel;
use sentinel_datasource::{SourceError, State};
use tokio::{
    sync::RwLock,
    time::{Instant, sleep},
};

use super::{Stage, Subject, next, report};
use crate::{
    Logs,
    observe::{PATIENCE, RECOVERY, datasource, document, error, thresholds, until_in_force, within},
    servers::Unavailable,
};

pub(super) async fn a_server_that_is_killed_under_a_stream_of_updates_ends_in_the_right_state<S: Subject>()
-> Result<(), Unavailable> {
    let Stage { subject, proxies, sentinel } = Stage::<S>::with(1).await?;
    let stage = Stage { subject: Arc::new(RwLock::new(subject)), proxies, sentinel };
    let watch = {
        let subject = stage.subject.read().await;
        datasource(subject.source(stage.proxies[0].address())).start(&stage.sentinel).await.unwrap()
    };
    let writer = tokio::spawn({
        let subject = Arc::clone(&stage.subject);
        async move {
            loop {
                // What a server that is down does not take is lost to the writer too.
                let _ = subject.read().await.put(&document(next())).await;
                sleep(Duration::from_millis(5)).await;
            }
        }
    });
    for _ in 0..2 {
        sleep(Duration::from_millis(500)).await;
        stage.subject.write().await.kill();
        within(PATIENCE, "the loss noticed", &watch, || watch.status().state == State::Connecting).await;
        stage.subject.write().await.restart().await;
        within(PATIENCE, "connected again", &watch, || watch.status().state == State::Connected).await;
    }
    sleep(Duration::from_millis(300)).await;
    writer.abort();
    let _ = writer.await;

    // Once more, and the last word is said before anybody is connected again.
    let last = next();
    let subject = &mut *stage.subject.write().await;
    subject.kill();
    within(PATIENCE, "the loss noticed", &watch, || watch.status().state == State::Connecting).await;
    subject.restart().await;
    let back = Instant::now();
    while let Err(error) = subject.put(&document(last)).await {
        assert!(back.elapsed() < PATIENCE, "the server does not take it: {error}");
        sleep(Duration::from_millis(20)).await;
    }
    let took = until_in_force(RECOVERY, [last], &stage.sentinel, &watch).await;
    report::<S>("after a restart right within", format_args!("{} ms", took.as_millis()));
    sleep(S::SOON).await;
    assert_eq!(thresholds(&stage.sentinel), [last]);
    assert!(watch.status().is_healthy(), "{:#?}", watch.status());
    Ok(())
}

pub(super) async fn what_changes_while_the_network_is_cut_is_in_force_when_it_is_back<S: Subject>()
-> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let watch = stage.watch().await;
    for (threshold, away) in [(2, Duration::from_millis(100)), (3, Duration::from_secs(4))] {
        stage.cut().await;
        stage.put(threshold).await;
        sleep(away).await;
        assert_eq!(stage.thresholds(), [threshold - 1], "the last good rules stay in force");
        stage.heal().await;
        let took = stage.until_in_force(RECOVERY, [threshold], &watch).await;
        report::<S>("after a cut right within", format_args!("{} ms", took.as_millis()));
        within(RECOVERY, "healthy", &watch, || watch.status().is_healthy()).await;
    }
    // And the connection is as good as the first was.
    sleep(Duration::from_millis(150)).await;
    stage.put(4).await;
    stage.until_in_force(S::SOON, [4], &watch).await;
    Ok(())
}

pub(super) async fn a_network_that_stalls_is_noticed_and_made_up_for<S: Subject>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let watch = stage.datasource().resync_interval(Duration::from_secs(2)).start(&stage.sentinel).await.unwrap();
    stage.stall();
    stage.put(2).await;
    let noticed = within(PATIENCE, "the stall noticed", &watch, || watch.status().state == State::Connecting).await;
    assert_eq!(stage.thresholds(), [1], "the last good rules stay in force");
    assert!(!error(&watch).is_empty());
    stage.heal().await;
    // An attempt that began in the stall may have to run out first.
    let took = stage.until_in_force(RECOVERY + Duration::from_secs(2), [2], &watch).await;
    let figures = format!("noticed after {} ms, right {} ms after it was over", noticed.as_millis(), took.as_millis());
    report::<S>("a stall", figures);
    sleep(Duration::from_millis(150)).await;
    stage.put(3).await;
    stage.until_in_force(S::SOON, [3], &watch).await;
    Ok(())
}

pub(super) async fn a_start_from_a_snapshot_needs_no_server<S: Subject>() -> Result<(), Unavailable> {
    let mut stage = Stage::<S>::with(1).await?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.snapshot");
    stage.datasource().snapshot(&path).start(&stage.sentinel).await.unwrap().stop().await;
    let snapshot = std::fs::read_to_string(&path).unwrap();
    for secret in stage.subject.secrets() {
        assert!(!snapshot.contains(&secret), "the snapshot holds a secret");
    }

    stage.subject.kill();
    stage.sentinel = Sentinel::default();
    let start = stage.datasource().snapshot(&path).start_within(Duration::from_secs(1)).start(&stage.sentinel);
    let watch = start.await.unwrap_or_else(|error| panic!("it does not start from the snapshot: {error}"));
    assert_eq!(stage.thresholds(), [1]);
    assert!(watch.status().from_snapshot && !watch.status().is_healthy(), "{:#?}", watch.status());

    stage.subject.restart().await;
    stage.put(2).await;
    stage.until_in_force(RECOVERY, [2], &watch).await;
    // The status tells of it a moment after.
    within(S::SOON, "not of the snapshot any more", &watch, || !watch.status().from_snapshot).await;
    Ok(())
}

pub(super) async fn wrong_credentials_are_denied_at_once_and_shown_to_nobody<S: Subject>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let source = || datasource(stage.subject.stranger(stage.address()));
    let logs = Logs::new();
    let begin = Instant::now();
    let refused = logs.start(source(), &stage.sentinel).await;
    let Err(refused) = refused else { panic!("it starts with wrong credentials") };
    assert!(matches!(*refused.error, SourceError::Denied { .. }), "{refused:?}");
    assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
    assert!(stage.thresholds().is_empty());

    // Who starts all the same hears why there are no rules.
    let watch = logs.start(source().optional(), &stage.sentinel).await.unwrap();
    within(PATIENCE, "the denial told", &watch, || !error(&watch).is_empty()).await;
    let sources = (stage.datasource(), source());
    let told = format!("{refused} {refused:?} {:?} {watch:?} {sources:?}", error(&watch));
    no_secret_is_told(&stage, &told, &logs, &["refuses access"]);
    Ok(())
}

pub(super) async fn credentials_that_change_are_taken_up_and_in_no_log<S: Subject>() -> Result<(), Unavailable> {
    let mut stage = Stage::<S>::with(1).await?;
    let logs = Logs::new();
    let watch = logs.start(stage.datasource(), &stage.sentinel).await.unwrap();
    assert!(stage.subject.rotate().await, "the server has new credentials");
    // Whatever session there is ends, and the next one needs the new ones.
    stage.cut().await;
    sleep(Duration::from_millis(300)).await;
    stage.heal().await;
    stage.put(2).await;
    stage.until_healthy(RECOVERY, [2], &watch).await;
    let told = format!("{watch:?}");
    watch.stop().await;
    no_secret_is_told(&stage, &told, &logs, &["the rules of the source are in force", S::HEARD]);
    Ok(())
}

/// Neither in what was told, nor in what was logged, where these words have to be.
pub(super) fn no_secret_is_told<S: Subject>(stage: &Stage<S>, told: &str, logs: &Logs, logged: &[&str]) {
    for secret in stage.subject.secrets() {
        assert!(!told.contains(&secret), "a secret is told: {told}");
    }
    let text = logs.text();
    for words in logged {
        assert!(text.contains(words), "`{words}` is in no log");
    }
    logs.hold_none_of(stage.subject.secrets());
    logs.hold_none_of(S::GIVEN);
}
