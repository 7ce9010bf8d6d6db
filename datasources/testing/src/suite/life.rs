use std::time::Duration;

use sentinel_datasource::State;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use super::{Stage, Subject, until_tasks};
use crate::{
    observe::{RECOVERY, within},
    servers::Unavailable,
};

pub(super) async fn a_watch_ends_while_it_connects<S: Subject>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    stage.stall();
    let before = Handle::current().metrics().num_alive_tasks();
    // Given up by its caller.
    let start = stage.datasource().timeout(Duration::from_secs(60)).start(&stage.sentinel);
    assert!(timeout(Duration::from_millis(500), start).await.is_err(), "a stalled server lets it start");
    // Nor do proxies see that a client has gone until they pass bytes again.
    stage.heal().await;
    until_tasks(before).await;

    stage.stall();
    let start = stage.datasource().start_within(Duration::from_millis(300)).optional();
    let watch = start.start(&stage.sentinel).await.unwrap();
    let begin = Instant::now();
    watch.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(1), "it took {:?}", begin.elapsed());
    assert_eq!(watch.status().state, State::Ended);
    stage.heal().await;
    until_tasks(before).await;
    Ok(())
}

pub(super) async fn a_watch_that_ended_leaves_no_task_behind<S: Subject>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    // The first one may start what the client keeps for all of them; each further one starts and ends its own.
    stage.watch().await.stop().await;
    sleep(Duration::from_millis(200)).await;
    // Those of the proxies for connections that were there go too.
    let before = Handle::current().metrics().num_alive_tasks();
    for _ in 0..3 {
        let watch = stage.watch().await;
        watch.stop().await;
        assert_eq!(stage.thresholds(), [1], "the rules stay in force");
        drop(stage.watch().await);
    }
    until_tasks(before).await;
    Ok(())
}

pub(super) async fn a_watch_that_reconnects_again_and_again_leaves_no_task_behind<S: Subject>()
-> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let watch = stage.watch().await;
    let reconnect = async || {
        stage.cut().await;
        within(RECOVERY * 3, "the cut noticed", &watch, || watch.status().state == State::Connecting).await;
        stage.heal().await;
        within(RECOVERY, "connected again", &watch, || watch.status().state == State::Connected).await;
    };
    reconnect().await;
    sleep(Duration::from_millis(300)).await;
    let before = Handle::current().metrics().num_alive_tasks();
    for _ in 0..3 {
        reconnect().await;
    }
    until_tasks(before).await;
    Ok(())
}
