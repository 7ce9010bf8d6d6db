//! The manifests that are checked in are what the command prints.

use std::{fs, path::Path, process::Command};

fn printed(part: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sentinel-crds")).arg(part).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_checked_in_is_what_is_printed() {
    for part in ["crds", "rbac"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("manifests/{part}.yaml"));
        let kept = fs::read_to_string(&path).unwrap_or_default();
        let command =
            format!("cargo run -p sentinel-kit-kubernetes --bin sentinel-crds -- {part} > {}", path.display());
        assert!(kept == printed(part), "{} is old: run\n  {command}", path.display());
    }
}

#[test]
fn an_argument_that_means_nothing_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_sentinel-crds")).arg("crd").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("Usage:") && output.stdout.is_empty());
}
