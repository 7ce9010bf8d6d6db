//! How changes are noticed, and what becomes of servers and sessions.

use std::time::{Duration, Instant};

use sentinel_core::Sentinel;
use sentinel_testing::{
    Proxy,
    observe::{NEVER, SOON, document, refusal, start, thresholds, until_healthy, until_in_force, until_told},
    servers::{Server as _, Unavailable, ZooKeeperOptions},
};
use sentinel_zookeeper::{Datasource, SourceError, ZooKeeperSource};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::subject::{KEY, put, server, source};

const OTHER: &str = "/sentinel/other";

pub(super) async fn several_nodes_are_in_force_together_and_each_keeps_its_last_good_rules() -> Result<(), Unavailable>
{
    let zookeeper = server(ZooKeeperOptions::default()).await?;
    zookeeper.put(OTHER, b"flow: [{resource: search, threshold: 7}]").await.unwrap();
    let sentinel = Sentinel::default();
    let watch = start(source(&zookeeper).key(OTHER), &sentinel).await;
    assert_eq!(thresholds(&sentinel), [1, 7]);
    let before = watch.status().revision.unwrap();

    zookeeper.put(OTHER, b"flow: [{resource: search, threshold: -7}]").await.unwrap();
    until_told(SOON, "`/sentinel/other`: flow rule 1 for `search`: threshold is -7", &watch).await;
    put(&zookeeper, 2).await;
    until_in_force(SOON, [2, 7], &sentinel, &watch).await;
    let after = watch.status().revision.unwrap();
    let changed = before.split(',').zip(after.split(',')).filter(|(before, after)| before != after).count();
    assert_eq!(changed, 2, "{before} {after}");

    // Deleted, it has no rules, while the other one keeps its own.
    zookeeper.delete(OTHER).await.unwrap();
    until_healthy(SOON, [2], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn a_node_whose_parents_are_missing_is_in_force_once_it_is_made() -> Result<(), Unavailable> {
    let zookeeper = server(ZooKeeperOptions::default()).await?;
    let path = "/far/away/rules";
    let sentinel = Sentinel::default();
    let watch = start(ZooKeeperSource::new(zookeeper.address().to_string(), path), &sentinel).await;
    assert_eq!(watch.status().rules, 0);
    assert!(watch.status().is_healthy());
    zookeeper.put(path, document(3).as_bytes()).await.unwrap();
    until_in_force(SOON, [3], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn of_several_servers_one_that_is_there_is_enough() -> Result<(), Unavailable> {
    let zookeeper = server(ZooKeeperOptions::default()).await?;
    let [down, silent, line] = [
        Proxy::to(zookeeper.address()).await,
        Proxy::to(zookeeper.address()).await,
        Proxy::to(zookeeper.address()).await,
    ];
    down.cut().await;
    silent.stall();
    let servers = format!("{},{},{}", down.address(), silent.address(), line.address());
    for _ in 0..4 {
        let sentinel = Sentinel::default();
        let begin = Instant::now();
        let datasource = Datasource::new(ZooKeeperSource::new(&servers, KEY)).resync_interval(NEVER);
        let watch = datasource.start(&sentinel).await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(3), "it took {:?}", begin.elapsed());
        assert_eq!(thresholds(&sentinel), [1]);
        // It goes where it can.
        down.heal().await;
        line.cut().await;
        put(&zookeeper, 2).await;
        until_in_force(SOON * 4, [2], &sentinel, &watch).await;
        line.heal().await;
        down.cut().await;
        put(&zookeeper, 1).await;
    }
    line.cut().await;
    let datasource = Datasource::new(ZooKeeperSource::new(&servers, KEY)).start_within(Duration::from_secs(2));
    let refused = datasource.start(&Sentinel::default()).await.unwrap_err().to_string();
    for server in [down.address(), silent.address(), line.address()] {
        assert!(refused.contains(&server.to_string()), "{refused}");
    }
    Ok(())
}

pub(super) async fn a_server_that_says_nothing_is_left() -> Result<(), Unavailable> {
    let zookeeper = server(ZooKeeperOptions::default()).await?;
    let sentinel = Sentinel::default();
    let watch = start(source(&zookeeper), &sentinel).await;
    zookeeper.pause();
    let noticed = until_told(SOON * 6, "ping", &watch).await;
    eprintln!("a server that says nothing was noticed after {} ms", noticed.as_millis());
    assert_eq!(thresholds(&sentinel), [1]);
    zookeeper.resume();
    put(&zookeeper, 2).await;
    until_healthy(SOON * 8, [2], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn a_session_ends_with_its_watch() -> Result<(), Unavailable> {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = ZooKeeperSource::new(server.local_addr().unwrap().to_string(), KEY);
    let sentinel = Sentinel::default();
    let (watch, mut client) = tokio::join!(start(source, &sentinel), async {
        let mut client = accept(&server).await;
        // There is no such node.
        let request = receive(&mut client).await;
        let answer = [&request[..4], &[0; 8], &(-101_i32).to_be_bytes()].concat();
        send(&mut client, &answer).await;
        client
    });
    watch.stop().await;
    let farewell = receive(&mut client).await;
    assert_eq!(farewell[4..], (-11_i32).to_be_bytes());
    let end = timeout(SOON, client.read(&mut [0])).await;
    assert!(matches!(end, Ok(Ok(0) | Err(_))), "the connection is closed: {end:?}");
    Ok(())
}

pub(super) async fn a_server_that_announces_too_much_is_not_listened_to() -> Result<(), Unavailable> {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = ZooKeeperSource::new(server.local_addr().unwrap().to_string(), KEY);
    let announcing = tokio::spawn(async move {
        loop {
            let mut client = accept(&server).await;
            receive(&mut client).await;
            client.write_all(&i32::MAX.to_be_bytes()).await.unwrap();
            // Nothing comes after it, so that whoever waits for that waits for ever.
            let _ = client.read_to_end(&mut Vec::new()).await;
        }
    });
    let refused = refusal(source).await;
    announcing.abort();
    assert!(matches!(refused, SourceError::Failed { .. }), "{refused:?}");
    assert!(refused.to_string().ends_with("it sends a frame that is too long"), "{refused}");
    Ok(())
}

/// Opens a session of 6 s for the next client, which has the server catch up with others before anything else.
async fn accept(server: &TcpListener) -> TcpStream {
    let mut client = server.accept().await.unwrap().0;
    assert_eq!(receive(&mut client).await.len(), 45);
    let answer =
        [&[0; 4][..], &6_000_i32.to_be_bytes(), &1_i64.to_be_bytes(), &16_i32.to_be_bytes(), &[0; 16]].concat();
    send(&mut client, &answer).await;
    let sync = receive(&mut client).await;
    assert_eq!(sync[4..8], 9_i32.to_be_bytes());
    let answer = [&sync[..4], &[0; 12], &sync[8..]].concat();
    send(&mut client, &answer).await;
    client
}

async fn receive(client: &mut TcpStream) -> Vec<u8> {
    let len = client.read_u32().await.unwrap();
    let mut frame = vec![0; len as usize];
    client.read_exact(&mut frame).await.unwrap();
    frame
}

async fn send(client: &mut TcpStream, frame: &[u8]) {
    client.write_u32(frame.len() as u32).await.unwrap();
    client.write_all(frame).await.unwrap();
}
