//! What is logged. In a process of its own, whose one subscriber hears everything.

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sentinel_core::Sentinel;
use sentinel_nacos::{Datasource, NacosSource};
use sentinel_testing::{
    run,
    servers::{Account, Nacos, NacosOptions, Server as _, Unavailable},
    trial,
};
use tokio::time::sleep;
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

fn main() -> ExitCode {
    run([trial("secrets_are_in_no_log", secrets_are_in_no_log)])
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

async fn secrets_are_in_no_log() -> Result<(), Unavailable> {
    const KEY: &str = "sentinel-rules";
    const WRONG: &str = "wr0ng-secret";

    let nacos = Nacos::start(NacosOptions { auth: true }).await?;
    nacos.put(KEY, b"flow: [{resource: orders, threshold: 1}]").await.unwrap();
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let source = |password| NacosSource::new(nacos.address().to_string(), KEY).user(Account::ADMIN.name, password);
    let sentinel = Sentinel::default();
    let watch = Datasource::new(source(Account::ADMIN.secret)).start(&sentinel).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    watch.stop().await;
    Datasource::new(source(WRONG)).start(&sentinel).await.unwrap_err();

    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    for told in ["h2::", "the rules of the source are in force", "refuses access"] {
        assert!(log.contains(told), "the log does not tell of {told}");
    }
    for secret in [Account::ADMIN.secret, WRONG, "accessToken"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    Ok(())
}
