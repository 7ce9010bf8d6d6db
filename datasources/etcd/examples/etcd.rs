//! Puts the rules of a key in force, and shows once a second how many of twenty calls pass.
//!
//! ```sh
//! etcd &
//! cargo run --package sentinel-kit-etcd --example etcd -- http://127.0.0.1:2379 /orders/rules
//! ```
//!
//! And beside it, while it runs:
//!
//! ```sh
//! etcdctl put /orders/rules 'flow: [{resource: orders, threshold: 3}]'    # 3 calls a second pass
//! etcdctl put /orders/rules 'flow: [{resource: orders, threshold: 5}]'    # 5
//! etcdctl put /orders/rules 'flow: [{resource: orders, threshold: -5}]'   # told as an error; still 5
//! etcdctl del /orders/rules                                               # all pass
//! ```
//!
//! Where etcd asks who it is, the name and the password are taken from `ETCD_USER` and `ETCD_PASSWORD`; where it is to be
//! trusted for a certificate, `ETCD_CACERT` names the file of the authority's.

use std::{env, error::Error, time::Duration};

use sentinel_core::Sentinel;
use sentinel_etcd::{Datasource, EtcdSource, Pem, Tls};

const CALLS: usize = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(endpoint), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err("usage: watch ENDPOINT KEY".into());
    };
    let mut source = EtcdSource::new([endpoint]).key(key);
    if let (Ok(user), Ok(password)) = (env::var("ETCD_USER"), env::var("ETCD_PASSWORD")) {
        source = source.credentials(user, password);
    }
    if let Ok(authority) = env::var("ETCD_CACERT") {
        source = source.tls(Tls::new().authority(Pem::file(authority)));
    }
    let sentinel = Sentinel::default();
    let watch = Datasource::new(source).start(&sentinel).await?;
    loop {
        let passed = (0..CALLS).filter(|_| sentinel.enter("orders").immediately().is_ok()).count();
        let status = watch.status();
        let error = status.last_error.map(|(_, error)| format!(", but {error}")).unwrap_or_default();
        println!("{passed} of {CALLS} calls pass; {:?}, {} rules{error}", status.state, status.rules);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
