//! The custom resources: one kind for each family of rules.
//!
//! Objects of the published kinds of Sentinel for Go (`FlowRules`, `IsolationRules`, `CircuitBreakerRules`,
//! `HotspotRules`, `SystemRules`) are taken as they are. The schemas that an API server refuses wrong objects by are
//! derived from the types here: bounds of single fields for every server, and what several fields have to agree on, in
//! CEL, for servers from 1.25 on.

#![expect(unreachable_pub, reason = "the derive of schemas makes copies of public types inside of functions")]

mod authority;
mod circuit_breaker;
mod flow;
mod general;
mod hotspot;
mod isolation;
mod kind;
mod shedding;
mod status;
mod system;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use self::{
    authority::{AuthorityRule, ListStrategy},
    circuit_breaker::{BreakerStrategy, CircuitBreakerRule},
    flow::{FlowRule, RelationStrategy, TokenCalculateStrategy},
    general::{General, Target},
    hotspot::{HotspotMetric, HotspotRule, SpecificItem, ValueKind},
    isolation::IsolationRule,
    kind::Kind,
    shedding::SheddingRule,
    status::{ACCEPTED, RulesStatus},
    system::{SystemMetric, SystemRule, SystemStrategy},
};

/// The API group of the custom resources.
pub const GROUP: &str = "datasource.sentinel.io";

/// The version of the custom resources.
pub const VERSION: &str = "v1alpha1";

/// What becomes of calls beyond the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ControlBehavior {
    /// They are refused.
    Reject,
    /// They are spaced evenly, and wait.
    Throttling,
}

macro_rules! resource {
    ($doc:literal: $kind:literal, $plural:literal, $spec:ident of $rule:ident) => {
        #[doc = $doc]
        #[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[kube(
                                    group = "datasource.sentinel.io",
                                    version = "v1alpha1",
                                    kind = $kind,
                                    doc = $doc,
                                    plural = $plural,
                                    singular = $plural,
                                    namespaced,
                                    category = "sentinel",
                                    status = "RulesStatus",
                                    derive = "PartialEq",
                                    printcolumn(name = "Rules", type_ = "integer", json_path = ".status.rules"),
                                    printcolumn(
                                        name = "Accepted",
                                        type_ = "string",
                                        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
                                    ),
                                    printcolumn(
                                        name = "Reason",
                                        type_ = "string",
                                        json_path = ".status.conditions[?(@.type==\"Accepted\")].reason"
                                    ),
                                    printcolumn(
                                        name = "Message",
                                        type_ = "string",
                                        json_path = ".status.conditions[?(@.type==\"Accepted\")].message",
                                        priority = 1
                                    ),
                                    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
                                )]
        pub struct $spec {
            /// The rules. All of them are in force, or none.
            #[schemars(length(max = 10_000))]
            pub rules: Vec<$rule>,
        }
    };
}

resource! {
    "Flow rules: how many calls per interval a resource admits, and what becomes of the others.":
    "FlowRules", "flowrules", FlowRulesSpec of FlowRule
}

resource! {
    "Isolation rules: how many calls may be in flight at a time.":
    "IsolationRules", "isolationrules", IsolationRulesSpec of IsolationRule
}

resource! {
    "Circuit breaker rules: when calls of a resource that is slow or fails are refused for a while.":
    "CircuitBreakerRules", "circuitbreakerrules", CircuitBreakerRulesSpec of CircuitBreakerRule
}

resource! {
    "Hotspot rules: how many calls each value of an argument may make.":
    "HotspotRules", "hotspotrules", HotspotRulesSpec of HotspotRule
}

resource! {
    "System rules: when inbound calls are refused because the machine is busy.":
    "SystemRules", "systemrules", SystemRulesSpec of SystemRule
}

resource! {
    "Authority rules: who may call a resource.":
    "AuthorityRules", "authorityrules", AuthorityRulesSpec of AuthorityRule
}

resource! {
    "Shedding rules: when a client stops asking a service that fails.":
    "SheddingRules", "sheddingrules", SheddingRulesSpec of SheddingRule
}
