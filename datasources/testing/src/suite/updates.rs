use std::time::{Duration, Instant};

use sentinel_datasource::{Watch, WhenMissing};
use tokio::time::sleep;

use super::{Stage, Subject, report};
use crate::{
    observe::{PATIENCE, document, error, until_told, within},
    servers::Unavailable,
};

pub(super) async fn an_update_is_in_force_soon<S: Subject>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let watch = stage.watch().await;
    assert_eq!(stage.thresholds(), [1], "the rules are in force when the start is done");
    assert!(watch.status().is_healthy(), "{:#?}", watch.status());

    let mut slowest = Duration::ZERO;
    for threshold in 2..8 {
        sleep(Duration::from_millis(150)).await;
        stage.put(threshold).await;
        slowest = slowest.max(stage.until_in_force(S::SOON, [threshold], &watch).await);
    }
    report::<S>("the slowest of six updates", format_args!("{} ms", slowest.as_millis()));
    let status = watch.status();
    assert_eq!((status.rules, status.connections), (1, 1), "{status:#?}");
    assert!(status.is_healthy() && status.last_success.is_some(), "{status:#?}");
    Ok(())
}

pub(super) async fn of_rapid_changes_the_last_one_is_in_force<S: Subject>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(0).await?;
    let watch = stage.watch().await;
    let begin = Instant::now();
    for threshold in 1..=u64::from(S::RAPID) {
        stage.put(threshold).await;
    }
    let writing = begin.elapsed();
    stage.until_in_force(S::SOON, [S::RAPID.into()], &watch).await;
    // Nothing older comes after it.
    sleep(S::SOON).await;
    assert_eq!(stage.thresholds(), [u64::from(S::RAPID)]);
    let status = watch.status();
    let most = begin.elapsed().as_millis() as u64 / 100 + 2;
    assert!(status.applied <= most, "{} changes were put in force within {:?}", status.applied, begin.elapsed());
    assert!(status.is_healthy(), "{status:#?}");
    report::<S>(
        "rapid changes",
        format_args!("{} in {} ms, {} put in force", S::RAPID, writing.as_millis(), status.applied),
    );
    Ok(())
}

pub(super) async fn a_large_payload_is_in_force<S: Subject>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let watch = stage.watch().await;
    let (document, count) = large::<S>();
    let begin = Instant::now();
    stage.write(&document).await;
    within(PATIENCE, "the large payload in force", &watch, || watch.status().rules == count).await;
    let took = begin.elapsed();
    report::<S>("a large payload", format_args!("{} bytes, {count} rules, {} ms", document.len(), took.as_millis()));
    assert_eq!(stage.sentinel.rules().get("rules").map(|rules| rules.len()), Some(count));
    Ok(())
}

pub(super) async fn one_that_is_too_large_changes_nothing<S: Subject>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let limit = 10_000;
    let watch = stage.datasource().max_size(limit).start(&stage.sentinel).await.unwrap();
    let padding = " ".repeat(limit);
    stage.write(&format!("{}{padding}", document(2))).await;
    until_told(PATIENCE, "it may hold 10000", &watch).await;
    assert_eq!(stage.thresholds(), [1]);
    stage.put(3).await;
    stage.until_healthy(S::SOON, [3], &watch).await;
    Ok(())
}

pub(super) async fn garbage_and_wrong_rules_change_nothing_and_are_named<S: Subject>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let watch = stage.watch().await;
    let wrong = r#"{"flow": [{"id": "limit", "resource": "orders", "threshold": -7}]}"#;
    let named = "flow rule 1 `limit` for `orders`: threshold is -7, but";
    for (document, expected) in [("{\"flow\": [{\"reso", S::CUT_OFF), (wrong, named)] {
        stage.write(document).await;
        until_told(S::SOON, expected, &watch).await;
        let status = watch.status();
        let key = &status.documents[0].key;
        assert!(error(&watch).contains(&format!("`{key}`")), "{} names `{key}`", error(&watch));
        assert_eq!((stage.thresholds(), status.rules), (vec![1], 1), "the last good rules stay in force");
    }
    stage.put(2).await;
    stage.until_healthy(S::SOON, [2], &watch).await;
    Ok(())
}

pub(super) async fn a_key_that_is_deleted_keeps_its_rules_where_it_should<S: Subject>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let watch = stage.datasource().when_missing(WhenMissing::Keep).start(&stage.sentinel).await.unwrap();
    stage.delete().await;
    until_told(S::SOON, "does not exist", &watch).await;
    assert_eq!(stage.thresholds(), [1]);
    created_again(&stage, &watch).await;
    Ok(())
}

pub(super) async fn a_key_that_is_deleted_takes_its_rules_with_it_where_it_should<S: Subject>()
-> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let watch = stage.datasource().when_missing(WhenMissing::Clear).start(&stage.sentinel).await.unwrap();
    stage.delete().await;
    stage.until_healthy(S::SOON, [], &watch).await;
    created_again(&stage, &watch).await;
    Ok(())
}

async fn created_again<S: Subject>(stage: &Stage<S>, watch: &Watch) {
    for threshold in 2..4 {
        stage.put(threshold).await;
        stage.until_healthy(S::SOON, [threshold], watch).await;
    }
}

/// A document of nearly as many bytes as are tried, and how many rules it has.
fn large<S: Subject>() -> (String, usize) {
    let rule = |index: usize| {
        format!(r#"{{"resource": "service/resource/{index:06}", "threshold": 100, "intervalMs": 2000}}"#)
    };
    let count = S::LARGE / (rule(0).len() + 1) - 1;
    let all: Vec<String> = (0..count).map(rule).collect();
    (format!(r#"{{"flow":[{}]}}"#, all.join(",")), count)
}
