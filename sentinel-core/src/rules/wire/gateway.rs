//! Rules of Sentinel for Java about gateways, which have no counterpart here.

use super::{Dialect, Form};

/// What no other rule says.
const TELLING: &[&str] =
    &["apiName", "intervalSec", "maxQueueingTimeoutMs", "paramItem", "predicateItems", "resourceMode"];
/// What other rules say, too.
const SHARED: &[&str] = &["burst", "controlBehavior", "count", "grade", "id", "resource"];

/// The form of these rules, so that they are known where they come from, and not taken for others.
pub(crate) const GATEWAY: Form = Form {
    dialect: Dialect::Java,
    names: &["gateway", "gatewayFlow", "gatewayApi"],
    families: &[],
    patterns: false,
    defaults: false,
    read: |fields, _| {
        fields.skip(TELLING);
        fields.skip(SHARED);
        let name = TELLING.iter().find(|name| fields.has(name)).unwrap_or(&"resourceMode");
        fields.refuse(name, "rules about gateways have no counterpart here: hotspot rules limit by what a request has");
    },
    write: |_, _| {},
};
