//! Measures what the engine promises and prints a line for each figure: name, value, unit, target, `ok` or `short`.

use std::process::ExitCode;

use sentinel_benches::table;

fn main() -> ExitCode {
    let mut parts = Vec::new();
    let mut json = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--help" | "-h" => {
                println!("{}", usage());
                return ExitCode::SUCCESS;
            }
            part if table::parts().any(|known| known == part) => parts.push(argument),
            unknown => {
                eprintln!("`{unknown}` is no part of the table\n{}", usage());
                return ExitCode::from(2);
            }
        }
    }
    match table::print(&parts, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the measurement failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let parts: Vec<&str> = table::parts().collect();
    format!("usage: cargo bench-table [--json] [PART]...\nparts: {}; all when none is named", parts.join(", "))
}
