//! Which backends are outliers: pure functions of what was counted.

use super::{OutlierConfig, SuccessRate, snapshot::EjectionCause};

/// By how much a result may miss the number that is meant, as floating point numbers do.
const ROUNDING: f64 = 1e-9;

/// How the calls of one backend within an interval ended, the ignored ones left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) errors: u32,
}

impl Counts {
    fn error_ratio(self) -> f64 {
        f64::from(self.errors) / f64::from(self.calls)
    }

    fn success_rate(self) -> f64 {
        1.0 - self.error_ratio()
    }
}

/// The positions of the outliers, the worst first.
pub(super) fn outliers(config: &OutlierConfig, counts: &[Counts]) -> Vec<(usize, EjectionCause)> {
    let compared = config.success_rate.map(|rule| {
        let rates = counts.iter().filter(|counts| counts.calls >= rule.min_request_amount);
        let rates: Vec<f64> = rates.map(|counts| counts.success_rate()).collect();
        (rule.min_request_amount, floor(&rule, &rates))
    });
    let cause = |counts: Counts| {
        let fails_too_often = config
            .error_ratio
            .is_some_and(|rule| counts.calls >= rule.min_request_amount && counts.error_ratio() >= rule.threshold);
        let lags_behind =
            compared.is_some_and(|(amount, floor)| counts.calls >= amount && counts.success_rate() < floor);
        if fails_too_often {
            return Some(EjectionCause::ErrorRatio);
        }
        lags_behind.then_some(EjectionCause::SuccessRate)
    };
    let found = counts.iter().enumerate().filter_map(|(at, counts)| Some((at, counts.success_rate(), cause(*counts)?)));
    let mut found: Vec<(usize, f64, EjectionCause)> = found.collect();
    found.sort_by(|(_, one, _), (_, other, _)| one.total_cmp(other));
    found.into_iter().map(|(at, _, cause)| (at, cause)).collect()
}

/// The success rate below which a backend is an outlier among such rates; minus infinity where there are too few of them.
///
/// The deviation is that of the backends themselves, not one that is estimated for others from them.
pub(super) fn floor(rule: &SuccessRate, rates: &[f64]) -> f64 {
    if rates.len() < rule.min_backends {
        return f64::NEG_INFINITY;
    }
    let count = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    mean - (rule.factor * variance.sqrt()).max(rule.min_gap).max(ROUNDING)
}

/// How many of the backends may be out of service.
pub(super) fn most_out(share: f64, backends: usize) -> usize {
    match backends {
        0 | 1 => 0,
        _ if share <= 0.0 => 0,
        _ => ((backends as f64 * share + ROUNDING) as usize).clamp(1, backends - 1),
    }
}
