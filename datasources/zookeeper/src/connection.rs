use std::fmt;

use sentinel_datasource::{Connection, Content, Document, Key, Reading, SourceError};

use crate::{
    ZooKeeperSource,
    protocol::{Operation, Refusal, Stat, take_bytes},
    session::Session,
};

/// A session over which nodes are read and changes are told.
pub struct ZooKeeperConnection {
    session: Session,
    keys: Vec<Key>,
    max_size: usize,
}

impl ZooKeeperConnection {
    pub(crate) async fn open(source: &ZooKeeperSource) -> Result<Self, SourceError> {
        let session = Session::open(source).await?;
        Ok(Self { session, keys: source.keys.clone(), max_size: source.max_size })
    }

    /// What a node holds, and its revision.
    async fn document(&mut self, key: &Key) -> Result<(Document, Option<String>), SourceError> {
        let (path, max) = (&*key.name, self.max_size as u64);
        loop {
            let Some(stat) = stat(&mut self.session, path).await? else { return Ok((Document::missing(path), None)) };
            if stat.len > max {
                let error = SourceError::TooLarge { key: path.to_owned(), size: stat.len, max };
                return Ok((Document::unusable(path, error), Some(stat.revision())));
            }
            let mut answer = match self.session.ask(Operation::GetData { path }).await? {
                Ok(answer) => answer,
                // It was deleted in between.
                Err(Refusal::NoNode) => continue,
                Err(refusal) => return Err(self.session.refused(refusal)),
            };
            let data = take_bytes(&mut answer).map_err(|error| self.session.malformed(error))?;
            let stat = Stat::take(&mut answer).map_err(|error| self.session.malformed(error))?;
            return Ok((Document::new(path, data, key.encoding.clone()), Some(stat.revision())));
        }
    }
}

/// What is known of a node, if there is one. From here on, the session is told of its next change.
pub(crate) async fn stat(session: &mut Session, path: &str) -> Result<Option<Stat>, SourceError> {
    match session.ask(Operation::Exists { path }).await? {
        Ok(mut answer) => Stat::take(&mut answer).map(Some).map_err(|error| session.malformed(error)),
        Err(Refusal::NoNode) => Ok(None),
        Err(refusal) => Err(session.refused(refusal)),
    }
}

impl Connection for ZooKeeperConnection {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        self.session.begin();
        let (mut documents, mut revisions) = (Vec::new(), Vec::new());
        for key in self.keys.clone() {
            let (document, revision) = self.document(&key).await?;
            documents.push(document);
            revisions.push(revision.unwrap_or_else(|| "-".to_owned()));
        }
        Ok(Content::new(documents).revision(revisions.join(",")).into())
    }

    async fn changed(&mut self) -> Result<(), SourceError> {
        self.session.told().await
    }
}

impl fmt::Debug for ZooKeeperConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeperConnection").field("server", &self.session.server).finish_non_exhaustive()
    }
}
