//! A server's process.

use std::{
    ffi::OsStr,
    fmt, fs,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use parking_lot::Mutex;

/// Runs the server and hands signals on to it. When its input ends, so does the server: also when the process of the
/// tests was killed. A signal to stop counts as sent when the server has stopped: on a busy machine, that may be later.
const SUPERVISOR: &str = r#"
    trap '' PIPE
    exec 3<&0
    "$@" </dev/null >>"$0" 2>&1 3<&- &
    server=$!
    {
        while read -r signal <&3; do
            kill -s "$signal" "$server" || continue
            state=
            while [ "$signal" = STOP ] && read -r _ _ state _ <"/proc/$server/stat" && [ "$state" != T ]; do
                sleep 0.01
            done
            echo "$signal"
        done
        kill -s KILL "$server"
    } 2>/dev/null &
    guard=$!
    exec 3<&-
    wait "$server"
    status=$?
    kill "$guard"
    exit "$status"
"#;

/// Of a log, a panic tells so many lines.
const LAST_LINES: usize = 30;

/// The process of a server, which may be started again. Dropping it ends the server.
pub struct Process {
    server: &'static str,
    log: PathBuf,
    command: Mutex<Command>,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// How much its former lives have written.
    log_before: usize,
    supervisor: Child,
    signals: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a server with its log in this folder.
    pub(crate) fn start(
        server: &'static str,
        folder: &Path,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        variables: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let log = folder.join(format!("{server}.log"));
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR]).args([&log, program]).args(arguments).envs(variables);
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let process = Self { server, log, command: Mutex::new(command), running: Mutex::default() };
        process.start_again();
        process
    }

    /// Starts it as before, after it was killed.
    pub(crate) fn start_again(&self) {
        File::options().create(true).append(true).open(&self.log).expect("the log of a server can be written");
        let log_before = self.bytes().len();
        let mut supervisor = self.command.lock().spawn().expect("a shell can be started");
        let signals = supervisor.stdin.take().expect("the input is a pipe");
        let answers = BufReader::new(supervisor.stdout.take().expect("the output is a pipe"));
        *self.running.lock() = Some(Running { log_before, supervisor, signals, answers });
    }

    /// Kills it, and waits until it is gone. One that is down stays so.
    pub(crate) fn kill(&self) {
        drop(self.running.lock().take());
    }

    /// Sends a signal, and waits until it was sent.
    ///
    /// # Panics
    ///
    /// When the server is down.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = self.running.lock().as_mut().is_some_and(|running| running.signal(signal));
        assert!(sent, "{} is down and hears no {signal}\n{}", self.server, self.last_lines());
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        let ended = |running: &mut Running| running.supervisor.try_wait().expect("a child can be asked for").is_some();
        self.running.lock().as_mut().is_none_or(ended)
    }

    /// What it has written to its output and its errors, over all its lives.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Whether it has written this in its present life.
    pub(crate) fn says(&self, text: &str) -> bool {
        let before = self.running.lock().as_ref().map_or(0, |running| running.log_before);
        String::from_utf8_lossy(&self.bytes()[before..]).contains(text)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.log).expect("the log of a server can be read")
    }

    pub(crate) fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("server", &self.server).field("log", &self.log).finish_non_exhaustive()
    }
}

impl Running {
    /// Whether the signal was sent.
    fn signal(&mut self, signal: &str) -> bool {
        let mut answer = String::new();
        writeln!(self.signals, "{signal}").is_ok()
            && self.answers.read_line(&mut answer).is_ok()
            && answer.trim_end() == signal
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where that fails, it has ended already.
        self.signal("KILL");
        self.supervisor.wait().expect("a child can be waited for");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    fn until(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(10), "it never came true");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn shell(folder: &Path, script: &str) -> Process {
        Process::start("Shell", folder, Path::new("/bin/sh"), ["-c", script], [("GREETING", "hello".to_owned())])
    }

    #[test]
    fn it_writes_a_log_over_all_its_lives() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "echo $GREETING; sleep 60");
        until(|| process.says("hello"));
        process.kill();
        process.kill();
        assert!(process.has_ended());
        process.start_again();
        until(|| process.says("hello"));
        assert!(!process.has_ended() && !process.says("hello\nhello"));
        assert_eq!(process.log(), "hello\nhello\n");
    }

    #[test]
    fn one_that_is_paused_does_nothing_and_can_be_killed() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "while :; do echo .; sleep 0.01; done");
        until(|| !process.log().is_empty());
        process.signal("STOP");
        // What it had begun to write may still arrive.
        thread::sleep(Duration::from_millis(50));
        let log = process.log();
        thread::sleep(Duration::from_millis(200));
        assert_eq!(process.log(), log);
        process.signal("CONT");
        until(|| process.log().len() > log.len());
        process.signal("STOP");
        process.kill();
    }

    #[test]
    #[should_panic(expected = "Shell is down and hears no STOP\nout of luck")]
    fn a_signal_to_one_that_has_ended_is_a_failure_that_shows_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "echo out of luck; exit 1");
        until(|| process.has_ended());
        process.signal("STOP");
    }

    #[test]
    fn it_does_not_outlive_the_input_of_its_supervisor() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "echo $$; exec sleep 60");
        until(|| process.log().ends_with('\n'));
        let id = process.log().trim_end().to_owned();
        let is_alive = || Command::new("kill").args(["-0", &id]).stderr(Stdio::null()).status().unwrap().success();
        assert!(is_alive());
        let mut running = process.running.lock().take().unwrap();
        // Nothing is said: so it is when the process of the tests is killed.
        drop(std::mem::replace(&mut running.signals, spare_input()));
        until(|| !is_alive());
    }

    fn spare_input() -> ChildStdin {
        let mut child = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        child.wait().unwrap();
        input
    }
}
