//! Prints what a cluster has to be told: the kinds of objects with rules, and roles to read and write them.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

use sentinel_kubernetes::manifests::{self, ManifestError};

const USAGE: &str = "\
Usage: sentinel-crds [crds] [rbac]

Prints what is asked for as YAML, for `kubectl apply -f -`; without arguments, both.

  crds   the definitions of the kinds FlowRules, IsolationRules, ...
  rbac   roles for services that follow rules, and for programs that write them
";

fn main() -> ExitCode {
    let asked: Vec<String> = env::args().skip(1).collect();
    let asked = if asked.is_empty() { vec!["crds".to_owned(), "rbac".to_owned()] } else { asked };
    let Some(parts) = asked.iter().map(|name| part(name)).collect::<Option<Vec<_>>>() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let print = |text: Result<String, ManifestError>| match text {
        Ok(text) => io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match parts.into_iter().try_for_each(|part| print(part())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sentinel-crds: {error}");
            ExitCode::FAILURE
        }
    }
}

fn part(name: &str) -> Option<fn() -> Result<String, ManifestError>> {
    Some(match name {
        "crds" => || manifests::yaml(&manifests::definitions()),
        "rbac" => || manifests::yaml(&manifests::roles()),
        _ => return None,
    })
}
