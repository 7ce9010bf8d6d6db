//! The scenarios of the demo as its users run them; apart from its other tests, since they are judged by the clock.

use std::process::{Command, Output};

fn demo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).args(args).output().expect("the demo can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_scenario_goes_as_expected_and_has_a_line() {
    let output = demo(&["--scenario", "all"]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}\n{}", text(&output.stderr));
    let lines: Vec<&str> = out.lines().collect();
    let names =
        ["flow", "isolation", "breaker", "hotspot", "system", "adaptive", "shedding", "authority", "backends", "storm"];
    assert_eq!(lines.len(), names.len() + 1, "{out}");
    for (name, line) in names.into_iter().zip(&lines) {
        assert!(line.starts_with(name) && line.contains(" as expected ("), "{line}");
    }
    assert!(lines.last().is_some_and(|line| line.starts_with("all 10 scenarios went as expected")), "{out}");
}

#[test]
fn one_scenario_shows_its_rules_and_what_it_expects() {
    let output = demo(&["--plain", "--scenario", "authority"]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}\n{}", text(&output.stderr));
    for part in
        ["    | authority:", "GET /admin", "  ok     crawler  /feed", "authority: as expected (10 expectations)"]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn a_scenario_that_there_is_not_is_an_error_that_names_those_there_are() {
    let output = demo(&["--scenario", "braker"]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    for part in ["braker", "breaker", "isolation", "storm", "all"] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let output = demo(&["--scenario", "flow", "--serve"]);
    assert_eq!(output.status.code(), Some(2), "a scenario has a service of its own");
}

#[cfg(unix)]
#[test]
fn an_interrupted_scenario_ends_at_once_and_claims_nothing() {
    use std::{
        io::{BufRead as _, BufReader, Read as _},
        process::Stdio,
        time::{Duration, Instant},
    };

    for which in ["-INT", "-TERM"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
            .args(["--scenario", "system"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo can be started");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        // From here on another process sends load.
        while !line.contains("Another process") {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "it goes on");
        }
        let sent = Command::new("kill").args([which, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let begin = Instant::now();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(2), "{rest}");
        assert!(begin.elapsed() < Duration::from_secs(2), "{which}: {:?}", begin.elapsed());
        assert!(!rest.contains("as expected"), "{rest}");
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(err.contains("interrupted"), "{err}");
    }
}
