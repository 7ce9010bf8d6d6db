//! System rules as Sentinel for Java writes them: one that limits several things is several rules here.

use super::{
    System,
    rule::{Metric, SystemParams, SystemStrategy},
};
use crate::{
    Dialect,
    families::{Family as _, Rules, Shares},
    rules::{Fields, Form, Found, Names, Outgoing, Writer},
};

pub(super) const FORM: Form = Form {
    dialect: Dialect::Java,
    names: &["system"],
    families: &[System::NAME],
    patterns: false,
    defaults: false,
    read,
    write,
};

const LOAD: &str = "highestSystemLoad";
const CPU: &str = "highestCpuUsage";
const QPS: &str = "qps";
const RESPONSE_TIME: &str = "avgRt";
const THREADS: &str = "maxThread";

/// What may be limited: each field, and what it is for in messages.
const LIMITS: &[(&str, Names)] = &[
    (LOAD, &[("threshold", LOAD)]),
    (CPU, &[("threshold", CPU)]),
    (QPS, &[("threshold", QPS)]),
    (RESPONSE_TIME, &[("threshold", RESPONSE_TIME)]),
    (THREADS, &[("threshold", THREADS)]),
];

fn read(fields: &mut Fields<'_>, found: &mut Found<'_>) {
    fields.skip(&["limitApp", "regex", "resource"]);
    let id = found.id(fields);
    // With nothing said it is off, but not any object is a rule: as a list of such ones, they would clear all rules.
    if !fields.is_empty() && !LIMITS.iter().any(|(name, _)| fields.has(name)) {
        fields.refuse(LOAD, "a system rule has highestSystemLoad, highestCpuUsage, qps, avgRt or maxThread");
    }
    for (name, names) in LIMITS {
        // Whatever is below 0 is off.
        let is_on = fields.number(name).is_some_and(|value| value >= 0.0);
        let Some(metric) = is_on.then(|| read_metric(fields, name)).flatten() else { continue };
        let strategy = match metric {
            Metric::CpuUsage(_) => SystemStrategy::Gate,
            _ => SystemStrategy::default(),
        };
        let id = id.as_ref().map(|id| format!("{id}:{name}"));
        found.add_called::<System>(id, fields, SystemParams { metric, strategy, shares: Shares::default() }, names);
    }
}

fn read_metric(fields: &mut Fields<'_>, name: &'static str) -> Option<Metric> {
    Some(match name {
        LOAD => Metric::Load1(fields.number(name)?),
        CPU => Metric::CpuUsage(fields.number(name)?),
        QPS => Metric::InboundQps(fields.whole_part(name)?.into()),
        RESPONSE_TIME => Metric::AvgResponseTime(fields.whole_millis(name)?),
        _ => Metric::InFlight(fields.whole_part(name)?),
    })
}

fn write(rules: &Rules, out: &mut Outgoing<'_>) {
    out.rules::<System>(rules, write_rule);
}

fn write_rule(params: &SystemParams, out: &mut Writer) {
    let name = match params.metric {
        Metric::Load1(_) => LOAD,
        // There is no form for memory: then what is named here is something else.
        Metric::CpuUsage(_) | Metric::MemoryUsage(_) => CPU,
        Metric::InboundQps(_) => QPS,
        Metric::AvgResponseTime(_) => RESPONSE_TIME,
        Metric::InFlight(_) => THREADS,
    };
    out.number(name, params.metric.threshold());
}
