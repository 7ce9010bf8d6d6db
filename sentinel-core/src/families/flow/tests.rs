use std::time::Duration;

use proptest::{prelude::*, strategy::Strategy as _};

use super::{Strategy, *};
use crate::{
    Rule, Rules,
    families::laws::{Lawful, laws},
};

impl Lawful for Flow {
    fn any_rule() -> BoxedStrategy<Rule<Self>> {
        let threshold = prop_oneof![
            6 => (0..20_u32).prop_map(f64::from),
            3 => 0.05..30.0,
            1 => prop::sample::select(vec![-1.0, f64::NAN, f64::INFINITY, 1e12, 1e-3]),
        ];
        let interval = prop::sample::select(vec![0, 1, 100, 1_000, 60_000, 3_600_000]);
        let strategy = prop_oneof![
            4 => Just(Strategy::Direct),
            2 => (1..20_u64, 1.0..6.0).prop_map(|(period, cold_factor)| Strategy::WarmUp {
                period: Duration::from_secs(period),
                cold_factor,
            }),
            1 => (1..30_u32, 1..30_u32).prop_map(|(low, high)| Strategy::MemoryAdaptive(MemoryAdaptive {
                low_memory_threshold: low.into(),
                high_memory_threshold: high.into(),
                low_water_mark: 1 << 20,
                high_water_mark: 1 << 30,
            })),
        ];
        let behavior = prop_oneof![
            3 => Just(Behavior::Reject),
            2 => (0..2_000_u64).prop_map(|wait| Behavior::Throttle { max_queueing_time: Duration::from_millis(wait) }),
        ];
        let window =
            prop_oneof![4 => Just(Window::Sliding), 1 => (1..4_u32).prop_map(|buckets| Window::Aligned { buckets })];
        let origin = prop_oneof![
            4 => Just(OriginSelector::Any),
            1 => Just(OriginSelector::Named("web".into())),
            1 => Just(OriginSelector::Other),
        ];
        let related = prop::sample::select(vec![None, None, None, Some("db".to_owned())]);
        (threshold, interval, strategy, behavior, window, origin, related)
            .prop_map(|(threshold, interval, strategy, behavior, window, origin, related_resource)| {
                let mut rule = FlowRule::new("r", threshold);
                rule.params.interval = Duration::from_millis(interval);
                if let Strategy::MemoryAdaptive(_) = strategy {
                    // It has thresholds of its own, and documents do not keep another.
                    rule.params.threshold = 0.0;
                }
                rule.params.strategy = strategy;
                rule.params.behavior = behavior;
                rule.params.window = window;
                rule.params.origin = origin;
                rule.params.related_resource = related_resource;
                rule
            })
            .boxed()
    }

    fn document(rule: Rule<Self>) -> Rules {
        Rules::new().flow([rule])
    }
}

laws!(Flow);
