//! What the server says and does not say.

use std::time::Duration;

use reqwest::header::{HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER};
use sentinel_core::Sentinel;
use sentinel_datasource::{SourceError, State, WhenMissing};
use sentinel_http::HttpSource;
use sentinel_testing::{
    http::{Fault, HttpServer},
    observe::{datasource, document, refusal, start, thresholds, until_in_force, until_told, within},
    servers::Unavailable,
};
use tokio::time::{Instant, sleep};

use crate::{LIMIT, server, source};

/// The headers of the requests so far.
fn asked(server: &HttpServer) -> Vec<HeaderMap> {
    server.requests().into_iter().map(|request| request.headers().clone()).collect()
}

pub(super) async fn what_is_the_same_is_not_sent_again() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await, Sentinel::default());
    let watch = start(source(&server), &sentinel).await;
    within(LIMIT, "asked five times", &watch, || asked(&server).len() >= 5).await;
    let asked = asked(&server);
    assert!(!asked[0].contains_key(IF_NONE_MATCH));
    assert!(asked[1..].iter().all(|headers| headers.contains_key(IF_NONE_MATCH)), "{asked:?}");
    let status = watch.status();
    assert!(status.is_healthy() && status.applied == 1, "{status:?}");
    assert_eq!(status.revision.as_deref(), asked[1][IF_NONE_MATCH].to_str().ok());
    // Fewer than one in each interval, which is longer by chance.
    sleep(Duration::from_secs(1)).await;
    let more = server.requests().len() - asked.len();
    assert!((5..=10).contains(&more), "{more} requests within a second");
    Ok(())
}

pub(super) async fn a_server_without_tags_is_believed_its_dates_but_not_for_ever() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await, Sentinel::default());
    server.withhold_etags();
    server.add_header(LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT");
    let watch = start(source(&server), &sentinel).await;
    within(LIMIT, "asked twice", &watch, || asked(&server).len() >= 2).await;
    assert_eq!(asked(&server)[1][IF_MODIFIED_SINCE], "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(watch.status().revision.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));

    // The date stays what it was.
    server.serve("application/json", document(2));
    until_in_force(LIMIT, [2], &sentinel, &watch).await;
    let whole = asked(&server).iter().filter(|headers| !headers.contains_key(IF_MODIFIED_SINCE)).count();
    assert_eq!(whole, 2);
    Ok(())
}

pub(super) async fn of_several_pages_all_are_in_force() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await, Sentinel::default());
    let more = format!("{}/more", server.url().trim_end_matches("/rules"));
    server.serve_at("/more", "text/yaml", "isolation: [{resource: orders, threshold: 5}]");
    let watch = start(source(&server).page(&*more), &sentinel).await;
    let in_force = || {
        let rules = sentinel.rules().get("rules").unwrap();
        (rules.flow.len(), rules.isolation.first().map(|rule| rule.params.threshold))
    };
    assert_eq!(in_force(), (1, Some(5)));
    assert_eq!(watch.status().documents.len(), 2);

    // The other one is not sent, and stays.
    server.serve_at("/more", "text/yaml", "isolation: [{resource: orders, threshold: 6}]");
    within(LIMIT, "the change in force", &watch, || in_force() == (1, Some(6))).await;
    server.remove();
    until_told(LIMIT, "does not exist", &watch).await;
    server.serve_at("/more", "text/yaml", "isolation: [{resource: orders, threshold: 7}]");
    within(LIMIT, "the change in force", &watch, || in_force() == (1, Some(7))).await;
    assert_eq!(watch.status().connections, 1);
    Ok(())
}

