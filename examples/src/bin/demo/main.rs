//! A service on loopback under a real HTTP flood, protected by rules from a file that change while it runs; and shorter
//! scenarios, one for each family of rules.

mod args;
mod flood;
mod history;
mod judge;
mod limits;
mod scenario;
mod screen;
mod serve;
mod service;
mod shutdown;
mod summary;

use std::{
    error::Error,
    fs,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser as _;
use sentinel_core::{Sentinel, TscClock};
use sentinel_examples::record::Record;
use sentinel_file::{FileSource, ThreadWatch};
use tempfile::TempDir;
use tokio::net::TcpListener;

use self::{
    args::{Args, Command},
    flood::{Flood, Phase},
    history::History,
    screen::{Screen, View},
    serve::Server,
    service::Dependency,
    shutdown::{Grace, Interrupts},
    summary::Summary,
};

/// How often the screen is drawn.
const TICK: Duration = Duration::from_millis(250);
/// How many times higher the demo makes a limit while it runs.
const RAISE: f64 = 2.5;
/// The exit code where the demo says nothing about the rules.
const COULD_NOT_RUN: u8 = 2;
const RULES: &str = include_str!("../../../rules/demo.yaml");

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let played = runtime.block_on(async {
        match (&args.command, args.scenario) {
            (Some(Command::Load(order)), _) => scenario::send(order).await,
            (None, Some(scenario)) => scenario::play(scenario).await,
            (None, None) => run(&args).await,
        }
    });
    match played {
        Ok(summary::Conclusion::Good) => ExitCode::SUCCESS,
        Ok(summary::Conclusion::Bad) => ExitCode::FAILURE,
        Ok(summary::Conclusion::ClientsFailed) => ExitCode::from(COULD_NOT_RUN),
        Err(error) if is_closed_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

/// Says why the demo could not run.
fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    // If nobody listens there either, the code says it.
    let _ = writeln!(io::stderr(), "demo: {error}");
    ExitCode::from(COULD_NOT_RUN)
}

/// Whether the reader of the output has seen enough, as `head` has: no error of ours.
fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Runs the demo.
async fn run(args: &Args) -> Result<summary::Conclusion, Box<dyn Error>> {
    let mut interrupts = Interrupts::listen()?;
    let clock = TscClock::new();
    let sentinel = Sentinel::builder().clock(clock.clone()).build()?;
    // A service that is up until somebody ends it must not remember every call.
    let record = (!args.serve).then(|| Record::new(clock.clone()));
    let history = History::following(&sentinel, clock, !args.serve);
    let rules = RuleFile::new(args.rules.clone())?;
    let watch = FileSource::new(&rules.path).watch(&sentinel)?;

    let dependency = Arc::new(Dependency::default());
    let app = service::router(&sentinel, record.as_ref(), &dependency);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.map_err(|error| {
        let port = args.port;
        io::Error::new(error.kind(), format!("cannot serve on 127.0.0.1:{port}: {error}; choose another --port"))
    })?;
    let mut server = Server::start(listener, app)?;
    let address = server.address;

    let mut screen = Screen::open(args.plain)?;
    let flood = Flood::new(address, args.serve);
    let scene = Scene { args, sentinel: &sentinel, history: &history, rules: &rules, watch: &watch, address };
    let played = scene.play(&mut screen, &flood, &dependency, &mut interrupts).await;
    drop(screen);

    let mut grace = Grace::begin(interrupts);
    flood.stop(&mut grace).await;
    grace.wait(server.stop()).await.transpose()?;
    drop(server);
    history.look();
    watch.stop();
    played?;
    let Some(record) = record else { return Ok(summary::Conclusion::Good) };
    let summary = Summary::of(&sentinel, &record, &history, &flood, grace.kept());
    match summary.write(&mut io::stdout().lock()) {
        // What came of it is in the exit code as well.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(summary.conclusion()),
    }
}

/// The file with the rules: the user's own, or a copy that may be edited.
struct RuleFile {
    path: PathBuf,
    directory: Option<TempDir>,
}

impl RuleFile {
    fn new(own: Option<PathBuf>) -> io::Result<Self> {
        if let Some(path) = own {
            return Ok(Self { path, directory: None });
        }
        let directory = tempfile::Builder::new().prefix("sentinel-demo-").tempdir()?;
        let path = directory.path().join("demo.yaml");
        fs::write(&path, RULES)?;
        Ok(Self { path, directory: Some(directory) })
    }

    fn is_a_copy(&self) -> bool {
        self.directory.is_some()
    }
}

/// Everything that is on the stage.
struct Scene<'a> {
    args: &'a Args,
    sentinel: &'a Sentinel,
    history: &'a History,
    rules: &'a RuleFile,
    watch: &'a ThreadWatch,
    address: SocketAddr,
}

