//! A line passes everything, unless it is told not to.

use std::{io, time::Duration};

use sentinel_testing::Proxy;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// A server that sends back what it gets, and a line to it.
async fn line() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    Proxy::to(address).await
}

async fn echo(stream: &mut TcpStream, byte: u8) -> io::Result<u8> {
    stream.write_u8(byte).await?;
    stream.read_u8().await
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(200), stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn everything_passes_both_ways_to_the_last_byte() {
    let line = line().await;
    let sent: Vec<u8> = (0..1_000_000).map(|number| number as u8).collect();
    let stream = TcpStream::connect(line.address()).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let write = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let ((), read) = tokio::join!(write, from.read_to_end(&mut received));
    read.unwrap();
    assert!(received == sent, "{} of {} bytes came back", received.len(), sent.len());
    assert_eq!(line.connections(), 1);
}

#[tokio::test]
async fn a_line_that_is_cut_refuses_everybody_until_it_is_healed() {
    let line = line().await;
    let mut stream = TcpStream::connect(line.address()).await.unwrap();
    assert_eq!(echo(&mut stream, 1).await.unwrap(), 1);
    line.cut().await;
    line.cut().await;
    assert!(echo(&mut stream, 2).await.is_err());
    let refused = TcpStream::connect(line.address()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);

    line.heal().await;
    let mut stream = TcpStream::connect(line.address()).await.unwrap();
    assert_eq!(echo(&mut stream, 3).await.unwrap(), 3);
    assert_eq!(line.connections(), 2);
}

#[tokio::test]
async fn a_line_that_stalls_holds_back_what_it_passes_when_it_is_healed() {
    let line = line().await;
    let mut old = TcpStream::connect(line.address()).await.unwrap();
    assert_eq!(echo(&mut old, 1).await.unwrap(), 1);
    line.stall();
    let mut new = TcpStream::connect(line.address()).await.unwrap();
    for stream in [&mut old, &mut new] {
        stream.write_u8(2).await.unwrap();
        assert!(is_silent(stream).await);
    }
    line.heal().await;
    for stream in [&mut old, &mut new] {
        assert_eq!(stream.read_u8().await.unwrap(), 2);
    }
    assert_eq!(line.connections(), 2);
}

#[tokio::test]
async fn a_reset_breaks_connections_once() {
    let line = line().await;
    let mut stream = TcpStream::connect(line.address()).await.unwrap();
    assert_eq!(echo(&mut stream, 1).await.unwrap(), 1);
    line.reset().await;
    let broken = stream.read_u8().await.unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
    let mut stream = TcpStream::connect(line.address()).await.unwrap();
    assert_eq!(echo(&mut stream, 2).await.unwrap(), 2);
}

#[tokio::test]
async fn a_line_that_is_dropped_is_cut() {
    let line = line().await;
    let address = line.address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(echo(&mut stream, 1).await.unwrap(), 1);
    drop(line);
    assert!(timeout(Duration::from_secs(5), stream.read_u8()).await.expect("it is broken").is_err());
    assert!(TcpStream::connect(address).await.is_err());
}
