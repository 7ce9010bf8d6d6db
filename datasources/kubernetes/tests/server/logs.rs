//! What is logged, by this crate and by all that it rests on.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use sentinel_core::Sentinel;
use sentinel_datasource::Datasource;
use sentinel_kubernetes::{Access, Kind, KubernetesSource};
use sentinel_testing::servers::{Account, Unavailable};
use tokio::{runtime, time::sleep};
use tracing::subscriber::with_default;
use tracing_subscriber::fmt;

use crate::cluster::{Cluster, flow};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) async fn tokens_are_in_no_log_however_much_is_logged() -> Result<(), Unavailable> {
    const WRONG: &str = "a-token-that-nobody-knows";
    let cluster = Cluster::start().await?;
    cluster.rules(Kind::FlowRules, "default", "orders", flow("orders", 1)).await;
    let kubeconfig = cluster.0.kubeconfig(Account::READER);
    let accesses = [cluster.access(Account::READER), cluster.trusting().token(WRONG), Access::kubeconfig(kubeconfig)];
    let log = Log::default();
    let writer = log.clone();
    let subscriber = fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    // On one thread, of which all logs are kept.
    let followed = tokio::task::spawn_blocking(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        with_default(subscriber, || {
            runtime.block_on(async {
                for access in accesses {
                    let source = KubernetesSource::new(access).namespace("default");
                    let watch = Datasource::new(source).optional().start(&Sentinel::default()).await.unwrap();
                    sleep(Duration::from_secs(1)).await;
                    watch.stop().await;
                }
            });
        });
    });
    followed.await.unwrap();
    let log = String::from_utf8(std::mem::take(&mut *log.0.lock())).unwrap();
    for told in ["h2::", "the rules of the source are in force", "refuses access"] {
        assert!(log.contains(told), "{told} is not in the log");
    }
    for secret in [Account::READER.secret, WRONG] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
    Ok(())
}
