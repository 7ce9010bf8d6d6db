use std::time::Duration;

use etcd_client::{Compare, CompareOp, GetOptions, ResponseHeader, Txn, TxnOp};
use sentinel_core::Rules;
use sentinel_datasource::{Cause, Condition, Publish, PublishError, SourceError, within};

use crate::{EtcdSource, source::Selection};

/// Longer, nobody waits for a write.
const LIMIT: Duration = Duration::from_secs(10);

/// Each call makes a connection of its own. A revision may be that of a key, or that of the store at which the key was read,
/// as [`Status::revision`](sentinel_datasource::Status::revision) has it.
impl Publish for EtcdSource {
    async fn publish(
        &mut self,
        key: &str,
        rules: &Rules,
        condition: Condition,
    ) -> Result<Option<String>, PublishError> {
        let encoding = &self.known(key)?.key.encoding;
        let text = rules.encode(encoding).map_err(|error| PublishError::Document { key: key.to_owned(), error })?;
        let comparisons = comparisons(key, condition)?;
        let transaction = Txn::new().when(comparisons).and_then([TxnOp::put(key, text, None)]);
        let response = within(LIMIT, "publishing", async {
            let mut link = self.link().await?;
            Ok(link.kv.txn(transaction).await.map_err(|error| link.failed(error))?)
        })
        .await?;
        if !response.succeeded() {
            return Err(PublishError::Conflict { key: key.to_owned() });
        }
        Ok(response.header().map(ResponseHeader::revision).map(|revision| revision.to_string()))
    }

    async fn revision(&mut self, key: &str) -> Result<Option<String>, PublishError> {
        self.known(key)?;
        let response = within(LIMIT, "asking for a revision", async {
            let mut link = self.link().await?;
            let response = link.kv.get(key, Some(GetOptions::new().with_keys_only())).await;
            Ok(response.map_err(|error| link.failed(error))?)
        })
        .await?;
        Ok(response.kvs().first().map(|kv| kv.mod_revision().to_string()))
    }
}

impl EtcdSource {
    fn known(&self, key: &str) -> Result<&Selection, PublishError> {
        self.selection(key).ok_or_else(|| PublishError::UnknownKey { key: key.to_owned() })
    }
}

/// What has to be so for a write to be made.
fn comparisons(key: &str, condition: Condition) -> Result<Vec<Compare>, PublishError> {
    match condition {
        Condition::Always => Ok(Vec::new()),
        Condition::Absent => Ok(vec![Compare::mod_revision(key, CompareOp::Equal, 0)]),
        Condition::Revision(revision) => {
            let revision: i64 = revision.parse().map_err(|error| SourceError::Setting {
                setting: "the revision",
                cause: Cause::text(format!("`{revision}`: {error}")),
            })?;
            // It is there, and nothing was written since.
            let is_there = Compare::mod_revision(key, CompareOp::Greater, 0);
            let is_old = Compare::mod_revision(key, CompareOp::Less, revision.saturating_add(1));
            Ok(vec![is_there, is_old])
        }
        _ => Err(PublishError::Unconditional { server: "etcd".to_owned() }),
    }
}
