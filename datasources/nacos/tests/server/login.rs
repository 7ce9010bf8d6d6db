//! Servers that give tokens as the real one does not when it is asked to.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use sentinel_core::Sentinel;
use sentinel_nacos::{NacosSource, SourceError};
use sentinel_testing::{
    observe::{PATIENCE, datasource, refusal, start, thresholds, within},
    servers::{Nacos, Unavailable},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::support::{open_server, put, source};

const PASSWORD: &str = "s3cret & more";

/// A place to log in.
struct Desk {
    url: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    _task: JoinSet<()>,
}

impl Desk {
    /// Answers by the path that it is asked at.
    async fn with(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/context/", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let mut task = JoinSet::new();
        let log = Arc::clone(&asked);
        task.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (path, form, mut client) = request(client).await;
                let (status, body) = answer(&path);
                log.lock().push((path, form));
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
                // Who has heard enough may have gone.
                let _ = client.write_all((head + &body).as_bytes()).await;
            }
        });
        Self { url, asked, _task: task }
    }

    fn source(&self, nacos: &Nacos) -> NacosSource {
        source(nacos).user("orders", PASSWORD).login_url(&self.url)
    }

    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().clone()
    }
}

/// The path and the body of a request.
async fn request(client: TcpStream) -> (String, String, TcpStream) {
    let mut client = BufReader::new(client);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        client.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.to_lowercase());
    }
    let path = lines[0].split(' ').nth(1).unwrap().to_owned();
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length:")).unwrap();
    let mut body = vec![0; length.trim().parse().unwrap()];
    client.read_exact(&mut body).await.unwrap();
    (path, String::from_utf8(body).unwrap(), client.into_inner())
}

fn token(seconds: u64) -> String {
    format!(r#"{{"accessToken": "t0ken", "tokenTtl": {seconds}, "globalAdmin": false}}"#)
}

pub(super) async fn a_token_is_renewed_before_it_is_too_old() -> Result<(), Unavailable> {
    let nacos = open_server().await?;
    put(&nacos, 1).await;
    let (short, long) = (Desk::with(|_| (200, token(1))).await, Desk::with(|_| (200, token(3_600))).await);
    let sentinel = Sentinel::default();
    let often = |desk: &Desk| datasource(desk.source(&nacos)).resync_interval(Duration::from_millis(200));
    let watch = often(&short).start(&sentinel).await.unwrap();
    let lasting = often(&long).start(&Sentinel::default()).await.unwrap();
    within(PATIENCE, "four logins", &watch, || short.asked().len() == 4).await;
    assert_eq!(long.asked().len(), 1);
    for status in [watch.status(), lasting.status()] {
        assert!(status.is_healthy() && status.connections == 1, "{status:#?}");
    }
    let [(path, form), ..] = &*short.asked() else { panic!("nobody has asked") };
    assert_eq!((&**path, &**form), ("/context/v3/auth/user/login", "username=orders&password=s3cret+%26+more"));
    Ok(())
}

pub(super) async fn servers_before_version_3_give_tokens_elsewhere() -> Result<(), Unavailable> {
    let nacos = open_server().await?;
    put(&nacos, 1).await;
    let desk = Desk::with(|path| if path.contains("/v3/") { (404, String::new()) } else { (200, token(60)) }).await;
    let sentinel = Sentinel::default();
    let _watch = start(desk.source(&nacos), &sentinel).await;
    assert_eq!(thresholds(&sentinel), [1]);
    let paths: Vec<_> = desk.asked().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/context/v3/auth/user/login", "/context/v1/auth/login"]);
    Ok(())
}

pub(super) async fn what_is_wrong_with_a_login_is_told_without_secrets() -> Result<(), Unavailable> {
    let nacos = open_server().await?;
    let page = "<html>".repeat(100);
    for (status, body, expected) in [
        (403, "no such user".to_owned(), "refuses access: HTTP status 403 Forbidden: no such user"),
        (401, page, "refuses access: HTTP status 401 Unauthorized"),
        (500, format!("cannot check {PASSWORD}"), "failed: HTTP status 500 Internal Server Error"),
        (200, r#"{"accessToken": "t0ken"}"#.to_owned(), "failed: it gives no token"),
        (200, "x".repeat(70_000), "failed: length limit exceeded"),
    ] {
        let desk = Desk::with(move |_| (status, body.clone())).await;
        let refused = refusal(desk.source(&nacos)).await;
        let told = format!("{refused} {refused:?}");
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("s3cret") && !told.contains("t0ken") && told.len() < 500, "{told}");
        assert_eq!(matches!(refused, SourceError::Denied { .. }), status == 403 || status == 401);
    }
    for url in ["nacos:8848", "ftp://nacos", "/nacos", "http://"] {
        let refused = refusal(source(&nacos).user("orders", PASSWORD).login_url(url)).await;
        assert!(
            matches!(refused, SourceError::Setting { setting: "the address to log in at", .. }),
            "{url}: {refused:?}"
        );
    }
    // One that takes the question and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let source = source(&nacos).user("orders", PASSWORD).login_url(url);
    let limit = Duration::from_millis(300);
    let start = datasource(source).timeout(limit).start_within(limit * 2).start(&Sentinel::default()).await;
    assert!(matches!(*start.unwrap_err().error, SourceError::TimedOut { .. }));
    Ok(())
}
