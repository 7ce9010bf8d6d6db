//! Authority rules as Sentinel for Java writes them.

use super::{Authority, AuthorityParams, List};
use crate::{
    Dialect,
    families::{Family as _, Rules},
    rules::{Fields, Form, Found, Outgoing},
};

pub(super) const FORM: Form = Form {
    dialect: Dialect::Java,
    names: &["authority"],
    families: &[Authority::NAME],
    patterns: true,
    defaults: false,
    read,
    write,
};

const LISTS: &[(i32, &str, List)] = &[(0, "white", List::Allow), (1, "black", List::Deny)];

fn read(fields: &mut Fields<'_>, found: &mut Found<'_>) {
    let origins = fields.text("limitApp");
    let origins = fields.required("limitApp", origins).unwrap_or_default();
    let origins = origins.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    let params = AuthorityParams {
        origins: origins.map(str::to_owned).collect(),
        list: fields.code("strategy", LISTS).unwrap_or_default(),
        strict: false,
    };
    found.add::<Authority>(fields, params, &[("origins", "limitApp")]);
}

fn write(rules: &Rules, out: &mut Outgoing<'_>) {
    out.rules::<Authority>(rules, |params, fields| {
        fields.field("limitApp", params.origins.join(","));
        fields.code("strategy", LISTS, params.list);
    });
}
