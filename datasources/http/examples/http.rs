//! Keeps rules from a web server in force, and shows every second how it stands and what they do.
//!
//! ```sh
//! mkdir rules && echo 'flow: [{resource: orders, threshold: 3}]' > rules/orders.yaml
//! python3 -m http.server --bind 127.0.0.1 --directory rules 8000 &
//! cargo run --package sentinel-kit-http --example http -- http://127.0.0.1:8000/orders.yaml
//! # in another terminal:
//! echo 'flow: [{resource: orders, threshold: 7}]' > rules/orders.yaml
//! rm rules/orders.yaml     # the rules stay in force, and the status says why
//! ```
//!
//! A token is read from the file that `TOKEN_FILE` names.

use std::{env, error::Error, time::Duration};

use sentinel_core::Sentinel;
use sentinel_http::{Datasource, HttpSource, Secret, Status};
use tokio::time::interval;

const CALLS: usize = 10;

/// Longer than the second that rules are about, which would else be that of two rounds now and then.
const ROUND: Duration = Duration::from_millis(1_100);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("usage: watch URL")?;
    let mut source = HttpSource::new(url).interval(Duration::from_secs(1));
    if let Some(path) = env::var_os("TOKEN_FILE") {
        source = source.bearer(Secret::file(path));
    }
    let sentinel = Sentinel::default();
    let watch = Datasource::new(source).start(&sentinel).await?;
    let mut rounds = interval(ROUND);
    loop {
        rounds.tick().await;
        let passed = (0..CALLS).filter(|_| sentinel.enter("orders").immediately().is_ok()).count();
        println!("{passed} of {CALLS} calls pass; {}", line(&watch.status()));
    }
}

fn line(status: &Status) -> String {
    let Status { state, rules, .. } = status;
    match &status.last_error {
        Some((_, error)) => format!("{state:?}, {rules} rules: {error}"),
        None => format!("{state:?}, {rules} rules"),
    }
}
