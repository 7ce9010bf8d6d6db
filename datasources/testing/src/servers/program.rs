//! Where the programs of the servers are.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use tokio::{io::AsyncWriteExt as _, process::Command};

/// A server that this machine does not have.
///
/// A trial that returns it counts as [skipped](crate::run).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{server}: {reason}")]
pub struct Unavailable {
    /// Which server.
    pub server: &'static str,
    /// What is missing.
    pub reason: String,
}

/// How much tests insist on servers, as the variable `SENTINEL_SERVERS` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Those that are there are used. This is meant when the variable is not set.
    Some,
    /// None is used.
    None,
    /// One that is missing is a failure.
    Required,
}

impl Demand {
    /// # Panics
    ///
    /// When the variable has another value: a misspelt `required` would let everything pass.
    pub(crate) fn from_env() -> Self {
        match env::var("SENTINEL_SERVERS").as_deref() {
            Err(env::VarError::NotPresent) => Self::Some,
            Ok("none") => Self::None,
            Ok("required") => Self::Required,
            other => panic!("SENTINEL_SERVERS may be none or required, but it is {other:?}"),
        }
    }
}

/// Finds a program that a server needs: where a variable like `SENTINEL_KUBE_APISERVER` says, on the `PATH`, or in the
/// folder into which `datasources/testing/install` puts what it builds.
pub(crate) fn locate(server: &'static str, program: &str) -> Result<PathBuf, Unavailable> {
    let missing = |reason: String| Unavailable { server, reason };
    if Demand::from_env() == Demand::None {
        return Err(missing("SENTINEL_SERVERS=none".to_owned()));
    }
    let variable = variable(program);
    if let Some(path) = env::var_os(&variable).map(PathBuf::from) {
        return if path.is_file() { Ok(path) } else { Err(missing(format!("{variable} names no file"))) };
    }
    let on_path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&on_path)
        .chain(cache())
        .map(|folder| folder.join(program))
        .find(|path| is_executable(path))
        .ok_or_else(|| missing(format!("there is no {program}; datasources/testing/install puts it there")))
}

/// Finds a file that is no program: where the variable says, or at its usual place.
pub(crate) fn locate_file(server: &'static str, name: &str, usual: &str) -> Result<PathBuf, Unavailable> {
    let path = env::var_os(variable(name)).map_or_else(|| PathBuf::from(usual), PathBuf::from);
    let reason = || format!("there is no {}; datasources/testing/install puts it there", path.display());
    if path.is_file() { Ok(path) } else { Err(Unavailable { server, reason: reason() }) }
}

/// Runs a program to its end with this input.
pub(crate) async fn run(command: &mut Command, input: &[u8]) -> Output {
    command.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("the input is a pipe");
    let write = async {
        // One that does not want all of it may have gone; its status tells.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    output.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn variable(program: &str) -> String {
    format!("SENTINEL_{}", program.to_uppercase().replace(['-', '.'], "_"))
}

/// The folder of what was built.
fn cache() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    Some(cache.join("sentinel-kit/bin"))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_so_is_the_remedy() {
        let missing = locate("Etcd", "no-such-program").unwrap_err();
        assert_eq!(missing.server, "Etcd");
        // Where tests are told to use no servers, that is the reason.
        let reasons =
            ["there is no no-such-program; datasources/testing/install puts it there", "SENTINEL_SERVERS=none"];
        assert!(reasons.contains(&&*missing.reason), "{missing}");
    }

    #[test]
    fn variables_are_named_like_programs() {
        assert_eq!(variable("kube-apiserver"), "SENTINEL_KUBE_APISERVER");
        assert_eq!(variable("etcd-3.5"), "SENTINEL_ETCD_3_5");
    }
}
