//! Load from another process, which the demo starts itself as.

use std::{
    env,
    error::Error,
    io::{self, Write as _},
    net::SocketAddr,
    process::Stdio,
    time::Duration,
};

use axum::http::StatusCode;
use sentinel_examples::{client::Ask, load::Load};
use tokio::process::Command;

use crate::summary::Conclusion;

/// What to send, and what to look at.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Order {
    service: SocketAddr,
    clients: u32,
    per_second: f64,
    millis: u64,
    /// What is sent earlier does not count.
    settled_millis: u64,
    /// What is answered later is in vain.
    deadline_millis: u64,
}

/// What came back, after things have settled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answered {
    pub(super) answered: usize,
    pub(super) in_time: usize,
    pub(super) p99: Duration,
    pub(super) refused: usize,
    /// The median time of refusals.
    pub(super) refusal: Duration,
}

/// Does what it was started for: sends the load, and writes what came back.
pub(crate) async fn send(order: &Order) -> Result<Conclusion, Box<dyn Error>> {
    let [length, settled, deadline] =
        [order.millis, order.settled_millis, order.deadline_millis].map(Duration::from_millis);
    let load = Load { clients: order.clients, per_second: order.per_second, length };
    let answers = load.on(order.service, |_| Ask::get("/")).await?.from(settled);
    let (served, refused) = (answers.of(StatusCode::OK), answers.of(StatusCode::SERVICE_UNAVAILABLE));
    let answered = Answered {
        answered: served.len(),
        in_time: served.within(deadline),
        p99: served.percentile(0.99),
        refused: refused.len(),
        refusal: refused.percentile(0.5),
    };
    writeln!(io::stdout(), "{}", answered.to_line())?;
    Ok(Conclusion::Good)
}

impl Order {
    pub(super) fn new(service: SocketAddr, load: Load, settled: Duration, deadline: Duration) -> Self {
        let millis = |duration: Duration| duration.as_millis() as u64;
        Self {
            service,
            clients: load.clients,
            per_second: load.per_second,
            millis: millis(load.length),
            settled_millis: millis(settled),
            deadline_millis: millis(deadline),
        }
    }

    /// Lets another process send it, which ends with the future at the latest.
    pub(super) async fn run_elsewhere(&self) -> Result<Answered, Box<dyn Error>> {
        let Self { service, clients, per_second, millis, settled_millis, deadline_millis } = self;
        let mut command = Command::new(env::current_exe()?);
        command.args(["load", &service.to_string(), &clients.to_string(), &per_second.to_string()]);
        command.args([millis, settled_millis, deadline_millis].map(u64::to_string));
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        if !output.status.success() {
            return Err(format!("the load failed: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
        }
        let line = String::from_utf8(output.stdout)?;
        Answered::of_line(&line).ok_or_else(|| format!("the load says {line:?}").into())
    }
}

impl Answered {
    /// Five numbers, times in microseconds.
    fn to_line(self) -> String {
        let Self { answered, in_time, p99, refused, refusal } = self;
        format!("{answered} {in_time} {} {refused} {}", p99.as_micros(), refusal.as_micros())
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let mut next = || numbers.next()?.ok();
        let answered = Self {
            answered: next()? as usize,
            in_time: next()? as usize,
            p99: Duration::from_micros(next()?.into()),
            refused: next()? as usize,
            refusal: Duration::from_micros(next()?.into()),
        };
        Some(answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_writes_the_other_one_reads() {
        let (p99, refusal) = (Duration::from_micros(12_345), Duration::from_micros(678));
        let answered = Answered { answered: 100, in_time: 90, p99, refused: 7, refusal };
        assert_eq!(Answered::of_line(&answered.to_line()), Some(answered));
        assert_eq!(Answered::of_line("100 90"), None);
        assert_eq!(Answered::of_line("1 2 3 4 five"), None);
    }
}
