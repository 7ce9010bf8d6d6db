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

pub(super) async fn what_is_published_says_how_it_is_written() -> Result<(), Unavailable> {
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

pub(super) async fn a_server_without_tags_has_no_revisions() -> Result<(), Unavailable> {
    let server = HttpServer::start().await;
    server.withhold_etags();
    let (mut source, url) = (source(&server), server.url());
    assert_eq!(source.publish(&url, &rules(1.0), Condition::Always).await.unwrap(), None);
    let error = source.revision(&url).await.unwrap_err();
    assert_eq!(error.to_string(), format!("http://{} cannot write under a condition", server.address()));
    Ok(())
}

pub(super) async fn neither_a_denial_nor_a_redirect_is_taken_for_success() -> Result<(), Unavailable> {
    let server = HttpServer::start().await;
    let (mut source, url) = (source(&server), server.url());
    server.require_bearer("token");
    let denied = source.revision(&url).await.unwrap_err();
    assert!(matches!(denied, PublishError::Source(SourceError::Denied { .. })), "{denied}");
    server.redirect_to("/elsewhere");
    let failed = source.publish(&url, &rules(1.0), Condition::Always).await.unwrap_err().to_string();
    assert!(failed.ends_with("307 Temporary Redirect"), "{failed}");
    Ok(())
}
