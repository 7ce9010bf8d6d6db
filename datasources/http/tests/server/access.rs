//! Who is let in, and who is trusted.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderName};
use sentinel_core::Sentinel;
use sentinel_datasource::{Datasource, Pem, Secret, SourceError, Tls};
use sentinel_http::HttpSource;
use sentinel_testing::{
    Certificates, Logs, Tls as Encryption,
    http::{Fault, HttpServer},
    observe::{
        datasource, document, error, refusal, start, thresholds, until_healthy, until_in_force, until_told, within,
    },
    servers::Unavailable,
};

use crate::{INTERVAL, LIMIT, server, source};

pub(super) async fn each_kind_of_credentials_is_shown() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await, Sentinel::default());
    let key = HeaderName::from_static("x-api-key");
    let cases = [
        (source(&server).bearer("hunter2".into()), AUTHORIZATION, "Bearer hunter2"),
        (source(&server).basic("Aladdin", "open sesame".into()), AUTHORIZATION, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        (source(&server).header("X-Api-Key", "hunter2".into()), key, "hunter2"),
    ];
    for (source, name, value) in cases {
        drop(start(source, &sentinel).await);
        assert_eq!(server.requests().last().unwrap().headers()[name], value);
    }
    let signed = HttpSource::new(format!("{}?part=1", server.url())).query("signature=hunter2&more=a%20b".into());
    drop(start(signed, &sentinel).await);
    assert_eq!(server.requests().last().unwrap().uri(), "/rules?part=1&signature=hunter2&more=a%20b");
    Ok(())
}

