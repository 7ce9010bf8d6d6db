//! Permits that are kept for more important calls.

use crate::{call::Criticality, rules::Report};

/// How much of a limit on calls in flight each class of calls may use: what is beyond the share of a class is kept for those
/// above it. Critical calls may use all of it.
///
/// So under overload sheddable calls are refused first, then default ones; and however many calls of a class come, those above
/// it find what is kept for them.
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
    /// The permits of a limit that a call has to leave free; it may always use one.
    #[inline]
    pub(crate) fn left(&self, limit: u32, criticality: Criticality) -> u32 {
        let share = match criticality {
            Criticality::Critical => 1.0,
            Criticality::Default => self.default,
            Criticality::Sheddable => self.sheddable,
        };
        if share == 1.0 {
            return 0;
        }
        limit - ((f64::from(limit) * share) as u32).clamp(1.min(limit), limit)
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
        assert_eq!(left(1), [0, 0, 0], "everybody may use one");
        assert_eq!(left(0), [0, 0, 0]);
        assert_eq!(Shares::default().left(100, Criticality::Sheddable), 0);
    }
}
