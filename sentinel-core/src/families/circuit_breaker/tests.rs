use std::time::Duration;

use proptest::{prelude::*, sample::select};

use super::*;
use crate::{
    Rule, Rules,
    families::laws::{Lawful, laws},
};

mod alone;
#[cfg(feature = "json")]
mod documents;
mod entries;
mod model;
mod schedules;
mod sequences;
mod threads;
mod vectors;

/// Nobody is told.
struct Silent;

impl Tell for Silent {
    fn note(&self, _change: BreakerChange) {}

    fn tell(&self) {}
}

impl Lawful for CircuitBreaker {
    fn any_rule() -> BoxedStrategy<Rule<Self>> {
        let near = (sequences::params(), select(vec![0.0, 0.5]), select(vec![1.0, 2.0, 1.5]))
            .prop_map(|(params, jitter, growth)| params.retry_jitter(jitter).retry_growth(growth));
        let far = (
            select(vec![-1.0, 0.0, 0.3, 1.0, 2.5, 1e12, f64::NAN, f64::INFINITY]),
            select(vec![0, 1, 5, 70_000]),
            select(vec![0.0, 1.0, 1e6, f64::NAN]),
            select(vec![Duration::ZERO, Duration::from_micros(1_500), Duration::MAX]),
            any::<bool>(),
        );
        let states = vec![BreakerControl::Auto, BreakerControl::ForcedOpen, BreakerControl::ForcedClosed];
        let state = prop_oneof![8 => Just(BreakerControl::Auto), 1 => select(states)];
        (near, prop_oneof![4 => Just(None), 1 => far.prop_map(Some)], state)
            .prop_map(|(params, far, state)| {
                let mut params = params.state(state);
                if let Some((threshold, number, factor, duration, by_calls)) = far {
                    params = params.retry_jitter(factor).probe_timeout(duration).recovery(duration);
                    params.threshold = threshold;
                    params = if by_calls { params.window_calls(number) } else { params.buckets(number) };
                }
                Rule::on("r", params)
            })
            .boxed()
    }

    fn document(rule: Rule<Self>) -> Rules {
        Rules::new().circuit_breaker([rule])
    }
}

laws!(CircuitBreaker);