impl Scene<'_> {
    /// Plays until the time is over or the user has enough.
    async fn play(
        &self,
        screen: &mut Screen,
        flood: &Flood,
        dependency: &Dependency,
        interrupts: &mut Interrupts,
    ) -> Result<(), Box<dyn Error>> {
        let length = Duration::from_secs(self.args.seconds);
        let start = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        let mut notes = vec![format!("serving on http://{}", self.address)];
        if self.rules.is_a_copy() {
            notes.push(format!("edit {} and see", self.rules.path.display()));
        } else {
            notes.push(format!("rules from {}", self.rules.path.display()));
        }
        let mut edit = Edit::default();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = interrupts.next() => return Ok(()),
            }
            self.history.look();
            let elapsed = start.elapsed();
            let phase = Phase::at(elapsed.as_secs_f64() / length.as_secs_f64());
            if !self.args.serve {
                let Some(phase) = phase else { return Ok(()) };
                flood.set(phase);
                dependency.set(phase);
                if phase == Phase::NewRules && self.rules.is_a_copy() {
                    edit.step(self, &mut notes)?;
                }
            }
            let view = View {
                title: phase.filter(|_| !self.args.serve).map_or("serving until Ctrl-C", Phase::title),
                elapsed,
                rows: screen::rows(self.sentinel, self.history),
                notes: &notes,
                trouble: self.watch.status().last_error.map(|(_, error)| error.to_string()),
            };
            if screen.show(&view)? == screen::Wish::Quit {
                return Ok(());
            }
        }
    }
}

/// The rules with [`RAISE`] times the limit on orders, and all else as it is.
fn raised(rules: &str) -> String {
    let mut is_orders = false;
    let line = |line: &str| {
        if let Some((_, resource)) = line.split_once("resource: ") {
            is_orders = resource == service::ORDERS;
        }
        match line.split_once("threshold: ") {
            Some((indent, threshold)) if is_orders => {
                let raised = threshold.parse::<f64>().map_or(f64::NAN, |threshold| threshold * RAISE);
                format!("{indent}threshold: {raised}\n")
            }
            _ => format!("{line}\n"),
        }
    };
    rules.lines().map(line).collect()
}

/// The change that the demo makes to its own rules.
#[derive(Default)]
struct Edit {
    saved: Option<u64>,
    told: bool,
}

impl Edit {
    fn step(&mut self, scene: &Scene<'_>, notes: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
        match self.saved {
            None => {
                scene.history.look();
                self.saved = Some(scene.history.now());
                if fs::read_to_string(&scene.rules.path).is_ok_and(|text| text == RULES) {
                    let beside = scene.rules.path.with_extension("new");
                    fs::write(&beside, raised(RULES))?;
                    fs::rename(beside, &scene.rules.path)?;
                } else {
                    notes.push("you have edited the file, so the demo leaves it as it is".to_owned());
                    self.told = true;
                }
            }
            Some(saved) if !self.told => {
                if let Some(in_force) = scene.history.first_change_after(saved) {
                    let after = Duration::from_nanos(in_force - saved).as_millis();
                    notes.push(format!(
                        "the demo saved {RAISE} times the limit on {}: in force after {after} ms",
                        service::ORDERS
                    ));
                    self.told = true;
                }
            }
            Some(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sentinel_core::{Format, Rules};

    use super::*;

    #[test]
    fn the_edit_changes_one_threshold_and_keeps_the_comments() {
        let raised = raised(RULES);
        let read = |text: &str| Rules::parse(text.as_bytes(), Format::Yaml).expect("valid").rules;
        let (mut before, after) = (read(RULES), read(&raised));
        before.flow[0].params.threshold *= RAISE;
        assert_eq!(before, after);
        assert_eq!(RULES.matches('#').count(), raised.matches('#').count());
    }
}
