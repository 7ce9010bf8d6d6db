//! The rules of sentinel-core 0.1.3 that calls are compared under are in force.

use sentinel_benches::{families::Kind, peers::sentinel_published_under};
use sentinel_core_published::{EntryBuilder, base::TrafficType};

fn call(kind: Kind, resource: &'static str, permits: u32) -> impl Fn() -> bool {
    sentinel_published_under(kind, resource, permits).expect("it can be set up").expect("there is such a rule")
}

fn enter(resource: &str, direction: TrafficType) -> sentinel_core_published::base::EntryStrongPtr {
    EntryBuilder::new(resource.to_owned()).with_traffic_type(direction).build().expect("the first call is admitted")
}

#[test]
fn what_has_used_up_its_permits_is_refused() {
    for (kind, resource) in [(Kind::Flow, "flow"), (Kind::Hotspot, "hotspot")] {
        let call = call(kind, resource, 1);
        assert!(call() && !call(), "{kind:?}");
    }
}

#[test]
fn one_more_at_a_time_is_refused() {
    for (kind, resource, direction) in
        [(Kind::Isolation, "isolation", TrafficType::Outbound), (Kind::InFlight, "in flight", TrafficType::Inbound)]
    {
        let call = call(kind, resource, 1);
        assert!(call(), "{kind:?}");
        let inside = enter(resource, direction);
        assert!(!call(), "{kind:?}");
        inside.exit();
    }
}
