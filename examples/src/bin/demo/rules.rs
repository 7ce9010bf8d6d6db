//! Where the rules of the demo come from, and how it changes them.

#[cfg(any(feature = "etcd", feature = "kubernetes"))]
mod server;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use sentinel_core::Sentinel;
use sentinel_file::{FileSource, Status, ThreadWatch};
use tempfile::TempDir;

#[cfg(any(feature = "etcd", feature = "kubernetes"))]
use self::server::Server;
use crate::{
    args::{Args, Origin},
    service,
};

/// How many times higher the demo makes a limit while it runs.
pub(crate) const RAISE: f64 = 2.5;
const RULES: &str = include_str!("../../../rules/demo.yaml");

/// The rules of the demo, in force as long as it is there.
pub(crate) enum Rules {
    File(RuleFile),
    #[cfg(any(feature = "etcd", feature = "kubernetes"))]
    Server(Box<Server>),
}

impl Rules {
    /// Puts the rules in force.
    pub(crate) async fn start(args: &Args, sentinel: &Sentinel) -> Result<Self, Box<dyn Error>> {
        match args.source {
            Origin::File => Ok(Self::File(RuleFile::start(args.rules.as_deref(), sentinel)?)),
            #[cfg(feature = "etcd")]
            Origin::Etcd => Ok(Self::Server(Box::new(Server::etcd(args, sentinel).await?))),
            #[cfg(feature = "kubernetes")]
            Origin::Kubernetes => Ok(Self::Server(Box::new(Server::kubernetes(args, sentinel).await?))),
            #[cfg(not(all(feature = "etcd", feature = "kubernetes")))]
            other => Err(format!("this demo was built without {other:?}").into()),
        }
    }

    /// What is worth knowing about where they come from.
    pub(crate) fn notes(&self) -> Vec<String> {
        match self {
            Self::File(file) => vec![file.note()],
            #[cfg(any(feature = "etcd", feature = "kubernetes"))]
            Self::Server(server) => server.notes(),
        }
    }

    /// Whether they are the demo's, which it may change.
    pub(crate) fn are_its_own(&self) -> bool {
        match self {
            Self::File(file) => file.directory.is_some(),
            #[cfg(any(feature = "etcd", feature = "kubernetes"))]
            Self::Server(_) => true,
        }
    }

    /// Makes the limit on orders [`RAISE`] times as high, unless somebody else has changed the rules: whether it did.
    #[cfg_attr(
        not(any(feature = "etcd", feature = "kubernetes")),
        expect(unused_variables, reason = "a file is compared by its text, and not by what is in force")
    )]
    pub(crate) async fn raise(&mut self, sentinel: &Sentinel) -> Result<bool, Box<dyn Error>> {
        match self {
            Self::File(file) => file.raise(),
            #[cfg(any(feature = "etcd", feature = "kubernetes"))]
            Self::Server(server) => server.raise(sentinel).await,
        }
    }

    pub(crate) fn status(&self) -> Status {
        match self {
            Self::File(file) => file.watch.status(),
            #[cfg(any(feature = "etcd", feature = "kubernetes"))]
            Self::Server(server) => server.status(),
        }
    }

    pub(crate) async fn stop(&self) {
        match self {
            Self::File(file) => file.watch.stop(),
            #[cfg(any(feature = "etcd", feature = "kubernetes"))]
            Self::Server(server) => server.stop().await,
        }
    }
}

/// The file with the rules: the user's own, or a copy that may be edited.
pub(crate) struct RuleFile {
    watch: ThreadWatch,
    path: PathBuf,
    directory: Option<TempDir>,
}

impl RuleFile {
    fn start(own: Option<&Path>, sentinel: &Sentinel) -> Result<Self, Box<dyn Error>> {
        let (path, directory) = match own {
            Some(path) => (path.to_owned(), None),
            None => {
                let directory = tempfile::Builder::new().prefix("sentinel-demo-").tempdir()?;
                let path = directory.path().join("demo.yaml");
                fs::write(&path, RULES)?;
                (path, Some(directory))
            }
        };
        let watch = FileSource::new(&path).watch(sentinel)?;
        Ok(Self { watch, path, directory })
    }

    fn note(&self) -> String {
        let path = self.path.display();
        if self.directory.is_some() { format!("edit {path} and see") } else { format!("rules from {path}") }
    }

    fn raise(&self) -> Result<bool, Box<dyn Error>> {
        if !fs::read_to_string(&self.path).is_ok_and(|text| text == RULES) {
            return Ok(false);
        }
        let beside = self.path.with_extension("new");
        fs::write(&beside, raised(RULES))?;
        fs::rename(beside, &self.path)?;
        Ok(true)
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
