//! A source in memory.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sentinel_core::{Encoding, Sentinel};
use sentinel_datasource::{
    Cause, Connection, Content, Datasource, Document, Outcome, Reading, Source, SourceError, StartError, Watch,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// A server in memory.
#[derive(Clone, Default)]
pub(crate) struct Server(pub(crate) Arc<Mutex<Inside>>, pub(crate) Arc<Notify>);

#[derive(Default)]
pub(crate) struct Inside {
    pub(crate) documents: Vec<(String, Option<String>)>,
    pub(crate) revision: u64,
    pub(crate) is_down: bool,
    pub(crate) denies: bool,
    /// Connections stay, but nothing comes back.
    pub(crate) stalls: bool,
    /// Changes are not told.
    pub(crate) is_silent: bool,
    /// What breaks connections that wait.
    pub(crate) generation: u64,
    pub(crate) connections: Vec<Instant>,
    pub(crate) reads: u64,
    pub(crate) open: usize,
    pub(crate) outcomes: VecDeque<Vec<Outcome>>,
}

impl Server {
    pub(crate) fn of(documents: &[(&str, &str)]) -> Self {
        let server = Self::default();
        for (key, text) in documents {
            server.put(key, text);
        }
        server
    }

    pub(crate) fn put(&self, key: &str, text: &str) {
        self.change(key, Some(text.to_owned()));
    }

    pub(crate) fn delete(&self, key: &str) {
        self.change(key, None);
    }

    fn change(&self, key: &str, text: Option<String>) {
        {
            let mut inside = self.0.lock();
            inside.documents.retain(|(other, _)| other != key);
            inside.documents.push((key.to_owned(), text));
            inside.revision += 1;
        }
        self.1.notify_waiters();
    }

    /// Breaks all connections.
    pub(crate) fn kill(&self) {
        {
            let mut inside = self.0.lock();
            inside.is_down = true;
            inside.generation += 1;
        }
        self.1.notify_waiters();
    }

    pub(crate) fn revive(&self) {
        self.0.lock().is_down = false;
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut self.0.lock());
    }
}

pub(crate) struct Connected {
    server: Server,
    generation: u64,
    seen: u64,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.server.0.lock().open -= 1;
    }
}

impl Source for Server {
    type Connection = Connected;

    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn connect(&mut self) -> Result<Connected, SourceError> {
        let mut inside = self.0.lock();
        inside.connections.push(Instant::now());
        if inside.is_down {
            return Err(SourceError::Unreachable { server: "memory".to_owned(), cause: Cause::text("it is down") });
        }
        if inside.denies {
            return Err(SourceError::Denied { server: "memory".to_owned(), cause: Cause::text("wrong password") });
        }
        inside.open += 1;
        Ok(Connected { server: self.clone(), generation: inside.generation, seen: 0 })
    }
}

impl Connection for Connected {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        if self.server.0.lock().stalls {
            std::future::pending::<()>().await;
        }
        let mut inside = self.server.0.lock();
        inside.reads += 1;
        if inside.generation != self.generation {
            return Err(SourceError::Ended);
        }
        self.seen = inside.revision;
        let document = |(key, text): &(String, Option<String>)| match text {
            Some(text) => Document::new(key, text.clone(), Encoding::detected()),
            None => Document::missing(key),
        };
        Ok(Content::new(inside.documents.iter().map(document)).revision(inside.revision.to_string()).into())
    }

    async fn changed(&mut self) -> Result<(), SourceError> {
        let notify = Arc::clone(&self.server.1);
        loop {
            let told = notify.notified();
            {
                let inside = self.server.0.lock();
                if inside.generation != self.generation {
                    return Err(SourceError::Ended);
                }
                if inside.revision != self.seen && !inside.is_silent {
                    return Ok(());
                }
            }
            told.await;
        }
    }

    async fn settled(&mut self, outcomes: &[Outcome]) -> Result<(), SourceError> {
        self.server.0.lock().outcomes.push_back(outcomes.to_vec());
        Ok(())
    }
}

pub(crate) fn flow(threshold: u32) -> String {
    format!("flow: [{{resource: orders, threshold: {threshold}}}]")
}

pub(crate) fn threshold(sentinel: &Sentinel) -> Option<f64> {
    sentinel.rules().get("memory")?.flow.first().map(|rule| rule.params.threshold)
}

pub(crate) fn error(watch: &Watch) -> String {
    watch.status().last_error.map(|(_, error)| error.to_string()).unwrap_or_default()
}

/// Lets everything that is due happen.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(150)).await;
}

pub(crate) async fn started(server: &Server) -> (Sentinel, Watch) {
    let sentinel = Sentinel::default();
    let watch = Datasource::new(server.clone()).start(&sentinel).await.unwrap();
    (sentinel, watch)
}

/// A document that takes longer to be put in force than the tests wait for it.
pub(crate) fn long(rules: usize) -> String {
    let rules: Vec<String> = (0..rules).map(|rule| format!(r#"{{"resource": "r{rule}", "threshold": 1}}"#)).collect();
    format!(r#"{{"flow": [{}]}}"#, rules.join(","))
}

pub(crate) async fn failing(datasource: Datasource<Server>, sentinel: &Sentinel) -> (StartError, Duration) {
    let begin = Instant::now();
    let error = datasource.start(sentinel).await.unwrap_err();
    (error, begin.elapsed())
}
