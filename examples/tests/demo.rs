//! The demo as its users run it.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    process::{Command, Output},
};

fn demo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).args(args).output().expect("the demo can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn it_ends_by_itself_and_every_rule_was_kept() {
    let output = demo(&["--seconds", "5"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("every rule was kept"), "{out}");
    assert!(out.contains("in force after"), "the demo has changed its own rules: {out}");
    assert_eq!(out.matches("the service counts the same").count(), 4, "{out}");
    let limits: Vec<_> = out.lines().filter(|line| line.ends_with("  ok")).collect();
    assert!(limits.iter().any(|line| line.contains("100 in 1s")), "{out}");
    assert!(limits.iter().any(|line| line.contains("250 in 1s")), "{out}");
}

#[test]
fn an_occupied_port_is_an_error_that_says_so() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = demo(&["--port", &port]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains(&port) && err.contains("--port"), "{err}");
}

#[test]
fn rules_that_are_missing_or_broken_are_errors_that_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.yaml");
    let output = demo(&["--rules", missing.to_str().unwrap()]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("missing.yaml") && err.contains("no such file"), "{err}");

    let broken = directory.path().join("broken.yaml");
    fs::write(&broken, "flow: [{resource: a, threshold: -1}, {resource: b, threshold: 1, intervalMs: 0}]").unwrap();
    let output = demo(&["--rules", broken.to_str().unwrap()]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    for part in ["broken.yaml", "`a`", "threshold", "-1", "`b`", "intervalMs"] {
        assert!(err.contains(part), "{part}: {err}");
    }
}
