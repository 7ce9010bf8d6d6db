//! Short scenarios, one for each family of rules and one for the components of clients: what is protected, what is done
//! to it, what came of that, and whether it is what was to be expected.

mod adaptive;
mod authority;
mod backends;
mod breaker;
mod burn;
mod dependency;
mod flow;
mod hotspot;
mod isolation;
mod order;
mod report;
mod room;
mod shedding;
mod stage;
mod storm;
mod system;

use std::{
    error::Error,
    io,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use tokio::time::timeout;

pub(crate) use self::order::{Order, send};
use self::report::Report;
use crate::{shutdown::Interrupts, summary::Conclusion};

/// How long a scenario may take: far more than it does.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// How many calls per second.
    Flow,
    /// How many calls at a time, and who waits.
    Isolation,
    /// A service behind this one that fails and recovers.
    Breaker,
    /// How many calls with one value.
    Hotspot,
    /// A machine with more work than it can do, under load from another process.
    System,
    /// A limit that finds itself.
    Adaptive,
    /// A service behind this one that refuses most calls.
    Shedding,
    /// Who may call.
    Authority,
    /// Several backends behind this service, of which one fails, and then all.
    Backends,
    /// All of it at once.
    Storm,
    /// Every one, one after the other, with a line each.
    All,
}

type Outcome = Result<(), Box<dyn Error>>;

/// Plays one scenario, or all.
pub(crate) async fn play(which: Scenario) -> Result<Conclusion, Box<dyn Error>> {
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        played = async { if which == Scenario::All { Ok(all().await) } else { alone(which).await } } => played,
        () = interrupts.next() => Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted before its end").into()),
    }
}

async fn alone(which: Scenario) -> Result<Conclusion, Box<dyn Error>> {
    let mut report = Report::aloud();
    let begin = Instant::now();
    which.perform(&mut report).await?;
    report.say(&format!("{}: {} in {:.1?}", which.name(), report.verdict(), begin.elapsed()));
    Ok(if report.is_met() { Conclusion::Good } else { Conclusion::Bad })
}

/// One line each; of what was not as expected, everything.
async fn all() -> Conclusion {
    let (begin, mut missed) = (Instant::now(), Vec::new());
    let scenarios = Scenario::value_variants().iter().filter(|which| **which != Scenario::All);
    for which in scenarios.clone() {
        let (begin, mut report) = (Instant::now(), Report::quiet());
        let performed = which.perform(&mut report).await;
        let verdict = match &performed {
            Ok(()) => report.verdict(),
            Err(error) => format!("COULD NOT RUN: {error}"),
        };
        if performed.is_err() || !report.is_met() {
            missed.push(which.name());
            report.tell_all();
        }
        report.say(&format!("{:10} {verdict} in {:.1?}", which.name(), begin.elapsed()));
    }
    let (report, took) = (Report::aloud(), begin.elapsed());
    if missed.is_empty() {
        report.say(&format!("all {} scenarios went as expected in {took:.0?}", scenarios.count()));
        Conclusion::Good
    } else {
        report.say(&format!("NOT AS EXPECTED in {took:.0?}: {}", missed.join(", ")));
        Conclusion::Bad
    }
}

impl Scenario {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    async fn perform(self, report: &mut Report) -> Outcome {
        let performed = async {
            match self {
                Self::Flow => flow::perform(report).await,
                Self::Isolation => isolation::perform(report).await,
                Self::Breaker => breaker::perform(report).await,
                Self::Hotspot => hotspot::perform(report).await,
                Self::System => system::perform(report).await,
                Self::Adaptive => adaptive::perform(report).await,
                Self::Shedding => shedding::perform(report).await,
                Self::Authority => authority::perform(report).await,
                Self::Backends => backends::perform(report).await,
                Self::Storm => storm::perform(report).await,
                Self::All => Ok(()),
            }
        };
        timeout(PATIENCE, performed).await?
    }
}
