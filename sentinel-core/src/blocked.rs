use std::{fmt, time::Duration};

use crate::{
    families::{Cause, FAMILIES},
    plan::{PlanRef, Stage},
    resource::ResourceId,
};

/// A call that a rule refused.
///
/// Small, made without an allocation; its words are put together only when it is shown.
#[derive(Clone)]
pub struct Blocked {
    plan: PlanRef,
    at: Stage,
    cause: Cause,
}

impl Blocked {
    #[inline]
    pub(crate) fn new(plan: PlanRef, at: Stage, cause: Cause) -> Self {
        Self { plan, at, cause }
    }

    /// A refusal that is counted.
    #[inline(always)]
    pub(crate) fn count(plan: PlanRef, now: u64, permits: u32, at: Stage, cause: Cause) -> Self {
        plan.core.count_block(now, permits);
        Self::new(plan, at, cause)
    }

    /// The family of the rule, as in documents: `flow`, ….
    pub fn family(&self) -> &'static str {
        FAMILIES.get(usize::from(self.at.family)).copied().unwrap_or_default()
    }

    /// The name of the rule.
    pub fn rule_id(&self) -> &str {
        self.plan.stages.rule(self.at).map_or("", |rule| rule.id())
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
        self.cause.observed
    }

    /// The limit that was in force.
    pub fn threshold(&self) -> f64 {
        self.cause.threshold
    }

    /// The time that the threshold refers to, for limits on calls in time.
    pub fn interval(&self) -> Option<Duration> {
        self.plan.stages.rule(self.at)?.interval()
    }

    /// How long until trying again may help: not earlier. `None` when it never will, such as for a call that asks for more
    /// permits than the threshold.
    pub fn retry_after(&self) -> Option<Duration> {
        (self.cause.retry_after != u64::MAX).then(|| Duration::from_nanos(self.cause.retry_after))
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (family, rule, resource) = (self.family(), self.rule_id(), self.resource());
        write!(f, "{family} rule `{rule}` blocks `{resource}`: ")?;
        if let Some(rule) = self.plan.stages.rule(self.at) {
            rule.explain(&self.cause, f)?;
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
