//! A server with users, and sources of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sentinel_core::Sentinel;
use sentinel_testing::{
    Proxy,
    servers::{Account, Server as _, Unavailable, ZooKeeper, ZooKeeperOptions},
    suite,
};
use sentinel_zookeeper::{Datasource, Secret, SourceError, Watch, ZooKeeperSource};
use tokio::time::{Instant, sleep};

pub(crate) const KEY: &str = "/sentinel/rules";

/// How soon a change has to be in force.
pub(crate) const SOON: Duration = Duration::from_secs(1);

const WRONG: &str = "not-the-password-of-anybody";
const ROTATED: &str = "the-next-password";

pub(crate) struct Subject {
    zookeeper: ZooKeeper,
    password: Arc<Mutex<String>>,
}

impl suite::Subject for Subject {
    type Source = ZooKeeperSource;

    async fn start() -> Result<Self, Unavailable> {
        let zookeeper = ZooKeeper::start(ZooKeeperOptions { auth: true, ..ZooKeeperOptions::default() }).await?;
        Ok(Self { zookeeper, password: Arc::new(Mutex::new(Account::READER.secret.to_owned())) })
    }

    async fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy::to(self.zookeeper.address()).await]
    }

    fn source(&self, address: SocketAddr) -> ZooKeeperSource {
        let password = Arc::clone(&self.password);
        let password = Secret::told(move || Some(password.lock().clone().into()));
        ZooKeeperSource::new(address.to_string(), KEY).user(Account::READER.name, password)
    }

    fn stranger(&self, address: SocketAddr) -> ZooKeeperSource {
        ZooKeeperSource::new(address.to_string(), KEY).user(Account::READER.name, WRONG)
    }

    fn secrets(&self) -> Vec<String> {
        [Account::READER.secret, Account::ADMIN.secret, WRONG, ROTATED].map(str::to_owned).to_vec()
    }

    async fn rotate(&mut self) -> bool {
        let Account { name: admin, secret, .. } = Account::ADMIN;
        let reader = Account::READER.name;
        // Who is logged in may do everything, and nobody else.
        let commands = format!(
            "addauth digest {admin}:{secret}\naddauth digest {reader}:{ROTATED}\nsetAcl {KEY} auth::cdrwa\nquit\n"
        );
        self.zookeeper.cli(&commands).await;
        ROTATED.clone_into(&mut self.password.lock());
        true
    }

    async fn put(&self, document: &str) -> Result<(), String> {
        self.zookeeper.put(KEY, document.as_bytes()).await.map_err(|error| error.to_string())
    }

    async fn delete(&self) -> Result<(), String> {
        self.zookeeper.delete(KEY).await.map_err(|error| error.to_string())
    }

    fn kill(&mut self) {
        self.zookeeper.kill();
    }

    async fn restart(&mut self) {
        self.zookeeper.restart().await;
    }
}

/// A server whose node holds the rules with threshold 1.
pub(crate) async fn server(options: ZooKeeperOptions) -> Result<ZooKeeper, Unavailable> {
    let zookeeper = ZooKeeper::start(options).await?;
    put(&zookeeper, 1).await;
    Ok(zookeeper)
}

pub(crate) fn source(zookeeper: &ZooKeeper) -> ZooKeeperSource {
    ZooKeeperSource::new(zookeeper.address().to_string(), KEY)
}

pub(crate) fn rules(threshold: u64) -> String {
    format!("flow: [{{resource: orders, threshold: {threshold}}}]")
}

pub(crate) async fn put(zookeeper: &ZooKeeper, threshold: u64) {
    zookeeper.put(KEY, rules(threshold).as_bytes()).await.unwrap();
}

pub(crate) async fn start(source: ZooKeeperSource, sentinel: &Sentinel) -> Watch {
    // Nothing but what is told brings a change.
    let datasource = Datasource::new(source).name("rules").resync_interval(Duration::from_secs(3_600));
    datasource.start(sentinel).await.unwrap_or_else(|error| panic!("it does not start: {error}"))
}

/// Why a source does not start.
pub(crate) async fn refusal(source: ZooKeeperSource) -> SourceError {
    let datasource = Datasource::new(source).start_within(Duration::from_millis(500));
    match datasource.start(&Sentinel::default()).await {
        Ok(watch) => panic!("it starts: {watch:?}"),
        Err(refused) => (*refused.error).clone(),
    }
}

/// The thresholds in force, in order.
pub(crate) fn thresholds(sentinel: &Sentinel) -> Vec<u64> {
    let flow = sentinel.rules().get("rules").map(|rules| rules.flow).unwrap_or_default();
    let mut all: Vec<_> = flow.iter().map(|rule| rule.params.threshold as u64).collect();
    all.sort_unstable();
    all
}

/// Waits until something is so; how long it took.
pub(crate) async fn until(limit: Duration, watch: &Watch, mut is_so: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < limit, "not within {limit:?}\n{:#?}", watch.status());
        sleep(Duration::from_millis(2)).await;
    }
    begin.elapsed()
}

/// What is wrong, in words.
pub(crate) fn error(watch: &Watch) -> String {
    watch.status().last_error.map(|(_, error)| error.to_string()).unwrap_or_default()
}
