//! Rules from ZooKeeper, in force while they change there.
//!
//! ```sh
//! zkServer.sh start                               # or, of Debian's package: /usr/share/zookeeper/bin/zkServer.sh
//! cargo run --package sentinel-kit-zookeeper --example zookeeper -- 127.0.0.1:2181 /orders-rules
//! ```
//!
//! and in another terminal, in `zkCli.sh`, with a look at the first after each:
//!
//! ```text
//! create /orders-rules 'flow: [{resource: orders, threshold: 3}]'   # 3 of 10 pass
//! set /orders-rules 'flow: [{resource: orders, threshold: -3}]'     # still 3, and the status says why
//! set /orders-rules 'flow: [{resource: orders, threshold: 5}]'      # 5
//! delete /orders-rules                                              # all, since a node that is gone has no rules
//! ```

use std::{env, error::Error, time::Duration};

use sentinel_core::Sentinel;
use sentinel_zookeeper::{Datasource, Status, ZooKeeperSource};
use tokio::time::interval;

const CALLS: u32 = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(servers), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: watch SERVERS PATH, as in: watch 127.0.0.1:2181 /orders-rules".into());
    };
    let sentinel = Sentinel::default();
    let watch = Datasource::new(ZooKeeperSource::new(servers, path)).optional().start(&sentinel).await?;
    let mut turns = interval(Duration::from_secs(1) / CALLS);
    loop {
        let mut passed = 0;
        for _ in 0..CALLS {
            turns.tick().await;
            passed += u32::from(sentinel.enter("orders").immediately().is_ok());
        }
        println!("{passed} of {CALLS} calls pass; {}", line(&watch.status()));
    }
}

fn line(status: &Status) -> String {
    let Status { state, rules, .. } = status;
    match &status.last_error {
        Some((_, error)) => format!("{state:?}, {rules} rules: {error}"),
        None => format!("{state:?}, {rules} rules"),
    }
}
