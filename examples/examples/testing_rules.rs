//! A day of rules in milliseconds, on the manual clock: `cargo run --example testing_rules`.

use std::time::Duration;

use sentinel_core::{Call, FlowRule, ManualClock, Rules, Sentinel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = ManualClock::new();
    let sentinel = Sentinel::builder().clock(clock.clone()).build()?;
    let a_day = Duration::from_secs(24 * 60 * 60);
    let rule = FlowRule::new("export", 3.0).per(a_day).for_origin("batch");
    sentinel.rules().replace("test", Rules::new().flow([rule]))?;

    let batch = Call::new().origin("batch");
    let mut admitted = Vec::new();
    for hour in 0..48 {
        if sentinel.enter_with("export", &batch).immediately().is_ok() {
            admitted.push(hour);
        }
        clock.advance(Duration::from_secs(60 * 60));
    }
    assert_eq!(admitted, [0, 1, 2, 24, 25, 26]);
    println!("admitted in the hours {admitted:?}, as the rule says");
    Ok(())
}
