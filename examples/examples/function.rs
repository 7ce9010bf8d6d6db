//! A function that calls something slow, protected in a few lines: `cargo run --example function`.

use std::{thread, time::Duration};

use sentinel_core::{Blocked, FlowRule, Rules, Sentinel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sentinel = Sentinel::default();
    let rules = Rules::new().flow([FlowRule::new("lookup", 5.0)]);
    sentinel.rules().replace("code", rules)?;

    for number in 0..20 {
        match lookup(&sentinel, number) {
            Ok(answer) => println!("{number:>2}: {answer}"),
            Err(blocked) => println!("{number:>2}: {blocked}"),
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn lookup(sentinel: &Sentinel, number: u32) -> Result<String, Blocked> {
    let _entry = sentinel.enter("lookup").immediately()?;
    thread::sleep(Duration::from_millis(5)); // what is protected
    Ok(format!("{number} looked up"))
}
