//! Hotspot rules in documents.

use std::time::Duration;

use serde_json::Value;

use super::rule::{
    DEFAULT_CAPACITY, DEFAULT_INTERVAL, HotspotItem, HotspotMetric, HotspotParams, ItemValue, Parameter, Refill,
    ValueCache,
};
use crate::rules::{Fields, Writer};

const DEFAULT_QUEUEING_TIME: Duration = Duration::from_millis(500);

const CACHES: &[(&str, ValueCache)] = &[("lru", ValueCache::Lru), ("frequency", ValueCache::Frequency)];
const REFILLS: &[(&str, Refill)] = &[("continuous", Refill::Continuous), ("interval", Refill::Interval)];

#[derive(Clone, Copy, PartialEq)]
enum Metric {
    Bucket,
    Throttle,
    Concurrency,
}

pub(super) fn read(fields: &mut Fields<'_>) -> HotspotParams {
    let parameter = read_parameter(fields);
    let threshold = fields.small("threshold");
    let threshold = fields.required("threshold", threshold).unwrap_or(1);
    let metric = read_metric_name(fields);
    if metric == Metric::Concurrency {
        fields.unused("intervalMs", "the metric qps");
    }
    HotspotParams {
        parameter,
        threshold,
        interval: match metric {
            Metric::Concurrency => DEFAULT_INTERVAL,
            _ => fields.millis("intervalMs").unwrap_or(DEFAULT_INTERVAL),
        },
        metric: read_metric(fields, metric),
        items: fields.objects("items", read_item).unwrap_or_default(),
        capacity: fields.small("capacity").unwrap_or(DEFAULT_CAPACITY),
        cache: fields.choice("cache", CACHES).unwrap_or_default(),
    }
}

fn read_parameter(fields: &mut Fields<'_>) -> Parameter {
    match (fields.string("paramKey"), fields.integer("paramIndex")) {
        (Some(key), None) => return Parameter::Key(key),
        (None, Some(index)) => return Parameter::Index(index),
        (None, None) => fields.report.invalid("paramIndex", "missing", "it has to be there, or else paramKey"),
        (Some(_), Some(index)) => fields.report.invalid("paramIndex", index, "paramKey names the argument already"),
    }
    Parameter::Index(0)
}

fn read_metric_name(fields: &mut Fields<'_>) -> Metric {
    if fields.choice("metric", &[("qps", false), ("concurrency", true)]).unwrap_or(false) {
        fields.unused("behavior", "the metric qps");
        return Metric::Concurrency;
    }
    let behaviors = &[("reject", Metric::Bucket), ("throttle", Metric::Throttle)];
    fields.choice("behavior", behaviors).unwrap_or(Metric::Bucket)
}

fn read_metric(fields: &mut Fields<'_>, metric: Metric) -> HotspotMetric {
    if metric != Metric::Bucket {
        ["burst", "refill"].into_iter().for_each(|name| fields.unused(name, "the behavior reject"));
    }
    if metric != Metric::Throttle {
        fields.unused("maxQueueingTimeMs", "the behavior throttle");
    }
    match metric {
        Metric::Bucket => HotspotMetric::Bucket {
            burst: fields.small("burst").unwrap_or_default(),
            refill: fields.choice("refill", REFILLS).unwrap_or_default(),
        },
        Metric::Throttle => HotspotMetric::Throttle {
            max_queueing_time: fields.millis("maxQueueingTimeMs").unwrap_or(DEFAULT_QUEUEING_TIME),
        },
        Metric::Concurrency => HotspotMetric::Concurrency,
    }
}

fn read_item(fields: &mut Fields<'_>) -> Option<HotspotItem> {
    let value =
        fields.one_of("value", "it is a whole number, a text, a truth value, or a number with a point", |value| {
            match value {
                Value::Bool(value) => Some((*value).into()),
                Value::String(text) => Some(text.as_str().into()),
                Value::Number(number) if number.is_f64() => number.as_f64().map(ItemValue::Float),
                Value::Number(number) => number.as_i64().map(ItemValue::Integer),
                _ => None,
            }
        });
    let threshold = fields.small("threshold");
    let (value, threshold) = (fields.required("value", value), fields.required("threshold", threshold));
    Some(HotspotItem { value: value?, threshold: threshold? })
}

pub(super) fn write(params: &HotspotParams, out: &mut Writer) {
    match &params.parameter {
        Parameter::Index(index) => out.field("paramIndex", *index),
        Parameter::Key(key) => out.field("paramKey", key.as_str()),
    }
    out.field("threshold", params.threshold);
    if params.interval != DEFAULT_INTERVAL && params.metric != HotspotMetric::Concurrency {
        out.millis("intervalMs", params.interval);
    }
    match params.metric {
        HotspotMetric::Bucket { burst, refill } => {
            if burst > 0 {
                out.field("burst", burst);
            }
            if refill == Refill::Interval {
                out.field("refill", "interval");
            }
        }
        HotspotMetric::Throttle { max_queueing_time } => {
            out.field("behavior", "throttle");
            out.millis("maxQueueingTimeMs", max_queueing_time);
        }
        HotspotMetric::Concurrency => out.field("metric", "concurrency"),
    }
    if !params.items.is_empty() {
        out.objects("items", &params.items, write_item);
    }
    if params.capacity != DEFAULT_CAPACITY {
        out.field("capacity", params.capacity);
    }
    if params.cache == ValueCache::Frequency {
        out.field("cache", "frequency");
    }
}

fn write_item(item: &HotspotItem, out: &mut Writer) {
    match &item.value {
        ItemValue::Integer(value) => out.field("value", *value),
        ItemValue::Text(text) => out.field("value", text.as_str()),
        ItemValue::Bool(value) => out.field("value", *value),
        ItemValue::Float(value) => out.field("value", *value),
    }
    out.field("threshold", item.threshold);
}