pub(super) async fn the_type_of_a_document_says_its_syntax() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await, Sentinel::default());
    let watch = start(source(&server), &sentinel).await;
    let toml = "flow = [{ resource = \"orders\", threshold = 2 }]";
    server.serve("application/toml", toml);
    until_in_force(LIMIT, [2], &sentinel, &watch).await;
    server.serve("application/json", "flow: [{resource: orders, threshold: 3}]");
    until_told(LIMIT, "is not JSON", &watch).await;
    server.serve("text/plain", "flow: [{resource: orders, threshold: 4}]");
    until_in_force(LIMIT, [4], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn a_server_is_left_alone_as_long_as_it_asks() -> Result<(), Unavailable> {
    for status in [429, 503] {
        let (server, sentinel) = (server(1).await, Sentinel::default());
        let watch = start(source(&server), &sentinel).await;
        server.add_header(RETRY_AFTER, "2");
        server.fail(Fault::Status(status));
        within(LIMIT, "the refusal noticed", &watch, || watch.status().state == State::Connecting).await;
        let (begin, before) = (Instant::now(), server.requests().len());
        server.mend();
        server.serve("application/json", document(2));
        within(LIMIT, "connected again", &watch, || watch.status().is_healthy()).await;
        assert!(begin.elapsed() >= Duration::from_millis(1_900), "{:?}", begin.elapsed());
        assert_eq!((server.requests().len(), thresholds(&sentinel)), (before + 1, vec![2]));
    }
    Ok(())
}

pub(super) async fn statuses_mean_what_they_say() -> Result<(), Unavailable> {
    let server = server(1).await;
    for (status, told) in [(401, "401 Unauthorized"), (403, "403 Forbidden")] {
        server.fail(Fault::Status(status));
        let refused = refusal(source(&server)).await;
        assert!(matches!(refused, SourceError::Denied { .. }), "{refused}");
        assert!(refused.to_string().ends_with(&format!("refuses access: `{}`: {told}", server.url())), "{refused}");
    }
    for status in [204, 304, 400, 429, 500, 503] {
        server.fail(Fault::Status(status));
        let refused = refusal(source(&server)).await;
        assert!(matches!(refused, SourceError::Failed { .. }), "{status}: {refused}");
        assert!(refused.to_string().contains(&format!("`{}`: {status} ", server.url())), "{refused}");
    }
    for status in [404, 410] {
        server.fail(Fault::Status(status));
        let refused = refusal(source(&server)).await;
        assert!(matches!(refused, SourceError::Missing { .. }), "{status}: {refused}");
    }
    Ok(())
}

pub(super) async fn a_document_that_breaks_off_or_never_ends_changes_nothing() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await, Sentinel::default());
    let watch = start(source(&server), &sentinel).await;
    let faults = [
        (Fault::Garbage, "the document is not"),
        (Fault::CutShort, "cannot be reached"),
        (Fault::Slow { pause: Duration::from_millis(100) }, "took longer than 2000 ms"),
        (Fault::Hang, "took longer than 2000 ms"),
    ];
    for (attempt, (fault, told)) in (2..).zip(faults) {
        server.fail(fault);
        server.serve("application/json", document(attempt));
        until_told(LIMIT, told, &watch).await;
        assert_eq!(thresholds(&sentinel), [attempt - 1], "the last good rules stay in force");
        server.mend();
        until_in_force(LIMIT, [attempt], &sentinel, &watch).await;
    }
    Ok(())
}

pub(super) async fn no_more_is_read_than_a_document_may_have() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await, Sentinel::default());
    let watch = datasource(source(&server)).max_size(100_000).start(&sentinel).await.unwrap();
    // More than could be read within the time of the test.
    server.fail(Fault::Oversized { len: 1 << 50 });
    until_told(LIMIT, "bytes, but it may hold 100000", &watch).await;
    server.mend();
    server.serve("application/json", document(2));
    until_in_force(LIMIT, [2], &sentinel, &watch).await;
    Ok(())
}

pub(super) async fn a_page_that_is_not_found_keeps_its_rules() -> Result<(), Unavailable> {
    let (server, sentinel) = (server(1).await, Sentinel::default());
    let watch = start(source(&server), &sentinel).await;
    assert_eq!(sentinel_datasource::Source::when_missing(&HttpSource::new(server.url())), WhenMissing::Keep);
    server.remove();
    until_told(LIMIT, "does not exist", &watch).await;
    assert_eq!((thresholds(&sentinel), watch.status().state), (vec![1], State::Connected));
    Ok(())
}
