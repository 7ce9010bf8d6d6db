//! sentinel-core 0.1.3.
//!
//! That crate has one global state: the name of the resource keeps one caller from another. Its collectors of system
//! figures are off, since they would run through all that is measured later.

use std::sync::{Arc, Once};

use sentinel_core_published::{
    EntryBuilder,
    base::TrafficType,
    circuitbreaker::{self, BreakerStrategy},
    config::{ConfigEntity, SystemStatConfig},
    flow, hotspot, isolation, system,
};

use crate::{
    Error,
    families::{Kind, VALUE},
};

/// Calls under one flow rule of so many per second, that rejects.
pub fn sentinel_published(resource: &'static str, threshold: f64) -> Result<impl Fn() -> bool + Send + Sync, Error> {
    init()?;
    flow::append_rule(Arc::new(flow::Rule { resource: resource.to_owned(), threshold, ..flow::Rule::default() }));
    Ok(move || ended(EntryBuilder::new(resource.to_owned()).with_traffic_type(TrafficType::Outbound)))
}

/// Calls under one rule of a kind, of so many permits; none if there is no such kind.
///
/// The rule of a circuit breaker is that half of the calls within a second fail. A rule on all inbound traffic stays in
/// force for all callers that come later.
pub fn sentinel_published_under(
    kind: Kind,
    resource: &'static str,
    permits: u32,
) -> Result<Option<impl Fn() -> bool + Send + Sync>, Error> {
    init()?;
    let name = resource.to_owned();
    match kind {
        Kind::InFlight => system::append_rule(Arc::new(system::Rule {
            metric_type: system::MetricType::Concurrency,
            threshold: permits.into(),
            ..system::Rule::default()
        })),
        Kind::Flow => {
            let threshold = permits.into();
            flow::append_rule(Arc::new(flow::Rule { resource: name, threshold, ..flow::Rule::default() }))
        }
        Kind::Hotspot => hotspot::append_rule(Arc::new(hotspot::Rule {
            resource: name,
            metric_type: hotspot::MetricType::QPS,
            threshold: permits.into(),
            duration_in_sec: 1,
            params_max_capacity: 10_000,
            ..hotspot::Rule::default()
        })),
        Kind::Isolation => {
            let rule = isolation::Rule { resource: name, threshold: permits, ..isolation::Rule::default() };
            isolation::append_rule(Arc::new(rule))
        }
        Kind::Breaker => circuitbreaker::append_rule(Arc::new(circuitbreaker::Rule {
            resource: name,
            strategy: BreakerStrategy::ErrorRatio,
            threshold: 0.5,
            min_request_amount: 5,
            stat_interval_ms: 1_000,
            stat_sliding_window_bucket_count: 10,
            retry_timeout_ms: 10_000,
            ..circuitbreaker::Rule::default()
        })),
        Kind::Authority | Kind::Cpu | Kind::Shedding | Kind::Adaptive => return Ok(None),
    };
    let direction = if kind == Kind::InFlight { TrafficType::Inbound } else { TrafficType::Outbound };
    Ok(Some(move || {
        let args = (kind == Kind::Hotspot).then(|| vec![VALUE.to_owned()]);
        ended(EntryBuilder::new(resource.to_owned()).with_traffic_type(direction).with_args(args))
    }))
}

fn init() -> Result<(), Error> {
    static INIT: Once = Once::new();
    let mut initialized = Ok(());
    INIT.call_once(|| {
        let mut config = ConfigEntity::new();
        config.config.stat.system =
            SystemStatConfig { system_interval_ms: 0, load_interval_ms: 0, cpu_interval_ms: 0, memory_interval_ms: 0 };
        initialized = sentinel_core_published::init_with_config(config).map_err(|error| error.to_string());
    });
    Ok(initialized?)
}

fn ended(entry: EntryBuilder) -> bool {
    match entry.build() {
        Ok(entry) => {
            entry.exit();
            true
        }
        Err(_) => false,
    }
}
