//! What trials do again and again.

use sentinel_nacos::NacosSource;
use sentinel_testing::{
    observe::document,
    servers::{Nacos, NacosOptions, Server as _, Unavailable},
};

pub(crate) const KEY: &str = "sentinel-rules";

/// A server that lets in everybody.
pub(crate) async fn open_server() -> Result<Nacos, Unavailable> {
    Nacos::start(NacosOptions::default()).await
}

/// The data id of most trials.
pub(crate) fn source(nacos: &Nacos) -> NacosSource {
    NacosSource::new(nacos.address().to_string(), KEY)
}

pub(crate) async fn put(nacos: &Nacos, threshold: u64) {
    nacos.put(KEY, document(threshold).as_bytes()).await.unwrap();
}
