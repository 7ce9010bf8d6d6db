use std::time::Duration;

use sentinel_core::Sentinel;
use sentinel_datasource::{Connection as _, Reading, Source as _};
use sentinel_etcd::{Datasource, EtcdSource, State};
use sentinel_testing::{
    Proxy,
    observe::{RECOVERY, SOON, document, error, start, thresholds, until_in_force, within},
    servers::{Etcd, EtcdOptions, EtcdVersion, Server as _, Unavailable},
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use crate::subject::KEY;

pub(crate) async fn a_member_that_is_gone_or_silent_is_passed_over() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    etcd.put(KEY, document(1).as_bytes()).await.unwrap();
    // Lines to the one server stand for members.
    let [gone, silent, first, second] = [
        Proxy::to(etcd.address()).await,
        Proxy::to(etcd.address()).await,
        Proxy::to(etcd.address()).await,
        Proxy::to(etcd.address()).await,
    ];
    gone.cut().await;
    silent.stall();
    let endpoints = [&gone, &silent, &first, &second].map(|proxy| proxy.address().to_string());
    let source = EtcdSource::new(endpoints).key(KEY).connect_timeout(Duration::from_millis(500));
    let sentinel = Sentinel::default();
    let watch = start(source, &sentinel).await;
    assert_eq!((thresholds(&sentinel), first.connections()), (vec![1], 1));

    first.cut().await;
    etcd.put(KEY, document(2).as_bytes()).await.unwrap();
    within(RECOVERY, "the next member used", &watch, || thresholds(&sentinel) == [2]).await;
    assert_eq!(second.connections(), 1);

    // From the end, the beginning is next.
    second.cut().await;
    first.heal().await;
    etcd.put(KEY, document(3).as_bytes()).await.unwrap();
    let limit = RECOVERY + Duration::from_secs(3);
    within(limit, "the first members tried again", &watch, || thresholds(&sentinel) == [3]).await;
    Ok(())
}

pub(crate) async fn a_server_that_falls_silent_is_noticed_without_being_read() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    etcd.put(KEY, document(1).as_bytes()).await.unwrap();
    let source = EtcdSource::new([etcd.endpoint()]).key(KEY);
    let sentinel = Sentinel::default();
    let watch = start(source, &sentinel).await;
    etcd.pause();
    let limit = Duration::from_secs(9);
    let noticed = within(limit, "the silence noticed", &watch, || watch.status().state == State::Connecting).await;
    eprintln!("a server that falls silent is noticed after {} ms: {}", noticed.as_millis(), error(&watch));
    etcd.resume();
    etcd.put(KEY, document(2).as_bytes()).await.unwrap();
    // An attempt that began in the silence may have to run out first.
    let limit = RECOVERY + Duration::from_secs(3);
    until_in_force(limit, [2], &sentinel, &watch).await;
    Ok(())
}

pub(crate) async fn a_connection_to_a_silent_server_ends_with_all_its_tasks() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    etcd.put(KEY, document(1).as_bytes()).await.unwrap();
    let source = EtcdSource::new([etcd.endpoint()]).key(KEY).prefix("more/");
    let sentinel = Sentinel::default();
    let alive = || Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let watch = start(source, &sentinel).await;
    assert!(alive() > before);
    etcd.pause();
    watch.stop().await;
    let begin = Instant::now();
    while alive() > before {
        assert!(begin.elapsed() < Duration::from_millis(500), "{} tasks, {before} before", alive());
        sleep(Duration::from_millis(5)).await;
    }
    etcd.resume();
    Ok(())
}

pub(crate) async fn a_watch_that_falls_behind_what_is_forgotten_goes_on() -> Result<(), Unavailable> {
    for version in [EtcdVersion::Installed, EtcdVersion::V3_5] {
        let etcd = Etcd::start(EtcdOptions { version, ..EtcdOptions::default() }).await?;
        let mut source = EtcdSource::new([etcd.endpoint()]).key(KEY);
        let mut connection = source.connect().await.unwrap();
        connection.read().await.unwrap();
        // More than any buffer between the two holds, so that the server has to wait with what it has to tell.
        let value = vec![b' '; 20_000];
        for _ in 0..600 {
            etcd.put(KEY, &value).await.unwrap();
        }
        etcd.compact().await.unwrap();
        // What was told before is what came before; after that the watch is made anew.
        let begin = Instant::now();
        loop {
            timeout(RECOVERY, connection.changed()).await.expect("there is more to tell").unwrap();
            if let Reading::Content(content) = connection.read().await.unwrap() {
                assert_eq!(content.documents.len(), 1);
            }
            if timeout(Duration::from_millis(500), connection.changed()).await.is_err() {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it does not come to an end");
        }
        etcd.put(KEY, b"at last").await.unwrap();
        timeout(RECOVERY, connection.changed()).await.expect("a change is told of").unwrap();
        assert!(matches!(connection.read().await.unwrap(), Reading::Content(_)));
    }
    Ok(())
}

pub(crate) async fn a_quiet_connection_is_kept() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    etcd.put(KEY, document(1).as_bytes()).await.unwrap();
    let sentinel = Sentinel::default();
    let source = EtcdSource::new([etcd.endpoint()]).key(KEY);
    let watch = start(source, &sentinel).await;
    // Long enough for the server to count several questions whether it is there.
    sleep(Duration::from_secs(26)).await;
    assert_eq!(watch.status().connections, 1, "{:#?}", watch.status());
    etcd.put(KEY, document(2).as_bytes()).await.unwrap();
    until_in_force(SOON, [2], &sentinel, &watch).await;
    assert_eq!(watch.status().connections, 1);
    Ok(())
}

pub(crate) async fn patience_may_be_as_long_as_one_likes_to_say() -> Result<(), Unavailable> {
    let etcd = Etcd::start(EtcdOptions::default()).await?;
    etcd.put(KEY, document(1).as_bytes()).await.unwrap();
    let sentinel = Sentinel::default();
    let source = EtcdSource::new([etcd.endpoint()]).key(KEY).connect_timeout(Duration::MAX);
    let datasource = Datasource::new(source.keep_alive(Duration::MAX, Duration::MAX)).name("rules");
    let watch = datasource.start(&sentinel).await.unwrap();
    etcd.put(KEY, document(2).as_bytes()).await.unwrap();
    until_in_force(SOON, [2], &sentinel, &watch).await;
    assert_eq!(watch.status().connections, 1);
    Ok(())
}
