//! The demo as its users run it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, TcpListener},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

fn demo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).args(args).output().expect("the demo can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A demo whose output is read line by line.
fn start(args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo can be started");
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    (child, out)
}

fn assert_good(output: &Output) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("every judged rule held (4 judged)\n"), "{out}");
    assert!(out.contains("in force after"), "the demo has changed its own rules: {out}");
    assert_eq!(out.matches("0 failed; the service counts the same").count(), 4, "{out}");
    let limits: Vec<_> = out.lines().filter(|line| line.ends_with("  ok")).collect();
    for limit in ["100 in 1s", "250 in 1s", "50 in 1s, evenly", "60 in 1s"] {
        assert!(limits.iter().any(|line| line.contains(limit)), "{limit}: {out}");
    }
    assert_eq!(out.lines().filter(|line| line.contains("no rule ")).count(), 2, "{out}");
}

#[test]
fn it_ends_by_itself_and_every_rule_was_kept() {
    assert_good(&demo(&["--seconds", "5"]));
}

#[test]
fn output_that_nobody_reads_any_more_ends_it_quietly() {
    let (mut child, mut out) = start(&["--seconds", "3600"]);
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    assert!(child.wait().unwrap().success());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(err, "");
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
    assert!(err.contains("missing.yaml") && err.contains("does not exist"), "{err}");

    let broken = directory.path().join("broken.yaml");
    fs::write(&broken, "flow: [{resource: a, threshold: -1}, {resource: b, threshold: 1, intervalMs: 0}]").unwrap();
    let output = demo(&["--rules", broken.to_str().unwrap()]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    for part in ["broken.yaml", "`a`", "threshold", "-1", "`b`", "intervalMs"] {
        assert!(err.contains(part), "{part}: {err}");
    }
}

#[cfg(unix)]
mod unix {
    use std::{
        io::Write as _,
        net::TcpStream,
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    /// After the first call, one has to wait for ten minutes.
    const SLOW: &str = "flow: [{resource: GET /search, threshold: 1, intervalMs: 600000, behavior: throttle, maxQueueingTimeMs: 3600000}]";

    fn interrupt(child: &Child) {
        signal(child, "-INT");
    }

    fn signal(child: &Child, signal: &str) {
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// A demo that serves a request which waits, and the connection of that request.
    fn serving_one_that_waits() -> (Child, BufReader<ChildStdout>, TcpStream, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let rules = directory.path().join("slow.yaml");
        fs::write(&rules, SLOW).unwrap();
        let (child, mut out) = start(&["--serve", "--rules", rules.to_str().unwrap()]);
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().to_owned();
        let mut connection = TcpStream::connect(address).unwrap();
        let request = b"GET /search HTTP/1.1\r\nhost: localhost\r\n\r\n";
        connection.write_all(request).unwrap();
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        connection.write_all(request).unwrap();
        // Until a line shows that the second one is in.
        loop {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "it goes on");
            if line.contains("GET /search") && line.contains("pass ") {
                break;
            }
        }
        (child, out, connection, directory)
    }

    fn ended_within(child: &mut Child, bound: Duration) -> Duration {
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > bound {
                child.kill().unwrap();
                panic!("it has not ended after {bound:?}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        start.elapsed()
    }

    #[test]
    fn few_descriptors_are_enough() {
        let command = "ulimit -n 200 && exec \"$0\" --seconds 4";
        assert_good(&Command::new("sh").args(["-c", command, env!("CARGO_BIN_EXE_demo")]).output().unwrap());
    }

    #[test]
    fn a_signal_ends_a_service_at_once_if_nothing_is_open() {
        for which in ["-INT", "-TERM"] {
            let (mut child, mut out) = start(&["--serve"]);
            out.read_line(&mut String::new()).unwrap();
            signal(&child, which);
            let mut rest = String::new();
            out.read_to_string(&mut rest).unwrap();
            assert!(child.wait().unwrap().success(), "{which}");
            assert!(!rest.contains("judged"), "nothing was kept to be judged: {rest}");
        }
    }

    #[test]
    fn an_open_request_does_not_keep_it_from_ending() {
        let (mut child, _out, _connection, _rules) = serving_one_that_waits();
        interrupt(&child);
        let took = ended_within(&mut child, Duration::from_secs(60));
        assert!(took > Duration::from_secs(2), "it had a while to finish: {took:?}");
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_second_ctrl_c_does_not_wait_for_an_open_request() {
        let (mut child, _out, _connection, _rules) = serving_one_that_waits();
        interrupt(&child);
        // Signals that come at the same time would be one.
        thread::sleep(Duration::from_millis(500));
        interrupt(&child);
        let took = ended_within(&mut child, Duration::from_secs(60));
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn an_interrupted_flood_is_judged_as_far_as_it_went() {
        let (mut child, mut out) = start(&["--seconds", "3600"]);
        let mut line = String::new();
        while !line.contains("1 s  steady") {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "it goes on");
        }
        interrupt(&child);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(child.wait().unwrap().success(), "{rest}");
        assert!(rest.contains("every judged rule held"), "{rest}");
    }
}
