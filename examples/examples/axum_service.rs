//! An axum service with rules from a file: `cargo run --example axum_service`, then
//! `curl -i localhost:3000/orders/1`, and edit `examples/rules/everything.yaml`. Ctrl-C ends it.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::HeaderName,
    routing::get,
};
use sentinel_axum::{SentinelLayer, by_route};
use sentinel_core::{Sentinel, Snapshot};
use sentinel_file::FileSource;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sentinel = Sentinel::default();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/everything.yaml");
    let _watch = FileSource::new(rules).watch(&sentinel)?;

    let http = by_route().origin_from(HeaderName::from_static("x-client-id"));
    let app = Router::new()
        .route("/orders/{id}", get(async |Path(id): Path<u64>| format!("order {id}\n")))
        .layer(SentinelLayer::new(&sentinel, http))
        .route("/statistics", get(statistics))
        .with_state(sentinel);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://127.0.0.1:3000/orders/1, /statistics; rules in {rules}");
    let interrupted = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(interrupted).await?;
    Ok(())
}

async fn statistics(State(sentinel): State<Sentinel>) -> Json<Snapshot> {
    Json(sentinel.snapshot())
}
