//! Isolation rules as Sentinel for Go writes them, and the resources of Kubernetes.

use super::{Isolation, IsolationParams};
use crate::{
    Dialect,
    families::{Family as _, Rules, origin::OriginSelector},
    rules::{Fields, Form, Found, Outgoing},
};

pub(super) const GO: Form = Form {
    dialect: Dialect::Go,
    names: &["isolation"],
    families: &[Isolation::NAME],
    patterns: true,
    defaults: false,
    read,
    write,
};

pub(super) const KUBERNETES: Form = Form { dialect: Dialect::Kubernetes, defaults: true, ..GO };

const METRICS: &[(i32, &str, ())] = &[(0, "Concurrency", ())];

fn read(fields: &mut Fields<'_>, found: &mut Found<'_>) {
    fields.code("metricType", METRICS);
    let threshold = fields.small("threshold");
    let threshold = fields.required("threshold", threshold).unwrap_or(1);
    if threshold == 0 {
        fields.refuse("threshold", "it is above 0: a flow rule with the threshold 0 lets nobody in");
    }
    let mut params = IsolationParams::new(threshold);
    if fields.dialect() == Dialect::Kubernetes {
        params.origin = OriginSelector::called(fields.text("limitApp"));
    }
    found.add::<Isolation>(fields, params, &[("origin", "limitApp")]);
}

fn write(rules: &Rules, out: &mut Outgoing<'_>) {
    out.rules::<Isolation>(rules, |params, fields| {
        fields.field("threshold", params.threshold);
        match fields.dialect() {
            Dialect::Go => fields.code("metricType", METRICS, ()),
            _ if params.origin != OriginSelector::Any => fields.field("limitApp", params.origin.name()),
            _ => {}
        }
    });
}
