//! Flow rules as Sentinel for Java writes them: those on calls in flight, too, which are isolation rules here.

use super::{
    Flow,
    rule::{Behavior, DEFAULT_COLD_FACTOR, DEFAULT_PERIOD, DEFAULT_QUEUEING_TIME, FlowParams, Strategy},
};
use crate::{
    Dialect,
    families::{
        Family as _, Rules,
        isolation::{Isolation, IsolationParams},
        origin::OriginSelector,
    },
    rules::{Fields, Form, Found, Names, Outgoing, Writer, read_cluster},
};

pub(super) const FORM: Form = Form {
    dialect: Dialect::Java,
    names: &["flow"],
    families: &[Flow::NAME, Isolation::NAME],
    patterns: true,
    defaults: false,
    read,
    write,
};

const NAMES: Names = &[
    ("threshold", "count"),
    ("origin", "limitApp"),
    ("relatedResource", "refResource"),
    ("strategy", "controlBehavior"),
    ("behavior", "controlBehavior"),
];

const GRADES: &[(i32, &str, bool)] = &[(0, "threads", false), (1, "QPS", true)];
const RELATIONS: &[(i32, &str, i32)] = &[(0, "direct", 0), (1, "relate", 1), (2, "chain", 2)];
/// Whether it warms up, and whether calls wait.
const BEHAVIORS: &[(i32, &str, (bool, bool))] = &[
    (0, "reject", (false, false)),
    (1, "warm up", (true, false)),
    (2, "queue", (false, true)),
    (3, "warm up and queue", (true, true)),
];

fn read(fields: &mut Fields<'_>, found: &mut Found<'_>) {
    read_cluster(fields);
    let origin = OriginSelector::called(fields.text("limitApp"));
    let counts_calls = fields.code("grade", GRADES).unwrap_or(true);
    let behavior = fields.code("controlBehavior", BEHAVIORS).unwrap_or_default();
    let period = fields.whole_seconds("warmUpPeriodSec").unwrap_or(DEFAULT_PERIOD);
    let max_queueing_time = fields.whole_millis("maxQueueingTimeMs").unwrap_or(DEFAULT_QUEUEING_TIME);
    let related_resource = read_relation(fields, counts_calls);
    if !counts_calls {
        let threshold = fields.whole_part("count");
        let threshold = fields.required("count", threshold).unwrap_or(1);
        return found.add::<Isolation>(fields, IsolationParams { origin, ..IsolationParams::new(threshold) }, NAMES);
    }
    let threshold = fields.number("count");
    let mut params = FlowParams { origin, related_resource, ..FlowParams::new(0.0) };
    params.threshold = fields.required("count", threshold).unwrap_or(1.0);
    let (warms_up, waits) = behavior;
    if warms_up {
        params.strategy = Strategy::WarmUp { period, cold_factor: DEFAULT_COLD_FACTOR };
    }
    if waits {
        if max_queueing_time.is_zero() {
            fields.refuse("maxQueueingTimeMs", "whoever may not wait at all has no queue: it is above 0 ms");
        }
        params.behavior = Behavior::Throttle { max_queueing_time };
    }
    found.add::<Flow>(fields, params, NAMES);
}

fn read_relation(fields: &mut Fields<'_>, counts_calls: bool) -> Option<String> {
    let related = fields.text("refResource");
    match fields.code("strategy", RELATIONS).unwrap_or_default() {
        0 => return None,
        1 if counts_calls => return fields.required("refResource", related),
        1 => fields
            .refuse("strategy", "calls in flight are limited by those of the same resource only: it is 0 (direct)"),
        _ => fields
            .refuse("strategy", "no rule here tells by which entrance a call came: it is 0 (direct) or 1 (relate)"),
    }
    None
}

fn write(rules: &Rules, out: &mut Outgoing<'_>) {
    out.rules::<Flow>(rules, write_flow);
    out.rules::<Isolation>(rules, |params, fields| {
        fields.field("limitApp", params.origin.name());
        fields.field("grade", 0);
        fields.field("count", params.threshold);
    });
}

fn write_flow(params: &FlowParams, out: &mut Writer) {
    out.field("limitApp", params.origin.name());
    out.field("grade", 1);
    out.number("count", params.threshold);
    out.field("strategy", i32::from(params.related_resource.is_some()));
    if let Some(related) = &params.related_resource {
        out.field("refResource", related.as_str());
    }
    let mut behavior = 0;
    if let Strategy::WarmUp { period, .. } = params.strategy {
        behavior += 1;
        out.seconds("warmUpPeriodSec", period);
    }
    if let Behavior::Throttle { max_queueing_time } = params.behavior {
        behavior += 2;
        out.millis("maxQueueingTimeMs", max_queueing_time);
    }
    out.field("controlBehavior", behavior);
    out.field("clusterMode", false);
}
