//! Hotspot rules as Sentinel for Java writes them.

use serde_json::Value;

use super::{
    Hotspot,
    rule::{DEFAULT_INTERVAL, HotspotItem, HotspotMetric, HotspotParams, ItemValue, Parameter, Refill},
};
use crate::{
    Dialect,
    families::{Family as _, Rules},
    rules::{Fields, Form, Found, Names, Outgoing, Writer, read_cluster},
};

pub(super) const FORM: Form = Form {
    dialect: Dialect::Java,
    names: &["hotspot", "paramFlow", "param-flow"],
    families: &[Hotspot::NAME],
    patterns: true,
    defaults: false,
    read,
    write,
};

const NAMES: Names = &[
    ("paramIndex", "paramIdx"),
    ("threshold", "count"),
    ("intervalMs", "durationInSec"),
    ("burst", "burstCount"),
    ("items", "paramFlowItemList"),
    ("items[].value", "paramFlowItemList[].object"),
];

const GRADES: &[(i32, &str, bool)] = &[(0, "threads", false), (1, "QPS", true)];
const BEHAVIORS: &[(i32, &str, bool)] = &[(0, "reject", false), (2, "queue", true)];

/// How the text of a value is to be understood.
#[derive(Clone, Copy)]
enum Class {
    /// A whole number in a range.
    Integer(i64, i64),
    Single,
    Double,
    Bool,
    Text,
}

const INT: Class = Class::Integer(i32::MIN as i64, i32::MAX as i64);
const LONG: Class = Class::Integer(i64::MIN, i64::MAX);
const SHORT: Class = Class::Integer(i16::MIN as i64, i16::MAX as i64);
const BYTE: Class = Class::Integer(i8::MIN as i64, i8::MAX as i64);

const CLASSES: &[(&str, Class)] = &[
    ("int", INT),
    ("long", LONG),
    ("short", SHORT),
    ("byte", BYTE),
    ("double", Class::Double),
    ("float", Class::Single),
    ("boolean", Class::Bool),
    ("char", Class::Text),
    ("java.lang.String", Class::Text),
    ("java.lang.Integer", INT),
    ("java.lang.Long", LONG),
    ("java.lang.Short", SHORT),
    ("java.lang.Byte", BYTE),
    ("java.lang.Double", Class::Double),
    ("java.lang.Float", Class::Single),
    ("java.lang.Boolean", Class::Bool),
    ("java.lang.Character", Class::Text),
];

impl Class {
    fn parse(self, text: &str) -> Option<ItemValue> {
        match self {
            Self::Integer(min, max) => {
                text.parse().ok().filter(|value| (min..=max).contains(value)).map(ItemValue::Integer)
            }
            Self::Single => text.parse::<f32>().ok().map(ItemValue::from),
            Self::Double => text.parse::<f64>().ok().map(ItemValue::from),
            Self::Bool => text.to_ascii_lowercase().parse().ok().map(ItemValue::Bool),
            Self::Text => Some(text.into()),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Integer(..) => "it is a whole number in the range of its classType",
            Self::Single | Self::Double => "it is a number",
            Self::Bool => "it is true or false",
            Self::Text => "it is a text",
        }
    }
}

fn read(fields: &mut Fields<'_>, found: &mut Found<'_>) {
    fields.skip(&["limitApp"]);
    read_cluster(fields);
    let index = fields.integer("paramIdx");
    let counts_calls = fields.code("grade", GRADES).unwrap_or(true);
    let waits = fields.code("controlBehavior", BEHAVIORS).unwrap_or_default();
    let max_queueing_time = fields.whole_millis("maxQueueingTimeMs").unwrap_or_default();
    let burst = fields.small("burstCount").unwrap_or_default();
    let duration = fields.whole_seconds("durationInSec").filter(|_| counts_calls);
    let threshold = fields.whole_part("count");
    let params = HotspotParams {
        parameter: Parameter::Index(fields.required("paramIdx", index).unwrap_or_default()),
        threshold: fields.required("count", threshold).unwrap_or(1),
        interval: duration.unwrap_or(DEFAULT_INTERVAL),
        metric: match (counts_calls, waits) {
            (false, _) => HotspotMetric::Concurrency,
            (true, false) => HotspotMetric::Bucket { burst, refill: Refill::Interval },
            (true, true) => HotspotMetric::Throttle { max_queueing_time },
        },
        items: fields.objects("paramFlowItemList", read_item).unwrap_or_default(),
        ..HotspotParams::new(0, 1)
    };
    found.add::<Hotspot>(fields, params, NAMES);
}

fn read_item(fields: &mut Fields<'_>) -> Option<HotspotItem> {
    let class = match fields.text("classType") {
        Some(_) => fields.choice("classType", CLASSES)?,
        None => Class::Text,
    };
    let value = fields.one_of("object", class.expected(), |value| match value {
        Value::String(text) => class.parse(text),
        Value::Number(number) => class.parse(&number.to_string()),
        Value::Bool(value) => class.parse(&value.to_string()),
        _ => None,
    });
    let threshold = fields.small("count");
    let (value, threshold) = (fields.required("object", value), fields.required("count", threshold));
    Some(HotspotItem { value: value?, threshold: threshold? })
}

fn write(rules: &Rules, out: &mut Outgoing<'_>) {
    out.rules::<Hotspot>(rules, write_rule);
}

fn write_rule(params: &HotspotParams, out: &mut Writer) {
    // There is no form for a key: then the argument that is named here is another one.
    out.field(
        "paramIdx",
        match params.parameter {
            Parameter::Index(index) => index,
            Parameter::Key(_) => 0,
        },
    );
    out.code("grade", GRADES, params.metric != HotspotMetric::Concurrency);
    out.field("count", params.threshold);
    match params.metric {
        HotspotMetric::Concurrency => {}
        HotspotMetric::Bucket { burst, .. } => {
            out.code("controlBehavior", BEHAVIORS, false);
            out.field("burstCount", burst);
        }
        HotspotMetric::Throttle { max_queueing_time } => {
            out.code("controlBehavior", BEHAVIORS, true);
            out.millis("maxQueueingTimeMs", max_queueing_time);
        }
    }
    out.seconds("durationInSec", params.interval);
    out.objects("paramFlowItemList", &params.items, write_item);
    out.field("clusterMode", false);
}

fn write_item(item: &HotspotItem, out: &mut Writer) {
    let (class, text) = match &item.value {
        ItemValue::Integer(value) if i32::try_from(*value).is_ok() => ("int", value.to_string()),
        ItemValue::Integer(value) => ("long", value.to_string()),
        ItemValue::Text(text) => ("java.lang.String", text.clone()),
        ItemValue::Bool(value) => ("boolean", value.to_string()),
        ItemValue::Float(value) => ("double", value.to_string()),
    };
    out.field("object", text);
    out.field("classType", class);
    out.field("count", item.threshold);
}
