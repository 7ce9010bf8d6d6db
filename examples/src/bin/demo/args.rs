use std::path::PathBuf;

use crate::scenario::{Order, Scenario};

/// A service on loopback under a real HTTP flood, protected by rules from a file or a server.
#[derive(Debug, clap::Parser)]
#[command(name = "demo", args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Play a short scenario of one family of rules instead, or all of them one after the other.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["seconds", "port", "rules", "serve", "source"])]
    pub(crate) scenario: Option<Scenario>,
    /// Seconds to run.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) seconds: u64,
    /// Port to serve on; 0 takes one that is free.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Rules of your own (JSON, YAML or TOML); the demo does not change them.
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    pub(crate) rules: Option<PathBuf>,
    /// Where the rules come from. The server has to be running; the demo writes its rules there if there are none.
    #[arg(long, value_enum, default_value_t = Origin::File)]
    pub(crate) source: Origin,
    /// Where that server is: the URL of etcd, or a kubeconfig file.
    #[arg(long, value_name = "URL", requires = "source")]
    pub(crate) address: Option<String>,
    /// Lines of text instead of a live table.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Serve without a flood, until Ctrl-C: for curl and wrk.
    #[arg(long)]
    pub(crate) serve: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Where rules come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Origin {
    /// A file.
    File,
    /// A key of etcd.
    Etcd,
    /// An object in Kubernetes.
    Kubernetes,
}

impl Origin {
    /// The feature without which the demo does not know it, where it was built so.
    pub(crate) fn missing_feature(self) -> Option<&'static str> {
        match self {
            Self::Etcd if !cfg!(feature = "etcd") => Some("etcd"),
            Self::Kubernetes if !cfg!(feature = "kubernetes") => Some("kubernetes"),
            _ => None,
        }
    }
}

/// What the demo starts itself for.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Sends load to a service and says what came back.
    #[command(hide = true)]
    Load(Order),
}
