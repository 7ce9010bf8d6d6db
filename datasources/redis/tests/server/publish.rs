//! Rules that are written to the server.

use sentinel_core::{Encoding, Format, Sentinel};
use sentinel_redis::{Condition, Key, Publish as _, PublishError, RedisSource, SourceError};
use sentinel_testing::{
    observe::{NEVER, SOON, rules, start, until_in_force},
    servers::{Account, RedisOptions, Server as _, Unavailable},
};

use super::subject::{KEY, open_server, put, source, source_of_a_mere_reader};

pub(super) async fn what_is_published_is_in_force_here_and_told_on_the_channel() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions::default()).await?;
    let yaml = Key::new(KEY, Encoding::detected().format(Format::Yaml));
    let mut writer = RedisSource::new(redis.address().to_string(), yaml).channel("sentinel:changed");
    // Only the message tells this one.
    let reader = source_of_a_mere_reader(&redis).await.channel("sentinel:changed");
    let sentinel = Sentinel::default();
    let watch = start(reader.poll_interval(NEVER), &sentinel).await;
    let revision = writer.publish(KEY, &rules(5.0), Condition::Always).await.unwrap();
    until_in_force(SOON, [5], &sentinel, &watch).await;
    assert_eq!((watch.status().revision, writer.revision(KEY).await.unwrap()), (revision.clone(), revision));
    let held = String::from_utf8(redis.get(KEY).await.unwrap().unwrap()).unwrap();
    assert!(held.contains("resource: orders"), "it is written as the key says: {held}");
    Ok(())
}

pub(super) async fn a_write_under_a_condition_is_made_only_if_nobody_else_has_written() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions { auth: true, ..Default::default() }).await?;
    let mut writer = source(&redis).user(Account::WRITER.name, Account::WRITER.secret);
    let at = |revision: &Option<String>| Condition::Revision(revision.clone().unwrap());
    let first = writer.revision(KEY).await.unwrap();
    let second = writer.publish(KEY, &rules(2.0), at(&first)).await.unwrap();
    assert_ne!(first, second);
    for late in [at(&first), Condition::Absent] {
        let refused = writer.publish(KEY, &rules(3.0), late).await.unwrap_err();
        assert!(matches!(refused, PublishError::Conflict { .. }), "{refused:?}");
    }
    assert_eq!(writer.revision(KEY).await.unwrap(), second);

    redis.delete(KEY).await.unwrap();
    assert_eq!(writer.revision(KEY).await.unwrap(), None);
    let refused = writer.publish(KEY, &rules(3.0), at(&second)).await.unwrap_err();
    assert!(matches!(refused, PublishError::Conflict { .. }), "{refused:?}");
    writer.publish(KEY, &rules(4.0), Condition::Absent).await.unwrap();

    // Of many who have read the same, one writes.
    let read = writer.revision(KEY).await.unwrap();
    let attempts = (0..16).map(|number| {
        let (mut writer, condition) = (writer.clone(), at(&read));
        tokio::spawn(async move { writer.publish(KEY, &rules(10.0 + f64::from(number)), condition).await })
    });
    let mut written = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(_) => written += 1,
            Err(PublishError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(written, 1);
    Ok(())
}

pub(super) async fn who_may_not_write_changes_nothing() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions { auth: true, ..Default::default() }).await?;
    let before = redis.get(KEY).await.unwrap();
    let reader = source(&redis).user(Account::READER.name, Account::READER.secret);
    let writer = source(&redis).user(Account::WRITER.name, Account::WRITER.secret);
    // The second one may write the key, and not tell of it: then it does neither.
    for mut source in [reader, writer.clone().channel("elsewhere")] {
        for condition in [Condition::Always, Condition::Absent] {
            let refused = source.publish(KEY, &rules(9.0), condition.clone()).await.unwrap_err();
            let is_as_expected = match condition {
                Condition::Always => matches!(refused, PublishError::Source(SourceError::Denied { .. })),
                _ => true,
            };
            assert!(is_as_expected, "{refused:?}");
            assert!(!format!("{refused} {refused:?}").contains(Account::READER.secret), "{refused}");
        }
    }
    let mut writer = writer;
    let unknown = writer.publish("sentinel:unknown", &rules(9.0), Condition::Always).await.unwrap_err();
    assert_eq!(unknown.to_string(), "`sentinel:unknown` is no key of this source");
    let wrong = writer.publish(KEY, &rules(-1.0), Condition::Always).await.unwrap_err();
    assert!(matches!(wrong, PublishError::Document { .. }), "{wrong:?}");
    assert_eq!(redis.get(KEY).await.unwrap(), before);

    redis.pause();
    let refused = writer.publish(KEY, &rules(9.0), Condition::Always).await.unwrap_err();
    assert!(matches!(refused, PublishError::Source(SourceError::TimedOut { .. })), "{refused:?}");
    redis.resume();
    put(&redis, 2).await;
    Ok(())
}
