//! The HTTP server answers as servers do, and is as bad as it is told to be.

use std::{io, sync::Arc, time::Duration};

use hyper::header::LAST_MODIFIED;
use sentinel_testing::{
    Certificates, Tls,
    http::{Fault, HttpServer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

/// Sends one request, and reads until the server closes.
async fn request(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    headers: &str,
    body: &str,
) -> io::Result<String> {
    let request = format!("{method} /rules HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, headers: &str) -> io::Result<String> {
    request(stream, "GET", headers, "").await
}

async fn get(server: &HttpServer, headers: &str) -> String {
    exchange(TcpStream::connect(server.address()).await.unwrap(), headers).await.unwrap()
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

async fn server() -> HttpServer {
    let server = HttpServer::start().await;
    server.serve("application/json", "{\"flow\": []}");
    server
}

#[tokio::test]
async fn a_document_is_not_sent_again_to_whom_has_it() {
    let server = server().await;
    let answer = get(&server, "").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n{\"flow\": []}"), "{answer}");
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    let known = format!("if-none-match: {}\r\n", header(&answer, "etag").unwrap());
    let answer = get(&server, &known).await;
    assert!(answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("\r\n\r\n"), "{answer}");

    server.serve("application/json", "{}");
    let answer = get(&server, &known).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n{}"), "{answer}");

    server.withhold_etags();
    let answer = get(&server, &known).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && header(&answer, "etag").is_none(), "{answer}");

    server.remove();
    assert!(get(&server, "").await.starts_with("HTTP/1.1 404 "));
    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    assert!(requests[1].headers().contains_key("if-none-match"));
}

#[tokio::test]
async fn only_who_shows_the_token_is_given_the_document() {
    let server = server().await;
    server.require_bearer("secret");
    for wrong in ["", "authorization: Bearer other\r\n", "authorization: secret\r\n"] {
        let answer = get(&server, wrong).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && header(&answer, "www-authenticate").is_some(), "{answer}");
    }
    assert!(get(&server, "authorization: Bearer secret\r\n").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn everybody_is_sent_elsewhere() {
    let (server, other) = (server().await, server().await);
    server.redirect_to(&other.url());
    let answer = get(&server, "").await;
    assert!(answer.starts_with("HTTP/1.1 307 "), "{answer}");
    assert_eq!(header(&answer, "location"), Some(&*other.url()));
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn each_fault_shows_until_it_is_mended() {
    let server = server().await;
    server.fail(Fault::Status(503));
    assert!(get(&server, "").await.starts_with("HTTP/1.1 503 "));

    server.fail(Fault::Garbage);
    let answer = get(&server, "").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("flow"), "{answer}");

    server.fail(Fault::Oversized { len: 1_000_000 });
    let answer = get(&server, "").await;
    assert!(answer.len() > 1_000_000 && header(&answer, "content-length").is_none());

    server.fail(Fault::CutShort);
    let answer = get(&server, "").await;
    assert_eq!(header(&answer, "content-length"), Some("12"));
    assert!(answer.ends_with("\r\n\r\n{\"flow"), "{answer}");

    server.fail(Fault::Slow { pause: Duration::from_millis(20) });
    let begin = Instant::now();
    assert!(get(&server, "").await.ends_with("{\"flow\": []}"));
    assert!(begin.elapsed() >= Duration::from_millis(12 * 20), "{:?}", begin.elapsed());

    server.fail(Fault::Hang);
    assert!(timeout(Duration::from_millis(200), get(&server, "")).await.is_err());

    server.mend();
    assert!(get(&server, "").await.ends_with("{\"flow\": []}"));
    assert_eq!(server.requests().len(), 7);
}

#[tokio::test]
async fn over_tls_it_may_want_a_certificate() {
    let certificates = Certificates::new();
    let trusting = TlsConnector::from(Arc::new(certificates.client_config()));
    for tls in [Tls::Server, Tls::Mutual] {
        let server = HttpServer::start_tls(&certificates, tls).await;
        server.serve("text/yaml", "flow: []");
        assert!(server.url().starts_with("https://127.0.0.1:"));
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let stream = trusting.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        assert!(exchange(stream, "").await.unwrap().ends_with("flow: []"));
    }
}

#[tokio::test]
async fn its_connections_end_with_it() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET /rules HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    let address = server.address();
    drop(server);
    timeout(Duration::from_secs(5), stream.read_to_end(&mut Vec::new())).await.expect("it is closed").unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn after_a_restart_it_is_where_it_was_and_has_what_it_had() {
    let mut server = server().await;
    server.kill();
    while TcpStream::connect(server.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        server.restart().await;
        assert!(get(&server, "").await.ends_with("{\"flow\": []}"));
    }
}

#[tokio::test]
async fn a_document_is_put_only_under_the_condition_that_the_client_names() {
    let server = server().await;
    let put = async |headers: &str, text: &str| {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let headers = format!("content-type: text/yaml\r\ncontent-length: {}\r\n{headers}", text.len());
        let answer = request(stream, "PUT", &headers, text).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(put("if-none-match: *\r\n", "flow: [1]").await, "412");
    let before = get(&server, "").await;
    let known = format!("if-match: {}\r\n", header(&before, "etag").unwrap());
    assert_eq!(put(&known, "flow: [1]").await, "204");
    assert_eq!(put(&known, "flow: [2]").await, "412");
    let answer = get(&server, "").await;
    assert!(answer.ends_with("flow: [1]") && header(&answer, "content-type") == Some("text/yaml"), "{answer}");

    server.remove();
    assert_eq!(put(&known, "flow: [2]").await, "412");
    assert_eq!(put("if-none-match: *\r\n", "flow: [2]").await, "201");
    assert_eq!(put("", "flow: [3]").await, "204");
    assert!(get(&server, "").await.ends_with("flow: [3]"));
    server.serve_at("/more", "text/yaml", "flow: [4]");
    assert!(get(&server, "").await.ends_with("flow: [3]"), "each path has its own");
}

#[tokio::test]
async fn a_document_with_a_date_is_not_sent_again_to_whom_has_it_from_then() {
    let server = server().await;
    server.withhold_etags();
    server.add_header(LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT");
    let answer = get(&server, "").await;
    let known = format!("if-modified-since: {}\r\n", header(&answer, "last-modified").unwrap());
    assert!(get(&server, &known).await.starts_with("HTTP/1.1 304 "));
    server.add_header(LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:38 GMT");
    assert!(get(&server, &known).await.starts_with("HTTP/1.1 200 "));
}
