//! Calls that wait for their turn instead of being refused: `cargo run --example waiting`.

use std::time::{Duration, Instant};

use sentinel_core::{FlowRule, Rules, Sentinel};
use tokio::{task::JoinSet, time::sleep};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sentinel = Sentinel::default();
    let ten_a_second = FlowRule::new("mail", 10.0).throttle(Duration::from_secs(1));
    sentinel.rules().replace("code", Rules::new().flow([ten_a_second]))?;

    let start = Instant::now();
    let mut mails = JoinSet::new();
    for number in 0..15 {
        let sentinel = sentinel.clone();
        mails.spawn(async move {
            match sentinel.enter("mail").admitted(sleep).await {
                Ok(_entry) => println!("{number:>2} sent after {:?}", start.elapsed()),
                Err(blocked) => println!("{number:>2} given up: {blocked}"),
            }
        });
    }
    mails.join_all().await;
    Ok(())
}
