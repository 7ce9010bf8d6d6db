//! Keeps rules from Consul in force, and shows every second how they stand and what they do.
//!
//! ```sh
//! consul agent -dev &
//! cargo run --package sentinel-kit-consul --example consul -- http://127.0.0.1:8500 orders/rules
//! ```
//!
//! and in another terminal, with a look at the first after each:
//!
//! ```sh
//! consul kv put orders/rules 'flow: [{resource: orders, threshold: 3}]'    # 3 of 10 calls pass
//! consul kv put orders/rules 'flow: [{resource: orders, threshold: -3}]'   # still 3, and the status says why
//! consul kv put orders/rules 'flow: [{resource: orders, threshold: 5}]'    # 5
//! consul kv delete orders/rules                                            # still 5: rules stay when their key goes
//! ```
//!
//! A token is read from the file that `TOKEN_FILE` names.

use std::{env, error::Error, time::Duration};

use sentinel_consul::{ConsulSource, Datasource, Secret, Status};
use sentinel_core::Sentinel;
use tokio::time::interval;

const CALLS: usize = 10;

/// Longer than the second that rules are about, which would else be that of two rounds now and then.
const ROUND: Duration = Duration::from_millis(1_100);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(url), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err("usage: watch URL KEY, as in: watch http://127.0.0.1:8500 orders/rules".into());
    };
    let mut source = ConsulSource::new(url, key);
    if let Some(path) = env::var_os("TOKEN_FILE") {
        source = source.token(Secret::file(path));
    }
    let sentinel = Sentinel::default();
    let watch = Datasource::new(source).optional().start(&sentinel).await?;
    let mut rounds = interval(ROUND);
    loop {
        rounds.tick().await;
        let passed = (0..CALLS).filter(|_| sentinel.enter("orders").immediately().is_ok()).count();
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
