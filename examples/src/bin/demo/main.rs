//! A service on loopback under a real HTTP flood, protected by rules from a file that change while it runs.

mod args;
mod flood;
mod limits;
mod screen;
mod service;
mod summary;

use std::{
    error::Error,
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::pin,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser as _;
use sentinel_core::{Sentinel, TscClock};
use sentinel_examples::record::Record;
use sentinel_file::{FileSource, FileWatch};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};

use self::{
    args::Args,
    flood::{Flood, Phase},
    limits::Limits,
    screen::{Screen, View},
    service::Dependency,
};

/// How often the screen is drawn.
const TICK: Duration = Duration::from_millis(250);
/// How many times higher the demo makes a limit while it runs.
const RAISE: f64 = 2.5;
const RULES: &str = include_str!("../../../rules/demo.yaml");

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run(&args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&*error),
    }
}

/// Says why the demo could not run.
fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("demo: {error}");
    ExitCode::from(2)
}

/// Runs the demo; whether all rules were kept.
async fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let clock = TscClock::new();
    let sentinel = Sentinel::builder().clock(clock.clone()).build()?;
    let record = Record::new(clock);
    let limits = Limits::following(&sentinel, &record);
    let rules = RuleFile::new(args.rules.clone())?;
    let watch = FileSource::new(&rules.path).watch(&sentinel)?;

    let dependency = Arc::new(Dependency::default());
    let app = service::router(&sentinel, &record, &dependency);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.map_err(|error| {
        let port = args.port;
        io::Error::new(error.kind(), format!("cannot serve on 127.0.0.1:{port}: {error}; choose another --port"))
    })?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(until(stopped)).into_future());

    let mut screen = Screen::open(args.plain)?;
    let flood = Flood::new(address, args.serve);
    let scene = Scene { args, sentinel: &sentinel, limits: &limits, rules: &rules, watch: &watch, address };
    let ran = scene.play(&mut screen, &flood, &dependency).await;
    drop(screen);

    flood.stop().await;
    stop.send_replace(true);
    server.await??;
    watch.stop();
    ran?;
    Ok(args.serve || summary::print(&sentinel, &record, &limits, &flood))
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the demo is gone, which is a reason to stop as well.
    let _gone = stopped.wait_for(|stopped| *stopped).await;
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
    limits: &'a Limits,
    rules: &'a RuleFile,
    watch: &'a FileWatch,
    address: SocketAddr,
}

impl Scene<'_> {
    /// Plays until the time is over or the user has enough.
    async fn play(&self, screen: &mut Screen, flood: &Flood, dependency: &Dependency) -> Result<(), Box<dyn Error>> {
        let length = Duration::from_secs(self.args.seconds);
        let start = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        let mut interrupted = pin!(tokio::signal::ctrl_c());
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
                interrupted = &mut interrupted => return Ok(interrupted?),
            }
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
                rows: screen::rows(self.sentinel, self.limits),
                notes: &notes,
                trouble: self.watch.status().last_error.map(|(_, error)| error.to_string()),
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
    fn step(&mut self, scene: &Scene<'_>, notes: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
        match self.saved {
            None => {
                let source = FileSource::new(&scene.rules.path);
                let mut rules = scene.sentinel.rules().get(&source.name()).unwrap_or_default();
                for rule in rules.flow.iter_mut().filter(|rule| rule.resource.as_str() == service::ORDERS) {
                    rule.params.threshold *= RAISE;
                }
                self.saved = Some(scene.limits.now());
                source.save(&rules)?;
            }
            Some(saved) if !self.told => {
                if let Some(in_force) = scene.limits.first_change_after(saved) {
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