pub(super) async fn a_secret_in_a_file_that_changes_is_taken_up() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await, Sentinel::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    server.require_bearer("first");
    let watch = start(source(&server).bearer(Secret::file(&path)), &sentinel).await;
    server.require_bearer("second");
    server.serve("application/json", document(2));
    until_told(LIMIT, "refuses access", &watch).await;
    assert_eq!(thresholds(&sentinel), [1], "the last good rules stay in force");
    std::fs::write(&path, "second\n").unwrap();
    until_healthy(LIMIT, [2], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn redirects_are_followed_on_the_same_server() -> Result<(), Unavailable> {
    let sentinel = Sentinel::default();
    let server = server(1).await;
    server.serve_at("/moved", "text/yaml", "flow: [{resource: orders, threshold: 2}]");
    server.redirect_to("/moved");
    let watch = start(source(&server).bearer("hunter2".into()), &sentinel).await;
    assert_eq!(thresholds(&sentinel), [2]);
    assert_eq!(server.requests()[1].headers()[AUTHORIZATION], "Bearer hunter2");
    drop(watch);

    server.redirect_to("/rules?again");
    let refused = refusal(source(&server)).await.to_string();
    assert!(refused.ends_with("it is sent elsewhere more than 5 times"), "{refused}");
    Ok(())
}

pub(super) async fn credentials_never_go_to_another_server() -> Result<(), Unavailable> {
    let (here, there, sentinel) = (server(1).await, server(2).await, Sentinel::default());
    here.redirect_to(&there.url());
    let refused = Datasource::new(source(&here).bearer("hunter2".into())).start(&sentinel).await.unwrap_err();
    let told = format!("http://{} sends elsewhere, to http://{}", here.address(), there.address());
    assert!(matches!(*refused.error, SourceError::Failed { .. }), "{refused}");
    assert!(refused.to_string().contains(&told), "{refused}");
    assert_eq!((there.requests().len(), thresholds(&sentinel)), (0, Vec::new()));
    Ok(())
}

fn trusting(certificates: &Certificates) -> Tls {
    Tls::new().authority(Pem::file(&certificates.authority.path))
}

/// A server over TLS that has rules with threshold 1.
async fn encrypted(certificates: &Certificates, tls: Encryption) -> HttpServer {
    let server = HttpServer::start_tls(certificates, tls).await;
    server.serve("application/json", document(1));
    server
}

pub(super) async fn a_server_that_nobody_trusts_gets_no_credentials() -> Result<(), Unavailable> {
    let certificates = Certificates::new();
    let server = encrypted(&certificates, Encryption::Server).await;
    let other = Tls::new().authority(Pem::bytes(certificates.other_authority.text.as_bytes()));
    for tls in [other, Tls::new()] {
        let refused = refusal(source(&server).tls(tls).bearer("hunter2".into())).await;
        assert!(matches!(refused, SourceError::Unreachable { .. }), "{refused:?}");
    }
    assert!(server.requests().is_empty());
    Ok(())
}

pub(super) async fn certificates_that_cannot_be_used_are_told_apart() -> Result<(), Unavailable> {
    let certificates = Certificates::new();
    let server = encrypted(&certificates, Encryption::Mutual).await;
    let client = &certificates.client;
    let swapped = trusting(&certificates).identity(Pem::file(&client.key.path), Pem::file(&client.certificate.path));
    let refused = refusal(source(&server).tls(swapped)).await;
    assert!(matches!(refused, SourceError::Setting { .. }), "{refused:?}");
    let key = client.key.text.replace('\n', "");
    let on_one_line = trusting(&certificates).identity(Pem::file(&client.certificate.path), Pem::bytes(key.as_bytes()));
    let refused = refusal(source(&server).tls(on_one_line)).await;
    assert_eq!(refused.to_string(), "the key of the client cannot be used: it is no private key in PEM");
    Ok(())
}

pub(super) async fn certificates_that_change_are_taken_up() -> Result<(), Unavailable> {
    let certificates = Certificates::new();
    let server = encrypted(&certificates, Encryption::Server).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority.pem");
    std::fs::copy(&certificates.other_authority.path, &path).unwrap();
    let sentinel = Sentinel::default();
    let source = source(&server).tls(Tls::new().authority(Pem::file(&path)));
    let datasource = Datasource::new(source).name("rules").start_within(Duration::from_secs(1)).optional();
    let watch = datasource.start(&sentinel).await.unwrap();
    assert!(error(&watch).contains("certificate"), "{watch:?}");
    std::fs::copy(&certificates.authority.path, &path).unwrap();
    until_in_force(LIMIT, [1], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn a_certificate_may_be_for_another_name() -> Result<(), Unavailable> {
    let certificates = Certificates::new();
    let server = encrypted(&certificates, Encryption::Server).await;
    let named = source(&server).tls(trusting(&certificates).domain("localhost"));
    let sentinel = Sentinel::default();
    let _watch = start(named, &sentinel).await;
    assert_eq!(thresholds(&sentinel), [1]);
    let host = server.requests()[0].headers()["host"].clone();
    assert_eq!(host, format!("localhost:{}", server.address().port()).as_str());
    Ok(())
}

pub(super) async fn secrets_are_told_nowhere() -> Result<(), Unavailable> {
    let (mut server, sentinel, logs) = (server(1).await, Sentinel::default(), Logs::new());
    let secret = "nobody-shall-read-this";
    let sources = |server: &HttpServer| {
        let source = source(server).query(format!("signature={secret}").as_str().into());
        [source.clone().bearer(secret.into()), source.clone().basic("root", secret.into()), source]
    };
    let mut told = String::new();
    for fault in [Fault::Status(401), Fault::Status(500), Fault::CutShort, Fault::Hang] {
        server.fail(fault);
        for source in sources(&server) {
            told += &format!("{source:?}");
            let refused = logs.start(Datasource::new(source).start_within(INTERVAL), &sentinel).await.unwrap_err();
            told += &format!("{refused}{refused:?}");
        }
    }
    server.mend();
    for source in sources(&server) {
        let watch = logs.start(datasource(source), &sentinel).await.unwrap();
        told += &format!("{watch:?}");
        server.restart().await;
        within(LIMIT, "healthy", &watch, || watch.status().is_healthy()).await;
    }
    assert!(!told.contains(secret), "{told}");
    assert!(logs.text().contains("starting new connection"), "the client's log is heard");
    // The second one is what stands for the user and the secret in a header.
    logs.hold_none_of([secret, "cm9vdDpub2JvZHktc2hhbGwtcmVhZC10aGlz"]);
    Ok(())
}
