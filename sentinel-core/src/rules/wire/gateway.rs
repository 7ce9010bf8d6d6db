//! Rules of Sentinel for Java about gateways, which have no counterpart here.

use super::{Dialect, Form};

/// All that such a rule, or a group of paths, may say.
const FIELDS: &[&str] = &[
    "apiName",
    "burst",
    "controlBehavior",
    "count",
    "grade",
    "id",
    "interval",
    "intervalSec",
    "intervalUnit",
    "maxQueueingTimeoutMs",
    "paramItem",
    "predicateItems",
    "resource",
    "resourceMode",
];

/// The form of these rules, so that they are known where they come from, and not taken for others.
pub(crate) const GATEWAY: Form = Form {
    dialect: Dialect::Java,
    names: &["gateway", "gatewayFlow", "gatewayApi"],
    families: &[],
    patterns: false,
    defaults: false,
    read: |fields, _| {
        fields.skip(FIELDS);
        let name = if fields.has("apiName") { "apiName" } else { "resource" };
        fields.refuse(name, "rules about gateways have no counterpart here: attributes of requests have hotspot rules");
    },
    write: |_, _| {},
};
