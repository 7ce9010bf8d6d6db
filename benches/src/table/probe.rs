//! Measurements that need a process of their own.

use std::{env, path::PathBuf, process::Command};

use crate::Error;

/// Builds a binary of this package beside this one.
///
/// `cargo run` builds only what it runs; nothing is done where this program was not started through it.
pub(crate) fn build(binary: &str) -> Result<PathBuf, Error> {
    let path = env::current_exe()?.with_file_name(binary);
    if let Some(cargo) = env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--bin", binary]);
        if !cfg!(debug_assertions) {
            build.args(["--profile", "bench"]);
        }
        if !build.status()?.success() {
            return Err(format!("`{binary}` cannot be built").into());
        }
    }
    if path.exists() { Ok(path) } else { Err(format!("{} is missing", path.display()).into()) }
}

/// Runs a program and returns what it printed: standard output, then standard error.
pub(crate) fn run(command: &mut Command) -> Result<(String, String), Error> {
    let output = command.output()?;
    let (printed, complaints) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    if output.status.success() { Ok((printed, complaints)) } else { Err(complaints.into()) }
}
