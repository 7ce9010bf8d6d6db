//! Hotspot rules as Sentinel for Go writes them, and the resources of Kubernetes.

use super::{
    Hotspot,
    rule::{
        DEFAULT_CAPACITY, DEFAULT_INTERVAL, HotspotItem, HotspotMetric, HotspotParams, ItemValue, Parameter, Refill,
    },
};
use crate::{
    Dialect,
    families::{Family as _, Rules},
    rules::{Fields, Form, Found, Names, Outgoing, Writer},
};

pub(super) const GO: Form = Form {
    dialect: Dialect::Go,
    names: &["hotspot", "hotSpotParamFlow"],
    families: &[Hotspot::NAME],
    patterns: false,
    defaults: false,
    read,
    write,
};

pub(super) const KUBERNETES: Form = Form { dialect: Dialect::Kubernetes, patterns: true, defaults: true, ..GO };

const NAMES: Names = &[
    ("intervalMs", "durationInSec"),
    ("capacity", "paramsMaxCapacity"),
    ("items", "specificItems"),
    ("items[].value", "specificItems[].valStr"),
];

const METRICS: &[(i32, &str, bool)] = &[(0, "Concurrency", false), (1, "QPS", true)];
const BEHAVIORS: &[(i32, &str, bool)] = &[(0, "Reject", false), (1, "Throttling", true)];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Integer,
    Text,
    Bool,
    Float,
}

const KINDS: &[(i32, &str, Kind)] = &[
    (0, "KindInt", Kind::Integer),
    (1, "KindString", Kind::Text),
    (2, "KindBool", Kind::Bool),
    (3, "KindFloat64", Kind::Float),
];

fn read(fields: &mut Fields<'_>, found: &mut Found<'_>) {
    let metric = fields.code("metricType", METRICS);
    let metric = match fields.dialect() {
        Dialect::Kubernetes => fields.required("metricType", metric),
        _ => metric,
    };
    let counts_calls = metric.unwrap_or_default();
    let waits = fields.code("controlBehavior", BEHAVIORS).unwrap_or_default();
    let duration = fields.whole_seconds("durationInSec");
    let max_queueing_time = fields.whole_millis("maxQueueingTimeMs").unwrap_or_default();
    let burst = fields.small("burstCount").unwrap_or_default();
    let threshold = fields.small("threshold");
    let capacity = fields.small("paramsMaxCapacity").filter(|capacity| *capacity > 0);
    let params = HotspotParams {
        parameter: read_parameter(fields),
        threshold: fields.required("threshold", threshold).unwrap_or(1),
        interval: match counts_calls {
            true => fields.required("durationInSec", duration).unwrap_or(DEFAULT_INTERVAL),
            false => DEFAULT_INTERVAL,
        },
        metric: match (counts_calls, waits) {
            (false, _) => HotspotMetric::Concurrency,
            (true, false) => HotspotMetric::Bucket { burst, refill: Refill::Interval },
            (true, true) => HotspotMetric::Throttle { max_queueing_time },
        },
        items: fields.objects("specificItems", read_item).unwrap_or_default(),
        capacity: capacity.unwrap_or(DEFAULT_CAPACITY),
        ..HotspotParams::new(0, 1)
    };
    found.add::<Hotspot>(fields, params, NAMES);
}

fn read_parameter(fields: &mut Fields<'_>) -> Parameter {
    let index = fields.integer("paramIndex").unwrap_or_default();
    let key = match fields.dialect() {
        Dialect::Kubernetes => fields.text("paramKey"),
        _ => None,
    };
    key.map_or(Parameter::Index(index), Parameter::Key)
}

fn read_item(fields: &mut Fields<'_>) -> Option<HotspotItem> {
    let kind = fields.code("valKind", KINDS);
    let kind = match fields.dialect() {
        Dialect::Kubernetes => fields.required("valKind", kind)?,
        _ => kind.unwrap_or(Kind::Integer),
    };
    let expected = match kind {
        Kind::Integer => "it is a whole number, as a text",
        Kind::Text => "it is a text",
        Kind::Bool => "it is true or false, as a text",
        Kind::Float => "it is a number, as a text",
    };
    let value = fields.one_of("valStr", expected, |value| {
        let text = value.as_str()?;
        match kind {
            Kind::Integer => text.parse().ok().map(ItemValue::Integer),
            Kind::Text => Some(text.into()),
            Kind::Bool => text.to_ascii_lowercase().parse().ok().map(ItemValue::Bool),
            Kind::Float => text.parse().ok().map(ItemValue::Float),
        }
    });
    let threshold = fields.small("threshold");
    let (value, threshold) = (fields.required("valStr", value), fields.required("threshold", threshold));
    Some(HotspotItem { value: value?, threshold: threshold? })
}

fn write(rules: &Rules, out: &mut Outgoing<'_>) {
    out.rules::<Hotspot>(rules, write_rule);
}

fn write_rule(params: &HotspotParams, out: &mut Writer) {
    match &params.parameter {
        Parameter::Index(index) => out.field("paramIndex", *index),
        Parameter::Key(key) if out.dialect() == Dialect::Kubernetes => out.field("paramKey", key.as_str()),
        // Its own reader of documents passes over the key, and would take the first argument.
        Parameter::Key(_) => {}
    }
    out.field("threshold", params.threshold);
    out.code("metricType", METRICS, params.metric != HotspotMetric::Concurrency);
    match params.metric {
        HotspotMetric::Concurrency => {}
        HotspotMetric::Bucket { burst, .. } => {
            out.code("controlBehavior", BEHAVIORS, false);
            out.seconds("durationInSec", params.interval);
            out.field("burstCount", burst);
        }
        HotspotMetric::Throttle { max_queueing_time } => {
            out.code("controlBehavior", BEHAVIORS, true);
            out.seconds("durationInSec", params.interval);
            out.millis("maxQueueingTimeMs", max_queueing_time);
        }
    }
    if !params.items.is_empty() {
        out.objects("specificItems", &params.items, write_item);
    }
    out.field("paramsMaxCapacity", params.capacity);
}

fn write_item(item: &HotspotItem, out: &mut Writer) {
    let (kind, text) = match &item.value {
        ItemValue::Integer(value) => (Kind::Integer, value.to_string()),
        ItemValue::Text(text) => (Kind::Text, text.clone()),
        ItemValue::Bool(value) => (Kind::Bool, value.to_string()),
        ItemValue::Float(value) => (Kind::Float, value.to_string()),
    };
    out.code("valKind", KINDS, kind);
    out.field("valStr", text);
    out.field("threshold", item.threshold);
}
