//! What scenarios are played on.

use std::{error::Error, io, net::Ipv4Addr, time::Duration};

use axum::Router;
use sentinel_core::{Builder, Format, Rules, Sentinel};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

use crate::serve::Server;

/// How long a service may take to end, and whatever else should happen soon.
const SOON: Duration = Duration::from_secs(5);
/// How often something is looked at that should happen soon.
const LOOK: Duration = Duration::from_millis(2);

/// An instance under the rules of a document in YAML.
pub(super) fn sentinel(builder: Builder, rules: &str) -> Result<Sentinel, Box<dyn Error>> {
    // By the same chance every time.
    let sentinel = builder.seed(1).build()?;
    let parsed = Rules::parse(rules.as_bytes(), Format::Yaml)?;
    sentinel.rules().replace("scenario", parsed.rules)?;
    Ok(sentinel)
}

/// Serves on a port that is free.
pub(super) async fn serve(app: Router) -> io::Result<Server> {
    Server::start(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, app)
}

/// Ends a service, whose clients are gone.
pub(super) async fn end(mut server: Server) -> Result<(), Box<dyn Error>> {
    Ok(timeout(SOON, server.stop()).await.map_err(|_| "a service does not end")??)
}

/// Waits until something is so.
pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) -> Result<(), Box<dyn Error>> {
    let waiting = async {
        while !is_so() {
            sleep(LOOK).await;
        }
    };
    Ok(timeout(SOON, waiting).await.map_err(|_| format!("it takes too long until {what}"))?)
}
