//! Rules from Redis, in force while they change there.
//!
//! ```sh
//! redis-server --port 6379 --save "" &
//! cargo run --package sentinel-kit-redis --example redis -- 127.0.0.1:6379 orders:rules
//! ```
//!
//! and in another terminal, with a look at the first after each:
//!
//! ```sh
//! redis-cli set orders:rules 'flow: [{resource: orders, threshold: 3}]'   # 3 of 10 pass
//! redis-cli set orders:rules 'flow: [{resource: orders, threshold: -3}]'  # still 3, and the status says why
//! redis-cli set orders:rules 'flow: [{resource: orders, threshold: 5}]'   # 5
//! redis-cli del orders:rules                                              # still 5, since keys that are gone keep theirs
//! ```

use std::{env, error::Error, time::Duration};

use sentinel_core::Sentinel;
use sentinel_redis::{Datasource, RedisSource, Status};
use tokio::time::interval;

const CALLS: u32 = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err("usage: watch ADDRESS KEY, as in: watch 127.0.0.1:6379 orders:rules".into());
    };
    let sentinel = Sentinel::default();
    let watch = Datasource::new(RedisSource::new(address, key)).optional().start(&sentinel).await?;
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
