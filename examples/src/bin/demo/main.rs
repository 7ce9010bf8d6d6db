//! A service on loopback under a real HTTP flood, protected by rules from a file that change while it runs; and shorter
//! scenarios, one for each family of rules.

mod args;
mod flood;
mod history;
mod judge;
mod limits;
mod rules;
mod scenario;
mod screen;
mod serve;
mod service;
mod shutdown;
mod summary;

use std::{
    error::Error,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::{self, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser as _;
use sentinel_core::{Sentinel, TscClock};
use sentinel_examples::record::Record;
use tokio::net::TcpListener;

use self::{
    args::{Args, Command},
    flood::{Flood, Phase},
    history::History,
    rules::{RAISE, Rules},
    screen::{Screen, View},
    serve::Server,
    service::Dependency,
    shutdown::{Grace, Interrupts},
    summary::Summary,
};

/// How often the screen is drawn.
const TICK: Duration = Duration::from_millis(250);
/// The exit code where the demo says nothing about the rules.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(feature) = args.source.missing_feature() {
        return build_with(feature);
    }
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

/// Starts the demo again, built with what it lacks: what only some need is not built for all.
fn build_with(feature: &str) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let _ = writeln!(io::stderr(), "demo: building it with the feature `{feature}` first");
    let run = process::Command::new(cargo)
        .args(["run", "--release", "--quiet", "--package", "sentinel-kit-examples", "--bin", "demo"])
        .args(["--features", feature, "--"])
        .args(std::env::args_os().skip(1))
        .status();
    match run {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => failed(&error),
    }
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
    let mut rules = Rules::start(args, &sentinel).await?;

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
    let mut scene = Scene { args, sentinel: &sentinel, history: &history, rules: &mut rules, address };
    let played = scene.play(&mut screen, &flood, &dependency, &mut interrupts).await;
    drop(screen);

    let mut grace = Grace::begin(interrupts);
    flood.stop(&mut grace).await;
    grace.wait(server.stop()).await.transpose()?;
    drop(server);
    history.look();
    rules.stop().await;
    played?;
    let Some(record) = record else { return Ok(summary::Conclusion::Good) };
    let summary = Summary::of(&sentinel, &record, &history, &flood, grace.kept());
    match summary.write(&mut io::stdout().lock()) {
        // What came of it is in the exit code as well.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(summary.conclusion()),
    }
}

/// Everything that is on the stage.
struct Scene<'a> {
    args: &'a Args,
    sentinel: &'a Sentinel,
    history: &'a History,
    rules: &'a mut Rules,
    address: SocketAddr,
}

impl Scene<'_> {
    /// Plays until the time is over or the user has enough.
    async fn play(
        &mut self,
        screen: &mut Screen,
        flood: &Flood,
        dependency: &Dependency,
        interrupts: &mut Interrupts,
    ) -> Result<(), Box<dyn Error>> {
        let length = Duration::from_secs(self.args.seconds);
        let start = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        let mut notes = vec![format!("serving on http://{}", self.address)];
        notes.extend(self.rules.notes());
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
                if phase == Phase::NewRules && self.rules.are_its_own() {
                    edit.step(self, &mut notes).await?;
                }
            }
            let view = View {
                title: phase.filter(|_| !self.args.serve).map_or("serving until Ctrl-C", Phase::title),
                elapsed,
                rows: screen::rows(self.sentinel, self.history),
                notes: &notes,
                trouble: self.rules.status().last_error.map(|(_, error)| error.to_string()),
            };
            if screen.show(&view)? == screen::Wish::Quit {
                return Ok(());
            }
        }
    }
}

/// The change that the demo makes to its own rules.
#[derive(Default)]
struct Edit {
    saved: Option<u64>,
    told: bool,
}

impl Edit {
    async fn step(&mut self, scene: &mut Scene<'_>, notes: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
        match self.saved {
            None => {
                scene.history.look();
                self.saved = Some(scene.history.now());
                if !scene.rules.raise(scene.sentinel).await? {
                    notes.push("somebody has changed the rules, so the demo leaves them as they are".to_owned());
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
