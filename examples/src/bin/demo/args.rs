use std::path::PathBuf;

use crate::scenario::{Order, Scenario};

/// A service on loopback under a real HTTP flood, protected by rules from a file.
#[derive(Debug, clap::Parser)]
#[command(name = "demo", args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Play a short scenario of one family of rules instead, or all of them one after the other.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["seconds", "port", "rules", "serve"])]
    pub(crate) scenario: Option<Scenario>,
    /// Seconds to run.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) seconds: u64,
    /// Port to serve on; 0 takes one that is free.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Rules of your own (JSON, YAML or TOML); the demo does not change them.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// Lines of text instead of a live table.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Serve without a flood, until Ctrl-C: for curl and wrk.
    #[arg(long)]
    pub(crate) serve: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What the demo starts itself for.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Sends load to a service and says what came back.
    #[command(hide = true)]
    Load(Order),
}
