//! What is special to blocking queries.

use std::time::Duration;

use sentinel_consul::{ConsulSource, Datasource, State, WhenMissing};
use sentinel_core::Sentinel;
use sentinel_testing::{
    Proxy,
    http::HttpServer,
    observe::{document, error, refusal, start, thresholds, until_in_force, within},
    servers::{Account, Consul, ConsulOptions, Server as _, Unavailable},
};
use tokio::time::{Instant, sleep};

use crate::{KEY, LIMIT, server, source};

pub(super) async fn several_keys_are_in_force_together() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await?, Sentinel::default());
    server.put("sentinel/more", b"isolation: [{resource: orders, threshold: 5}]").await.unwrap();
    let watch = start(source(&server).key("sentinel/more"), &sentinel).await;
    let in_force = || {
        let rules = sentinel.rules().get("rules").unwrap();
        (thresholds(&sentinel), rules.isolation.first().map(|rule| rule.params.threshold))
    };
    assert_eq!(in_force(), (vec![1], Some(5)));
    assert_eq!(watch.status().documents.len(), 2);
    server.put("sentinel/more", b"isolation: [{resource: orders, threshold: 6}]").await.unwrap();
    within(LIMIT, "the change in force", &watch, || in_force() == (vec![1], Some(6))).await;
    server.put(KEY, document(2).as_bytes()).await.unwrap();
    within(LIMIT, "the other change in force", &watch, || in_force() == (vec![2], Some(6))).await;
    server.put("sentinel/more", b"isolation: [").await.unwrap();
    within(LIMIT, "the error told", &watch, || error(&watch).starts_with("`sentinel/more`: ")).await;
    server.put(KEY, document(3).as_bytes()).await.unwrap();
    within(LIMIT, "the good one in force", &watch, || in_force() == (vec![3], Some(6))).await;
    server.delete("sentinel/more").await.unwrap();
    within(LIMIT, "the key missed", &watch, || error(&watch) == "`sentinel/more` does not exist").await;
    assert_eq!((in_force(), watch.status().connections), ((vec![3], Some(6)), 1));
    Ok(())
}

pub(super) async fn an_agent_that_has_nothing_to_tell_is_asked_seldom() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await?, Sentinel::default());
    let proxy = Proxy::to(server.address()).await;
    let source = ConsulSource::new(format!("http://{}", proxy.address()), KEY).token(Account::READER.secret.into());
    let watch = start(source.wait(Duration::from_secs(1)), &sentinel).await;
    let first = watch.status().last_success;
    for _ in 0..3 {
        let before = watch.status().last_success;
        within(LIMIT, "that it is there told", &watch, || watch.status().last_success > before).await;
    }
    let status = watch.status();
    assert!(status.last_success.unwrap().duration_since(first.unwrap()).unwrap() >= Duration::from_secs(3));
    assert_eq!((status.applied, status.connections, proxy.connections()), (1, 1, 1), "{status:?}");
    Ok(())
}

pub(super) async fn a_missing_key_is_waited_for_whatever_others_do() -> Result<(), Unavailable> {
    let server = Consul::start(ConsulOptions { auth: true, ..ConsulOptions::default() }).await?;
    let sentinel = Sentinel::default();
    let datasource = Datasource::new(source(&server)).name("rules").when_missing(WhenMissing::Clear);
    let watch = datasource.start(&sentinel).await.unwrap();
    assert_eq!((thresholds(&sentinel), watch.status().revision), (Vec::new(), None));
    let begin = Instant::now();
    let mut readings = 0;
    let mut before = watch.status().last_success;
    while begin.elapsed() < Duration::from_secs(2) {
        server.put("other/key", b"x").await.unwrap();
        let now = watch.status().last_success;
        readings += u32::from(now != before);
        before = now;
        sleep(Duration::from_millis(5)).await;
    }
    assert!(readings <= 9, "{readings} readings within two seconds");
    server.put(KEY, document(1).as_bytes()).await.unwrap();
    until_in_force(LIMIT, [1], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn an_agent_that_stalls_is_noticed_after_its_time() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await?, Sentinel::default());
    let datasource = Datasource::new(source(&server).wait(Duration::from_secs(1))).name("rules");
    let watch = datasource.resync_interval(Duration::from_secs(600)).start(&sentinel).await.unwrap();
    server.pause();
    let begin = Instant::now();
    while watch.status().state == State::Connected {
        assert!(begin.elapsed() < Duration::from_secs(8), "{:#?}", watch.status());
        sleep(Duration::from_millis(20)).await;
    }
    assert!(error(&watch).contains("timed out"), "{}", error(&watch));
    server.resume();
    server.put(KEY, document(2).as_bytes()).await.unwrap();
    until_in_force(LIMIT, [2], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn a_store_that_is_put_back_is_read_again() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await?, Sentinel::default());
    let snapshot = server.snapshot().await.unwrap();
    for threshold in 2..20 {
        server.put(KEY, document(threshold).as_bytes()).await.unwrap();
    }
    let watch = start(source(&server), &sentinel).await;
    assert_eq!(thresholds(&sentinel), [19]);
    server.restore(snapshot).await.unwrap();
    until_in_force(LIMIT, [1], &sentinel, &watch).await;
    server.put(KEY, document(2).as_bytes()).await.unwrap();
    until_in_force(LIMIT, [2], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn keys_of_all_kinds_are_read() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await?, Sentinel::default());
    // As a program writes it in an URL.
    server.put("sentinel/a%20b/%C3%BC%3Fx%23y%252F", document(7).as_bytes()).await.unwrap();
    let source = ConsulSource::new(server.endpoint(), "sentinel/a b/ü?x#y%2F").token(Account::READER.secret.into());
    let watch = start(source.datacenter("dc1"), &sentinel).await;
    assert_eq!((thresholds(&sentinel), &*watch.status().documents[0].key), (vec![7], "sentinel/a b/ü?x#y%2F"));
    drop(watch);
    let elsewhere = refusal(crate::source(&server).datacenter("dc2")).await.to_string();
    assert!(elsewhere.contains("No path to datacenter"), "{elsewhere}");
    let enterprise = refusal(crate::source(&server).namespace("team")).await.to_string();
    assert!(enterprise.contains("400 Bad Request"), "{enterprise}");
    Ok(())
}

pub(super) async fn what_is_no_consul_is_not_taken_for_one() -> Result<(), Unavailable> {
    let server = HttpServer::start().await;
    let source = || ConsulSource::new(format!("http://{}", server.address()), KEY);
    let error = refusal(source()).await.to_string();
    assert!(error.ends_with(&format!("failed: `{KEY}`: 404 Not Found")), "{error}");
    server.serve_at(&format!("/v1/kv/{KEY}"), "application/json", document(1));
    let error = refusal(source()).await.to_string();
    assert!(error.ends_with(&format!("failed: `{KEY}`: 200 OK")), "{error}");
    Ok(())
}
