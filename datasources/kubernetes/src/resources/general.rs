use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What rules of all families have: a name, and whether they are in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct General {
    /// The name of the rule, unique among the rules of its family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub id: Option<String>,
    /// Whether the rule is in force; by default it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether the rule only counts what it would refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Which resources a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Target {
    /// The name of the resource; `*` for every one that no other rule is about.
    #[schemars(length(min = 1, max = 512))]
    pub resource: String,
    /// Whether the name is a regular expression that has to match the whole names of resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<bool>,
}
