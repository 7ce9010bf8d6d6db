//! The sampler of an instance, on the real system. Alone in its process, since it counts the threads of it.
#![cfg(all(feature = "sampler", target_os = "linux"))]

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use sentinel_core::{BuildError, FlowRule, Rules, Sentinel, SystemRule};

fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux lists threads");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    // The system cuts names to 15 bytes.
    names.filter(|name| name.trim() == "sentinel-sample").count()
}

#[expect(clippy::disallowed_methods, reason = "the system is waited for")]
fn within_five_seconds(what: &str, come: impl Fn() -> bool) {
    let start = Instant::now();
    while !come() {
        assert!(start.elapsed() < Duration::from_secs(5), "it has not come: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn it_runs_while_a_rule_needs_a_signal_and_not_longer() {
    let sentinel = Sentinel::builder().sampler(Duration::from_millis(200)).build().expect("in range");
    sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("a", 1.0)])).expect("valid");
    assert_eq!(threads(), 0, "no rule needs a signal");

    let protected = || Rules::new().system([SystemRule::cpu_usage(0.8)]);
    sentinel.rules().replace("code", protected()).expect("valid");
    within_five_seconds("a thread", || threads() == 1);
    within_five_seconds("readings", || sentinel.signals().cpu_usage().is_some());
    assert!(sentinel.signals().memory_used().is_some_and(|bytes| bytes > 1 << 20));

    sentinel.rules().replace("more", protected()).expect("valid");
    sentinel.rules().clear("code");
    within_five_seconds("the same thread", || threads() == 1);
    sentinel.rules().clear("more");
    within_five_seconds("the end", || threads() == 0);

    sentinel.rules().replace("code", protected()).expect("valid");
    within_five_seconds("another thread", || threads() == 1);
    drop(sentinel);
    within_five_seconds("its end", || threads() == 0);
}

#[test]
fn an_interval_out_of_range_is_an_error() {
    for millis in [0, 199, 60_001] {
        let given = Duration::from_millis(millis);
        let error = Sentinel::builder().sampler(given).build().expect_err("out of range");
        assert_eq!(error, BuildError::Sampler { given });
    }
}

#[test]
fn an_instance_that_was_not_asked_to_reads_nothing() {
    let sentinel = Sentinel::default();
    sentinel.rules().replace("code", Rules::new().system([SystemRule::cpu_usage(0.8)])).expect("valid");
    assert_eq!(sentinel.signals().cpu_usage(), None);
}
