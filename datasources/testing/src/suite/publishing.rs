use std::{net::SocketAddr, time::Duration};

use sentinel_core::Rules;
use sentinel_datasource::{Condition, Publish, PublishError, SourceError, Watch, WhenMissing};
use tokio::time::Instant;

use super::{Stage, Subject, faults::no_secret_is_told};
use crate::{
    Logs,
    observe::{NEVER, datasource, rules, thresholds, within},
    servers::Unavailable,
};

/// How long a write may take where nobody answers.
const LONGEST_WRITE: Duration = Duration::from_secs(12);

/// A subject whose source writes as well.
pub trait Writable: Subject<Source: Publish + Clone> {
    /// Whether the server itself looks at conditions. Where it does not, more than one of those may write who have read
    /// the same at the same time.
    const IS_ATOMIC: bool = true;

    /// What is told of a write where nobody answers.
    const NO_ANSWER: &'static str = "took longer than";

    /// The source of [`Subject::source`], of somebody who may write and make the key too.
    fn writer(&self, address: SocketAddr) -> Self::Source;

    /// The source of somebody who may not write.
    fn reader(&self, address: SocketAddr) -> Self::Source {
        self.source(address)
    }
}

fn at(revision: &Option<String>) -> Condition {
    Condition::Revision(revision.clone().expect("the key has a revision"))
}

async fn is_in_conflict(mut writer: impl Publish, key: &str, condition: Condition) {
    let refused = writer.publish(key, &rules(9.0), condition).await.unwrap_err();
    assert!(matches!(&refused, PublishError::Conflict { key: told } if told == key), "{refused:?}");
    assert_eq!(refused.to_string(), format!("`{key}` holds something else by now"));
}

impl<S: Writable> Stage<S> {
    fn writer(&self) -> S::Source {
        self.subject.writer(self.address())
    }

    /// Waits until what was published is in force under the revision that publishing has told.
    async fn until_published(&self, threshold: u64, revision: &Option<String>, watch: &Watch) {
        self.until_in_force(S::SOON, [threshold], watch).await;
        within(S::SOON, "its revision told", watch, || watch.status().revision == *revision).await;
        let known = self.writer().revision(&watch.status().documents[0].key).await;
        assert_eq!(known.unwrap(), *revision);
    }
}

pub(super) async fn what_is_published_is_in_force_where_nobody_else_has_written<S: Writable>() -> Result<(), Unavailable>
{
    let stage = Stage::<S>::with(1).await?;
    let mut writer = stage.writer();
    let watch = datasource(stage.writer()).when_missing(WhenMissing::Clear).resync_interval(NEVER);
    let watch = watch.start(&stage.sentinel).await.unwrap();
    stage.until_in_force(S::SOON, [1], &watch).await;
    let key = watch.status().documents[0].key.clone();

    let first = writer.revision(&key).await.unwrap();
    let second = writer.publish(&key, &rules(2.0), at(&first)).await.unwrap();
    assert_ne!(first, second);
    stage.until_published(2, &second, &watch).await;
    for late in [at(&first), Condition::Absent] {
        is_in_conflict(stage.writer(), &key, late).await;
    }
    stage.until_published(2, &second, &watch).await;

    stage.delete().await;
    stage.until_in_force(S::SOON, [], &watch).await;
    assert_eq!(writer.revision(&key).await.unwrap(), None);
    is_in_conflict(stage.writer(), &key, at(&second)).await;
    let third = writer.publish(&key, &rules(3.0), Condition::Absent).await.unwrap();
    stage.until_published(3, &third, &watch).await;
    let fourth = writer.publish(&key, &rules(4.0), Condition::Always).await.unwrap();
    stage.until_published(4, &fourth, &watch).await;
    // A key that was made anew is another one, also where its versions begin again.
    for late in [&first, &second] {
        is_in_conflict(stage.writer(), &key, at(late)).await;
    }
    stage.until_published(4, &fourth, &watch).await;
    Ok(())
}

pub(super) async fn of_many_who_have_read_the_same_one_writes<S: Writable>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let watch = datasource(stage.writer()).start(&stage.sentinel).await.unwrap();
    stage.until_in_force(S::SOON, [1], &watch).await;
    let key = watch.status().documents[0].key.clone();
    let read = stage.writer().revision(&key).await.unwrap();
    let attempts = (10..26_u32).map(|number| {
        let (mut writer, key, condition) = (stage.writer(), key.clone(), at(&read));
        tokio::spawn(async move { writer.publish(&key, &rules(number.into()), condition).await })
    });
    let mut written = Vec::new();
    for (number, attempt) in (10..).zip(attempts.collect::<Vec<_>>()) {
        match attempt.await.unwrap() {
            Ok(_) => written.push(vec![number]),
            Err(PublishError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(written.len() == 1 || written.len() > 1 && !S::IS_ATOMIC, "{written:?} were written");
    within(S::SOON, "what was written in force", &watch, || written.contains(&thresholds(&stage.sentinel))).await;
    Ok(())
}

pub(super) async fn what_cannot_be_written_is_an_error_and_changes_nothing<S: Writable>() -> Result<(), Unavailable> {
    let stage = Stage::<S>::with(1).await?;
    let logs = Logs::new();
    let watch = logs.start(datasource(stage.writer()), &stage.sentinel).await.unwrap();
    stage.until_in_force(S::SOON, [1], &watch).await;
    let key = &*watch.status().documents[0].key;
    let before = stage.writer().revision(key).await.unwrap();
    let refusal = async |mut source: S::Source, key: &str, rules: Rules, condition: Condition| {
        let key = key.to_owned();
        logs.hear(async move { source.publish(&key, &rules, condition).await }).await.unwrap_err()
    };

    let mut told = String::new();
    for condition in [Condition::Always, at(&before), Condition::Absent] {
        // That the key is there may be told to those who may not write it.
        let may_differ = condition == Condition::Absent;
        let refused = refusal(stage.subject.reader(stage.address()), key, rules(9.0), condition).await;
        let is_denied = matches!(refused, PublishError::Source(SourceError::Denied { .. }));
        assert!(is_denied || may_differ, "{refused:?}");
        told += &format!("{refused} {refused:?}");
    }
    let other = format!("{key}-unknown");
    let unknown = refusal(stage.writer(), &other, rules(9.0), Condition::Always).await;
    assert!(matches!(&unknown, PublishError::UnknownKey { key } if *key == other), "{unknown:?}");
    assert_eq!(unknown.to_string(), format!("`{other}` is no key of this source"));
    let wrong = refusal(stage.writer(), key, rules(-1.0), Condition::Always).await;
    assert!(matches!(&wrong, PublishError::Document { key: told, .. } if told == key), "{wrong:?}");
    assert_eq!(stage.writer().revision(key).await.unwrap(), before);
    assert_eq!(stage.thresholds(), [1]);

    stage.stall();
    let begin = Instant::now();
    let late = refusal(stage.writer(), key, rules(9.0), Condition::Always).await;
    assert!(matches!(late, PublishError::Source(_)) && late.to_string().contains(S::NO_ANSWER), "{late:?}");
    assert!(begin.elapsed() < LONGEST_WRITE, "it took {:?}", begin.elapsed());
    stage.cut().await;
    let gone = refusal(stage.writer(), key, rules(9.0), Condition::Always).await;
    assert!(matches!(gone, PublishError::Source(SourceError::Unreachable { .. })), "{gone:?}");
    told += &format!("{late} {late:?} {gone} {gone:?}");
    no_secret_is_told(&stage, &told, &logs, &[S::HEARD]);
    Ok(())
}
