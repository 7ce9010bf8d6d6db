//! How changes are noticed.

use std::time::Duration;

use sentinel_core::Sentinel;
use sentinel_redis::{Backoff, RedisSource, State, WhenMissing};
use sentinel_testing::{
    Proxy,
    observe::{NEVER, SOON, datasource, document, start, thresholds, until_healthy, until_in_force, until_told},
    servers::{Redis, RedisOptions, Server as _, Unavailable},
};
use tokio::time::sleep;

use super::subject::{KEY, admin, open_server, put, source, source_of_a_mere_reader};

const OTHER: &str = "sentinel:other";

pub(super) async fn keys_that_expire_or_are_flushed_are_missed() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    let sentinel = Sentinel::default();
    let datasource = sentinel_redis::Datasource::new(source(&redis)).name("rules").resync_interval(NEVER);
    let watch = datasource.when_missing(WhenMissing::Clear).start(&sentinel).await.unwrap();
    assert_eq!(watch.status().remark.as_deref(), Some("the server tells of changes"));

    admin(&redis, redis::cmd("PEXPIRE").arg(KEY).arg(200)).await;
    until_in_force(SOON * 2, [], &sentinel, &watch).await;
    put(&redis, 2).await;
    until_in_force(SOON, [2], &sentinel, &watch).await;
    admin(&redis, &redis::cmd("FLUSHALL")).await;
    until_in_force(SOON, [], &sentinel, &watch).await;
    assert_eq!(watch.status().connections, 1);
    Ok(())
}

pub(super) async fn several_keys_are_in_force_together_and_each_keeps_its_last_good_rules() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    redis.put(OTHER, b"flow: [{resource: search, threshold: 7}]").await.unwrap();
    let sentinel = Sentinel::default();
    let watch = start(source(&redis).key(OTHER), &sentinel).await;
    assert_eq!(thresholds(&sentinel), [1, 7]);
    let keys: Vec<_> = watch.status().documents.iter().map(|document| document.key.clone()).collect();
    assert_eq!(keys, [OTHER, KEY]);
    let before = watch.status().revision.unwrap();

    redis.put(OTHER, b"flow: [{resource: search, threshold: -7}]").await.unwrap();
    until_told(SOON, "`sentinel:other`: flow rule 1 for `search`: threshold is -7", &watch).await;
    put(&redis, 2).await;
    until_in_force(SOON, [2, 7], &sentinel, &watch).await;
    let (revision, unchanged) = (watch.status().revision.unwrap(), |one: &str, other: &str| one == other);
    assert_ne!(revision, before);
    assert!(!unchanged(revision.split(',').next().unwrap(), before.split(',').next().unwrap()));
    Ok(())
}

pub(super) async fn a_key_that_holds_no_text_changes_nothing_and_is_named() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    let sentinel = Sentinel::default();
    let watch = start(source(&redis), &sentinel).await;
    let mut list = redis::cmd("EVAL");
    list.arg("redis.call('DEL', KEYS[1]) return redis.call('RPUSH', KEYS[1], 'x')").arg(1).arg(KEY);
    admin(&redis, &list).await;
    until_told(SOON, "`sentinel:rules` cannot be read", &watch).await;
    assert_eq!(thresholds(&sentinel), [1]);
    assert_eq!(watch.status().state, State::Connected);
    put(&redis, 2).await;
    until_healthy(SOON, [2], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn a_key_is_that_of_its_database() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    let mut copy = redis::cmd("COPY");
    copy.arg(KEY).arg(KEY).arg("DB").arg(3);
    admin(&redis, &copy).await;
    let sentinel = Sentinel::default();
    let watch = start(source(&redis).database(3), &sentinel).await;
    assert_eq!(thresholds(&sentinel), [1]);
    // The same key of another one.
    put(&redis, 2).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(thresholds(&sentinel), [1]);
    admin(&redis, copy.arg("REPLACE")).await;
    until_in_force(SOON, [2], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn a_user_who_is_told_nothing_looks_again_and_again() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    let sentinel = Sentinel::default();
    let source = source_of_a_mere_reader(&redis).await.poll_interval(Duration::from_millis(300));
    let watch = start(source, &sentinel).await;
    let remark = watch.status().remark.unwrap();
    assert!(remark.starts_with("the keys are read every 300 ms") && remark.contains("client|tracking"), "{remark}");
    for threshold in 2..4 {
        put(&redis, threshold).await;
        until_in_force(SOON, [threshold], &sentinel, &watch).await;
    }
    assert_eq!(watch.status().connections, 1);
    Ok(())
}

pub(super) async fn events_of_keys_make_it_sooner_for_a_user_who_is_told_nothing() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions { keyspace_events: true, ..Default::default() }).await?;
    hears_of(&redis, source_of_a_mere_reader(&redis).await, async |threshold| put(&redis, threshold).await).await;
    Ok(())
}

pub(super) async fn messages_on_a_channel_make_it_sooner_for_a_user_who_is_told_nothing() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    let source = source_of_a_mere_reader(&redis).await.channel("sentinel:changed");
    hears_of(&redis, source, async |threshold| {
        put(&redis, threshold).await;
        assert_eq!(redis.publish("sentinel:changed", b"not what is in force").await.unwrap(), 1);
    })
    .await;
    Ok(())
}

/// What is put is in force long before it would be read anyway.
async fn hears_of(redis: &Redis, source: RedisSource, put: impl AsyncFn(u64)) {
    let sentinel = Sentinel::default();
    let watch = start(source.poll_interval(NEVER), &sentinel).await;
    for threshold in 2..4 {
        put(threshold).await;
        until_in_force(SOON, [threshold], &sentinel, &watch).await;
    }
    redis.delete(KEY).await.unwrap();
    redis.put(KEY, document(9).as_bytes()).await.unwrap();
    assert!(watch.status().is_healthy());
}

pub(super) async fn of_a_connection_that_is_reset_the_reason_is_told() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    let proxy = Proxy::to(redis.address()).await;
    let source = RedisSource::new(proxy.address().to_string(), KEY);
    // There is no second attempt, which would say something else.
    let datasource = datasource(source).backoff(Backoff::new(NEVER, NEVER));
    let watch = datasource.start(&Sentinel::default()).await.unwrap();
    proxy.reset().await;
    until_told(SOON, "reset", &watch).await;
    Ok(())
}

pub(super) async fn a_server_that_says_nothing_is_left() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    let sentinel = Sentinel::default();
    let watch = start(source(&redis), &sentinel).await;
    redis.pause();
    let noticed = until_told(SOON * 6, "ping", &watch).await;
    eprintln!("a server that says nothing was noticed after {} ms", noticed.as_millis());
    assert_eq!(thresholds(&sentinel), [1]);
    redis.resume();
    put(&redis, 2).await;
    until_healthy(SOON * 8, [2], &sentinel, &watch).await;
    Ok(())
}
