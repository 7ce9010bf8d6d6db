use std::fmt;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResourceExt as _, core::ApiResource};

use super::{AuthorityRules, CircuitBreakerRules, FlowRules, HotspotRules, IsolationRules, SheddingRules, SystemRules};

/// A kind of custom resource.
///
/// # Example
///
/// ```
/// use sentinel_kubernetes::Kind;
///
/// assert_eq!(Kind::FlowRules.to_string(), "FlowRules");
/// assert_eq!(Kind::FlowRules.family(), "flow");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// [`FlowRules`].
    FlowRules,
    /// [`IsolationRules`].
    IsolationRules,
    /// [`CircuitBreakerRules`].
    CircuitBreakerRules,
    /// [`HotspotRules`].
    HotspotRules,
    /// [`SystemRules`].
    SystemRules,
    /// [`AuthorityRules`].
    AuthorityRules,
    /// [`SheddingRules`].
    SheddingRules,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::FlowRules,
        Self::IsolationRules,
        Self::CircuitBreakerRules,
        Self::HotspotRules,
        Self::SystemRules,
        Self::AuthorityRules,
        Self::SheddingRules,
    ];

    /// Its name, as in the field `kind` of an object.
    pub fn name(self) -> &'static str {
        match self {
            Self::FlowRules => "FlowRules",
            Self::IsolationRules => "IsolationRules",
            Self::CircuitBreakerRules => "CircuitBreakerRules",
            Self::HotspotRules => "HotspotRules",
            Self::SystemRules => "SystemRules",
            Self::AuthorityRules => "AuthorityRules",
            Self::SheddingRules => "SheddingRules",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The [family](sentinel_core::FAMILIES) of the rules.
    pub fn family(self) -> &'static str {
        match self {
            Self::FlowRules => "flow",
            Self::IsolationRules => "isolation",
            Self::CircuitBreakerRules => "circuitBreaker",
            Self::HotspotRules => "hotspot",
            Self::SystemRules => "system",
            Self::AuthorityRules => "authority",
            Self::SheddingRules => "shedding",
        }
    }

    /// Its definition, as an API server takes it.
    pub fn definition(self) -> CustomResourceDefinition {
        match self {
            Self::FlowRules => FlowRules::crd(),
            Self::IsolationRules => IsolationRules::crd(),
            Self::CircuitBreakerRules => CircuitBreakerRules::crd(),
            Self::HotspotRules => HotspotRules::crd(),
            Self::SystemRules => SystemRules::crd(),
            Self::AuthorityRules => AuthorityRules::crd(),
            Self::SheddingRules => SheddingRules::crd(),
        }
    }

    /// What requests for its objects are made of.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::FlowRules => FlowRules::api_resource(),
            Self::IsolationRules => IsolationRules::api_resource(),
            Self::CircuitBreakerRules => CircuitBreakerRules::api_resource(),
            Self::HotspotRules => HotspotRules::api_resource(),
            Self::SystemRules => SystemRules::api_resource(),
            Self::AuthorityRules => AuthorityRules::api_resource(),
            Self::SheddingRules => SheddingRules::api_resource(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use sentinel_core::FAMILIES;

    use super::*;

    #[test]
    fn there_is_a_kind_for_each_family_and_it_is_called_as_its_definition_is() {
        let mut families = Kind::ALL.map(Kind::family);
        families.sort_unstable();
        let mut all = FAMILIES.to_vec();
        all.sort_unstable();
        assert_eq!(families.as_slice(), all);
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
            let (definition, resource) = (kind.definition(), kind.resource());
            assert_eq!((&*definition.spec.names.kind, &*resource.kind), (kind.name(), kind.name()));
            assert_eq!(definition.spec.names.plural, resource.plural);
            assert_eq!((&*resource.group, &*resource.version), (super::super::GROUP, super::super::VERSION));
        }
    }
}
