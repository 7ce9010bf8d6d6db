//! Permits that are kept for more important calls.

use crate::{call::Criticality, rules::Report};

/// How much of a limit on calls in flight each class of calls may use: what is beyond the share of a class is kept for
/// those above it. Critical calls may use all of it.
///
/// So under overload sheddable calls are refused first, then default ones; and however many calls of a class come,
/// those above it find what is kept for them: one permit at least, however small the limit and the shares.
///
/// Only a limit that is less than the number of classes with different shares cannot be shared so. As no class is shut
/// out, a limit of 1 is for whoever comes first, and of 2 permits one is kept for critical calls. A limit that [finds
/// itself](crate::Adaptive) does not fall that low.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Shares {
    /// For default calls: above 0, at most 1, which is the default. Document: `defaultShare`.
    pub default: f64,
    /// For sheddable calls: above 0, at most the share of default ones; by default the same. Document: `sheddableShare`.
    pub sheddable: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self { default: 1.0, sheddable: 1.0 }
    }
}

impl Shares {
    /// The permits of a limit that a call has to leave free: those beyond its share, and where classes differ, at least
    /// one more than the class above has to; but every class may use one, and one more than the class below, if there
    /// are as many.
    #[inline]
    pub(crate) fn left(&self, limit: u32, criticality: Criticality) -> u32 {
        // Most rules share nothing.
        if self.sheddable == 1.0 { 0 } else { self.left_to_others(limit, criticality) }
    }

    fn left_to_others(&self, limit: u32, criticality: Criticality) -> u32 {
        let apart = u32::from(self.sheddable < self.default);
        let beyond = |share: f64, at_least: u32| {
            (limit - ((f64::from(limit) * share) as u32).min(limit)).min(limit.saturating_sub(at_least))
        };
        let left = beyond(self.default, 1 + apart).max(u32::from(self.default < 1.0));
        let left = match criticality {
            Criticality::Sheddable => beyond(self.sheddable, 1).max(left + apart),
            Criticality::Default => left,
            Criticality::Critical => 0,
        };
        left.min(limit.saturating_sub(1))
    }

    /// The least limit of which every class leaves something to those above it.
    pub(crate) fn fewest(&self) -> u32 {
        1 + u32::from(self.default < 1.0) + u32::from(self.sheddable < self.default)
    }

    /// Whether every class may use everything.
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn validate(&self, report: &mut Report<'_>) {
        if !(self.default > 0.0 && self.default <= 1.0) {
            report.invalid("defaultShare", self.default, "a share is above 0 and at most 1");
        }
        if !(self.sheddable > 0.0 && self.sheddable <= self.default) {
            report.invalid("sheddableShare", self.sheddable, "it is above 0 and at most the share of default calls");
        }
    }

    #[cfg(feature = "json")]
    pub(crate) fn read(fields: &mut crate::rules::Fields<'_>) -> Self {
        let default = fields.number("defaultShare").unwrap_or(1.0);
        Self { default, sheddable: fields.number("sheddableShare").unwrap_or(default) }
    }

    #[cfg(feature = "json")]
    pub(crate) fn write(&self, out: &mut crate::rules::Writer) {
        if self.default != 1.0 {
            out.number("defaultShare", self.default);
        }
        if self.sheddable != self.default {
            out.number("sheddableShare", self.sheddable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_leaves_what_is_kept_for_those_above_it() {
        let shares = Shares { default: 0.9, sheddable: 0.5 };
        let left = |limit| {
            [Criticality::Critical, Criticality::Default, Criticality::Sheddable].map(|class| shares.left(limit, class))
        };
        assert_eq!(left(100), [0, 10, 50]);
        assert_eq!(left(3), [0, 1, 2]);
        assert_eq!(left(2), [0, 1, 1], "everybody may use one");
        assert_eq!(left(1), [0, 0, 0]);
        assert_eq!(left(0), [0, 0, 0]);
        assert_eq!(Shares::default().left(100, Criticality::Sheddable), 0);
    }

    #[test]
    fn each_class_leaves_one_permit_at_least_to_those_above_it() {
        for (default, sheddable) in [(1.0, 0.99), (0.99, 0.99), (0.99, 0.98), (0.1, 0.01)] {
            let shares = Shares { default, sheddable };
            let above = [(Criticality::Default, default < 1.0), (Criticality::Sheddable, sheddable < default)];
            for limit in shares.fewest()..200 {
                let mut left = 0;
                for (class, leaves_more) in above {
                    let more = shares.left(limit, class);
                    assert!(more >= left + u32::from(leaves_more) && more < limit, "{shares:?} of {limit}: {class:?}");
                    left = more;
                }
            }
        }
        assert_eq!(Shares::default().fewest(), 1);
    }
}
