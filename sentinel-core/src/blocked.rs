use std::{fmt, time::Duration};

use crate::{
    extension::Registered,
    families::{Describe, FAMILIES},
    plan::{PlanRef, Reason},
    resource::ResourceId,
};

/// A call that a rule refused, or a [check](crate::CustomCheck) of one's own.
///
/// Small, made without an allocation; its words are put together only when it is shown.
#[derive(Clone)]
pub struct Blocked {
    plan: PlanRef,
    reason: Reason,
}

impl Blocked {
    #[inline]
    pub(crate) fn new(plan: PlanRef, reason: Reason) -> Self {
        Self { plan, reason }
    }

    /// The family of the rule, as in documents: `flow`, …; or the name of the check.
    pub fn family(&self) -> &'static str {
        let family = FAMILIES.get(usize::from(self.reason.at.family)).copied();
        family.or_else(|| Some(self.check()?.name)).unwrap_or_default()
    }

    /// The name of the rule, or of the check.
    pub fn rule_id(&self) -> &str {
        self.rule().map(Describe::id).or_else(|| Some(self.check()?.name)).unwrap_or_default()
    }

    /// The name of the resource.
    pub fn resource(&self) -> &str {
        &self.plan.core.name
    }

    /// What tells the resource from every other one.
    pub fn resource_id(&self) -> ResourceId {
        self.plan.core.id()
    }

    /// What the rule saw, in the unit of its threshold: for a limit on calls, the permits in use.
    pub fn observed(&self) -> f64 {
        self.reason.cause.observed
    }

    /// The limit that was in force.
    pub fn threshold(&self) -> f64 {
        self.reason.cause.threshold
    }

    /// The time that the threshold refers to, for limits on calls in time.
    pub fn interval(&self) -> Option<Duration> {
        self.rule()?.interval()
    }

    /// How long until trying again may help: not earlier. `None` when it never will, such as for a call that asks for
    /// more permits than the threshold.
    pub fn retry_after(&self) -> Option<Duration> {
        self.reason.cause.retry_after()
    }

    fn rule(&self) -> Option<&dyn Describe> {
        self.plan.stages.rule(self.reason.at)
    }

    /// The check, if it was no rule that refused.
    fn check(&self) -> Option<&Registered> {
        self.plan.core.extension.as_ref()?.check(self.reason.at)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (family, rule, resource) = (self.family(), self.rule_id(), self.resource());
        if let Some(check) = self.check() {
            write!(f, "{family} check blocks `{resource}`: ")?;
            check.explain(&self.reason.cause, f)?;
        } else {
            write!(f, "{family} rule `{rule}` blocks `{resource}`: ")?;
            if let Some(rule) = self.rule() {
                rule.explain(&self.reason.cause, f)?;
            }
        }
        match self.retry_after() {
            Some(after) => write!(f, ", try again in {after:?}"),
            None => f.write_str(", and trying again will not help"),
        }
    }
}

impl fmt::Debug for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocked")
            .field("family", &self.family())
            .field("rule", &self.rule_id())
            .field("resource", &self.resource())
            .field("observed", &self.observed())
            .field("threshold", &self.threshold())
            .field("retry_after", &self.retry_after())
            .finish()
    }
}

impl std::error::Error for Blocked {}
