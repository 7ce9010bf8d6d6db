//! Flow rules as Sentinel for Go writes them, and the resources of Kubernetes.

use super::{
    Flow,
    rule::{Behavior, DEFAULT_COLD_FACTOR, DEFAULT_INTERVAL, FlowParams, MemoryAdaptive, Strategy},
};
use crate::{
    Dialect,
    families::{Family as _, Rules, origin::OriginSelector},
    rules::{Fields, Form, Found, Names, Outgoing, Writer},
};

pub(super) const GO: Form = Form {
    dialect: Dialect::Go,
    names: &["flow"],
    families: &[Flow::NAME],
    patterns: true,
    defaults: false,
    read,
    write,
};

pub(super) const KUBERNETES: Form = Form { dialect: Dialect::Kubernetes, defaults: true, ..GO };

const NAMES: Names = &[
    ("intervalMs", "statIntervalInMs"),
    ("origin", "limitApp"),
    ("relatedResource", "refResource"),
    ("strategy", "tokenCalculateStrategy"),
    ("coldFactor", "warmUpColdFactor"),
    ("lowMemoryThreshold", "lowMemUsageThreshold"),
    ("highMemoryThreshold", "highMemUsageThreshold"),
    ("lowMemoryWaterMarkBytes", "memLowWaterMarkBytes"),
    ("highMemoryWaterMarkBytes", "memHighWaterMarkBytes"),
    ("behavior", "controlBehavior"),
];

#[derive(Clone, Copy, Default, PartialEq)]
enum Source {
    #[default]
    Direct,
    WarmUp,
    MemoryAdaptive,
}

const SOURCES: &[(i32, &str, Source)] =
    &[(0, "Direct", Source::Direct), (1, "WarmUp", Source::WarmUp), (2, "MemoryAdaptive", Source::MemoryAdaptive)];
const BEHAVIORS: &[(i32, &str, bool)] = &[(0, "Reject", false), (1, "Throttling", true)];
const RELATIONS: &[(i32, &str, bool)] = &[(0, "CurrentResource", false), (1, "AssociatedResource", true)];

fn read(fields: &mut Fields<'_>, found: &mut Found<'_>) {
    let source = fields.code("tokenCalculateStrategy", SOURCES).unwrap_or_default();
    let is_related = fields.code("relationStrategy", RELATIONS).unwrap_or_default();
    let waits = fields.code("controlBehavior", BEHAVIORS).unwrap_or_default();
    let max_queueing_time = fields.whole_millis("maxQueueingTimeMs").unwrap_or_default();
    let related = fields.text("refResource");
    let threshold = fields.amount("threshold");
    let interval = fields.whole_millis("statIntervalInMs").filter(|interval| !interval.is_zero());
    let origin = match fields.dialect() {
        Dialect::Kubernetes => OriginSelector::called(fields.text("limitApp")),
        _ => OriginSelector::Any,
    };
    let params = FlowParams {
        threshold: match source {
            Source::MemoryAdaptive => 0.0,
            _ => fields.required("threshold", threshold).unwrap_or(1.0),
        },
        interval: interval.unwrap_or(DEFAULT_INTERVAL),
        origin,
        related_resource: if is_related { fields.required("refResource", related) } else { None },
        strategy: read_strategy(fields, source),
        behavior: if waits { Behavior::Throttle { max_queueing_time } } else { Behavior::Reject },
        ..FlowParams::new(0.0)
    };
    found.add::<Flow>(fields, params, NAMES);
}

fn read_strategy(fields: &mut Fields<'_>, source: Source) -> Strategy {
    let period = fields.whole_seconds("warmUpPeriodSec");
    let cold_factor = fields.small("warmUpColdFactor").filter(|factor| *factor > 1);
    let memory = ["lowMemUsageThreshold", "highMemUsageThreshold", "memLowWaterMarkBytes", "memHighWaterMarkBytes"];
    let values = memory.map(|name| (name, fields.unsigned(name)));
    match source {
        Source::Direct => Strategy::Direct,
        Source::WarmUp => Strategy::WarmUp {
            period: fields.required("warmUpPeriodSec", period).unwrap_or_default(),
            cold_factor: cold_factor.map_or(DEFAULT_COLD_FACTOR, f64::from),
        },
        Source::MemoryAdaptive => {
            let values = values.map(|(name, value)| fields.required(name, value).unwrap_or_default());
            let [low, high, low_water_mark, high_water_mark] = values;
            Strategy::MemoryAdaptive(MemoryAdaptive {
                low_memory_threshold: low as f64,
                high_memory_threshold: high as f64,
                low_water_mark,
                high_water_mark,
            })
        }
    }
}

fn write(rules: &Rules, out: &mut Outgoing<'_>) {
    out.rules::<Flow>(rules, write_rule);
}

fn write_rule(params: &FlowParams, out: &mut Writer) {
    out.code("relationStrategy", RELATIONS, params.related_resource.is_some());
    if let Some(related) = &params.related_resource {
        out.field("refResource", related.as_str());
    }
    if params.origin != OriginSelector::Any && out.dialect() == Dialect::Kubernetes {
        out.field("limitApp", params.origin.name());
    }
    match &params.strategy {
        Strategy::Direct => out.code("tokenCalculateStrategy", SOURCES, Source::Direct),
        Strategy::WarmUp { period, cold_factor } => {
            out.code("tokenCalculateStrategy", SOURCES, Source::WarmUp);
            out.seconds("warmUpPeriodSec", *period);
            out.number("warmUpColdFactor", *cold_factor);
        }
        Strategy::MemoryAdaptive(bounds) => {
            out.code("tokenCalculateStrategy", SOURCES, Source::MemoryAdaptive);
            out.number("lowMemUsageThreshold", bounds.low_memory_threshold);
            out.number("highMemUsageThreshold", bounds.high_memory_threshold);
            out.field("memLowWaterMarkBytes", bounds.low_water_mark);
            out.field("memHighWaterMarkBytes", bounds.high_water_mark);
        }
    }
    out.number("threshold", params.threshold);
    out.millis("statIntervalInMs", params.interval);
    match params.behavior {
        Behavior::Reject => out.code("controlBehavior", BEHAVIORS, false),
        Behavior::Throttle { max_queueing_time } => {
            out.code("controlBehavior", BEHAVIORS, true);
            out.millis("maxQueueingTimeMs", max_queueing_time);
        }
    }
}
