//! The write side.

use sentinel_core::{Encoding, Format, Sentinel};
use sentinel_datasource::{Condition, Key, Publish as _, PublishError, SourceError};
use sentinel_http::HttpSource;
use sentinel_testing::{
    http::HttpServer,
    observe::{rules, start, thresholds, until_in_force},
    servers::Unavailable,
};

use crate::{LIMIT, source};

pub(super) async fn what_is_published_is_in_force() -> Result<(), Unavailable> {
    let (server, sentinel) = (HttpServer::start().await, Sentinel::default());
    let url = server.url();
    for (format, expected) in
        [(Format::Json, "application/json"), (Format::Yaml, "application/yaml"), (Format::Toml, "application/toml")]
    {
        let key = Key::new(&*url, Encoding::native(format));
        let mut source = HttpSource::new(key).interval(crate::INTERVAL);
        source.publish(&url, &rules(1.0), Condition::Always).await.unwrap();
        assert_eq!(server.requests().last().unwrap().headers()["content-type"], expected);
        let watch = start(source.clone(), &sentinel).await;
        assert_eq!(thresholds(&sentinel), [1]);
        source.publish(&url, &rules(2.0), Condition::Always).await.unwrap();
        until_in_force(LIMIT, [2], &sentinel, &watch).await;
    }
    Ok(())
}

pub(super) async fn who_writes_over_what_he_has_not_seen_is_told() -> Result<(), Unavailable> {
    let (server, sentinel) = (HttpServer::start().await, Sentinel::default());
    let (mut one, mut other, url) = (source(&server), source(&server), server.url());
    assert_eq!(one.revision(&url).await.unwrap(), None);
    let first = one.publish(&url, &rules(1.0), Condition::Absent).await.unwrap().unwrap();
    let absent = other.publish(&url, &rules(9.0), Condition::Absent).await.unwrap_err();
    assert!(matches!(&absent, PublishError::Conflict { key } if *key == url), "{absent}");

    assert_eq!(other.revision(&url).await.unwrap().as_deref(), Some(&*first));
    let second = other.publish(&url, &rules(2.0), Condition::Revision(first.clone())).await.unwrap().unwrap();
    let stale = one.publish(&url, &rules(9.0), Condition::Revision(first)).await.unwrap_err();
    assert_eq!(stale.to_string(), format!("`{url}` holds something else by now"));

    // What is in force is of the revision that publishing told.
    let watch = start(one, &sentinel).await;
    assert_eq!((thresholds(&sentinel), watch.status().revision), (vec![2], Some(second)));
    Ok(())
}

pub(super) async fn a_server_without_tags_has_no_revisions() -> Result<(), Unavailable> {
    let server = HttpServer::start().await;
    server.withhold_etags();
    let (mut source, url) = (source(&server), server.url());
    assert_eq!(source.publish(&url, &rules(1.0), Condition::Always).await.unwrap(), None);
    let error = source.revision(&url).await.unwrap_err();
    assert_eq!(error.to_string(), format!("http://{} cannot write under a condition", server.address()));
    Ok(())
}

pub(super) async fn what_cannot_be_written_is_an_error() -> Result<(), Unavailable> {
    let server = HttpServer::start().await;
    let url = server.url();
    let mut source = source(&server);
    let unknown = source.publish("http://a.example/", &rules(1.0), Condition::Always).await.unwrap_err();
    assert_eq!(unknown.to_string(), "`http://a.example/` is no key of this source");
    let invalid = source.publish(&url, &rules(-1.0), Condition::Always).await.unwrap_err();
    assert!(matches!(&invalid, PublishError::Document { key, .. } if *key == url), "{invalid}");

    server.require_bearer("token");
    let denied = source.publish(&url, &rules(1.0), Condition::Always).await.unwrap_err();
    assert!(matches!(denied, PublishError::Source(SourceError::Denied { .. })), "{denied}");
    let denied = source.revision(&url).await.unwrap_err();
    assert!(matches!(denied, PublishError::Source(SourceError::Denied { .. })), "{denied}");
    server.redirect_to("/elsewhere");
    let failed = source.publish(&url, &rules(1.0), Condition::Always).await.unwrap_err().to_string();
    assert!(failed.ends_with("307 Temporary Redirect"), "{failed}");
    server.kill();
    let gone = source.publish(&url, &rules(1.0), Condition::Always).await.unwrap_err();
    assert!(matches!(gone, PublishError::Source(SourceError::Unreachable { .. })), "{gone}");
    Ok(())
}
