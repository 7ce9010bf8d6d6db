//! Authority rules: who may call.

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderName, StatusCode},
    routing::get,
};
use sentinel_axum::{SentinelLayer, by_route};
use sentinel_core::Sentinel;
use sentinel_examples::{client::Ask, load::Load};

use super::{Outcome, Report, room::Room, stage};

const RULES: &str = "\
authority:
  - {resource: GET /admin, strategy: allow, origins: [console], strict: true}
  - {resource: GET /feed, strategy: deny, origins: [crawler]}";

const ORIGIN: &str = "x-client-id";
/// Who asks, and whether the two routes are for them.
const CALLERS: [(&str, [bool; 2]); 4] =
    [("console", [true, true]), ("web", [false, true]), ("crawler", [false, false]), ("", [false, true])];
const LOAD: Load = Load { clients: 2, per_second: 200.0, length: Duration::from_millis(250) };

pub(super) async fn perform(report: &mut Report) -> Outcome {
    report.scene("A page for the console alone, and a feed for everybody but the crawler:", RULES);
    let sentinel = stage::sentinel(Sentinel::builder(), RULES)?;
    let rooms = [Room::default(), Room::default()];
    let [admin, feed] = rooms.clone().map(|room| get(async move || drop(room.enter())));
    let http = by_route().origin_from(HeaderName::from_static(ORIGIN));
    let app = Router::new().route("/admin", admin).route("/feed", feed).layer(SentinelLayer::new(&sentinel, http));
    let server = stage::serve(app).await?;

    report.note(format!("Each caller asks both routes; the header {ORIGIN} says who it is."));
    let mut served = [0; 2];
    for (caller, may) in CALLERS {
        for (index, path) in ["/admin", "/feed"].into_iter().enumerate() {
            let ask = move |_| if caller.is_empty() { Ask::get(path) } else { Ask::get(path).header(ORIGIN, caller) };
            let answers = LOAD.on(server.address, ask).await?;
            let expected = if may[index] { StatusCode::OK } else { StatusCode::FORBIDDEN };
            let (count, all) = (answers.count(expected), answers.len());
            served[index] += answers.count(StatusCode::OK) as u64;
            let caller = if caller.is_empty() { "nobody" } else { caller };
            report.expect(
                count == all && all > 0,
                format!("{caller:8} {path:7} {count} of {all} answers are {expected}"),
            );
        }
    }
    stage::end(server).await?;
    let inside = rooms.map(|room| room.all());
    report.expect(inside == served, format!("the handlers saw nobody else: {} and {}", inside[0], inside[1]));
    report.expect_rest(&sentinel);
    Ok(())
}
