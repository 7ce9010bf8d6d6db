//! Rules that are written to the server.

use sentinel_core::{Encoding, Format, Sentinel};
use sentinel_redis::{Condition, Key, Publish as _, PublishError, RedisSource, SourceError};
use sentinel_testing::{
    observe::{NEVER, SOON, rules, start, until_in_force},
    servers::{Account, RedisOptions, Server as _, Unavailable},
};

use super::subject::{KEY, open_server, source, source_of_a_mere_reader};

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

pub(super) async fn who_may_not_tell_of_a_write_does_not_make_it() -> Result<(), Unavailable> {
    let redis = open_server(RedisOptions { auth: true, ..Default::default() }).await?;
    let before = redis.get(KEY).await.unwrap();
    let mut writer = source(&redis).user(Account::WRITER.name, Account::WRITER.secret).channel("elsewhere");
    let refused = writer.publish(KEY, &rules(9.0), Condition::Always).await.unwrap_err();
    assert!(matches!(refused, PublishError::Source(SourceError::Denied { .. })), "{refused:?}");
    writer.publish(KEY, &rules(9.0), Condition::Absent).await.unwrap_err();
    assert_eq!(redis.get(KEY).await.unwrap(), before);
    Ok(())
}
