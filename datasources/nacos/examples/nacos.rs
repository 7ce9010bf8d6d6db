//! Puts rules of Nacos in force, and tells once a second how many of 20 calls pass.
//!
//! Start a server, such as the official one in standalone mode, and the example:
//!
//! ```sh
//! sh bin/startup.sh -m standalone
//! cargo run --example nacos -- 127.0.0.1:8848 orders-rules.yaml
//! ```
//!
//! Where the server asks who it is, name the user, and the file with the password, behind that. Write a rule and see it
//! act, write another, and delete it:
//!
//! ```sh
//! url=http://127.0.0.1:8848/nacos/v1/cs/configs
//! id='dataId=orders-rules.yaml&group=DEFAULT_GROUP'
//! curl -X POST "$url" -d "$id" --data-urlencode 'content=flow: [{resource: orders, threshold: 3}]'
//! curl -X POST "$url" -d "$id" --data-urlencode 'content=flow: [{resource: orders, threshold: 12}]'
//! curl -X DELETE "$url?$id"
//! ```

use std::{env, error::Error, time::Duration};

use sentinel_core::Sentinel;
use sentinel_nacos::{Datasource, NacosSource, Secret};
use tokio::time::interval;

const USAGE: &str = "usage: watch SERVER DATA_ID [USER PASSWORD_FILE]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let source = match &*arguments {
        [server, id] => NacosSource::new(server, &**id),
        [server, id, user, file] => NacosSource::new(server, &**id).user(user, Secret::file(file)),
        _ => return Err(USAGE.into()),
    };
    let sentinel = Sentinel::default();
    let watch = Datasource::new(source).optional().start(&sentinel).await?;
    // A little longer than the window of the rule, which slides.
    let mut ticks = interval(Duration::from_millis(1_100));
    loop {
        ticks.tick().await;
        let passed = (0..20).filter(|_| sentinel.enter("orders").immediately().is_ok()).count();
        let status = watch.status();
        let error = status.last_error.map(|(_, error)| format!(", {error}")).unwrap_or_default();
        println!("{:?}, {} rules, {passed} of 20 calls pass{error}", status.state, status.rules);
    }
}
