//! System rules as Sentinel for Go writes them, and the resources of Kubernetes.

use super::{
    System,
    rule::{MAX_RESPONSE_TIME, Metric, SystemParams, SystemStrategy},
};
use crate::{
    Dialect,
    families::{Family as _, Rules, Shares},
    rules::{Fields, Form, Found, Names, Outgoing, Writer},
};

pub(super) const GO: Form = Form {
    dialect: Dialect::Go,
    names: &["system"],
    families: &[System::NAME],
    patterns: false,
    defaults: false,
    read,
    write,
};

pub(super) const KUBERNETES: Form = Form { dialect: Dialect::Kubernetes, ..GO };

const NAMES: Names = &[("threshold", "triggerCount")];

#[derive(Clone, Copy, Default, PartialEq)]
enum Kind {
    #[default]
    Load,
    AvgResponseTime,
    InFlight,
    InboundQps,
    CpuUsage,
}

const KINDS: &[(i32, &str, Kind)] = &[
    (0, "Load", Kind::Load),
    (1, "AvgRT", Kind::AvgResponseTime),
    (2, "Concurrency", Kind::InFlight),
    (3, "InboundQPS", Kind::InboundQps),
    (4, "CpuUsage", Kind::CpuUsage),
];

/// Whether it follows what was measured.
const STRATEGIES: &[(i32, &str, bool)] = &[(-1, "NoAdaptive", false), (0, "NoAdaptive", false), (1, "BBR", true)];

fn read(fields: &mut Fields<'_>, found: &mut Found<'_>) {
    let kind = fields.code("metricType", KINDS);
    let adapts = fields.code("strategy", STRATEGIES);
    let (kind, adapts) = match fields.dialect() {
        Dialect::Kubernetes => (fields.required("metricType", kind), fields.required("strategy", adapts)),
        _ => (kind, adapts),
    };
    let metric = read_metric(fields, kind.unwrap_or_default());
    let strategy = match metric {
        Metric::Load1(_) | Metric::CpuUsage(_) if !adapts.unwrap_or_default() => SystemStrategy::Gate,
        _ => SystemStrategy::default(),
    };
    found.add::<System>(fields, SystemParams { metric, strategy, shares: Shares::default() }, NAMES);
}

fn read_metric(fields: &mut Fields<'_>, kind: Kind) -> Metric {
    const NAME: &str = "triggerCount";
    match kind {
        Kind::Load => {
            let load = fields.scaled(NAME);
            Metric::Load1(fields.required(NAME, load).unwrap_or(1.0))
        }
        Kind::CpuUsage => {
            let share = fields.scaled(NAME);
            Metric::CpuUsage(fields.required(NAME, share).unwrap_or(1.0))
        }
        // One more is let in as long as there are fewer than this, whole or not.
        Kind::InboundQps => {
            let permits = fields.amount(NAME);
            Metric::InboundQps(fields.required(NAME, permits).unwrap_or(1.0).ceil())
        }
        Kind::InFlight => {
            let permits = fields.rounded_up(NAME);
            Metric::InFlight(fields.required(NAME, permits).unwrap_or(1))
        }
        Kind::AvgResponseTime => {
            let time = fields.millis(NAME);
            Metric::AvgResponseTime(fields.required(NAME, time).unwrap_or(MAX_RESPONSE_TIME))
        }
    }
}

fn write(rules: &Rules, out: &mut Outgoing<'_>) {
    out.rules::<System>(rules, write_rule);
}

fn write_rule(params: &SystemParams, out: &mut Writer) {
    let kind = match params.metric {
        Metric::Load1(_) => Kind::Load,
        // There is no form for memory: then the metric that is named here is another one.
        Metric::CpuUsage(_) | Metric::MemoryUsage(_) => Kind::CpuUsage,
        Metric::InboundQps(_) => Kind::InboundQps,
        Metric::InFlight(_) => Kind::InFlight,
        Metric::AvgResponseTime(_) => Kind::AvgResponseTime,
    };
    out.code("metricType", KINDS, kind);
    let threshold = params.metric.threshold();
    match kind {
        Kind::Load | Kind::CpuUsage => out.scaled("triggerCount", threshold),
        _ => out.number("triggerCount", threshold),
    }
    let adapts = params.metric.signal().is_some() && params.strategy != SystemStrategy::Gate;
    out.code("strategy", STRATEGIES, adapts);
}
