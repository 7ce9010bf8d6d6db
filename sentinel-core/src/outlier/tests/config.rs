use super::*;

fn refused(change: impl FnOnce(&mut OutlierConfig)) -> String {
    let mut config = OutlierConfig::default();
    change(&mut config);
    OutlierDetector::with_clock(config, ManualClock::new()).unwrap_err().to_string()
}

#[test]
fn a_setting_out_of_its_range_is_named_with_what_would_be_right() {
    assert_eq!(
        refused(|config| config.max_ejected_share = 1.5),
        "outlier detector: max_ejected_share is 1.5, but a share is from 0 to 1",
    );
    assert_eq!(
        refused(|config| config.max_ejection_time = SECOND),
        "outlier detector: max_ejection_time is 1s, but it is at least the base ejection time and at most a day",
    );
}

#[test]
fn every_setting_has_a_range() {
    type Change = fn(&mut OutlierConfig);
    let cases: [(&str, Change); 23] = [
        ("consecutive_errors", |config| config.consecutive_errors = Some(0)),
        ("consecutive_errors", |config| config.consecutive_errors = Some(1_000_001)),
        ("error_ratio.threshold", |config| *config = config.clone().error_ratio(0.0, 1)),
        ("error_ratio.threshold", |config| *config = config.clone().error_ratio(f64::NAN, 1)),
        ("error_ratio.min_request_amount", |config| *config = config.clone().error_ratio(0.5, 0)),
        ("success_rate.factor", |config| *config = config.clone().success_rate(0.0, 5, 1)),
        ("success_rate.factor", |config| *config = config.clone().success_rate(f64::INFINITY, 5, 1)),
        ("success_rate.min_backends", |config| *config = config.clone().success_rate(1.9, 1, 1)),
        ("success_rate.min_request_amount", |config| *config = config.clone().success_rate(1.9, 5, 0)),
        ("success_rate.min_gap", |config| {
            config.success_rate = Some(SuccessRate { min_gap: f64::NAN, ..SuccessRate::default() });
        }),
        ("interval", |config| config.interval = Duration::from_millis(99)),
        ("interval", |config| config.interval = SECOND * 301),
        ("base_ejection_time", |config| config.base_ejection_time = Duration::ZERO),
        ("max_ejection_time", |config| config.max_ejection_time = SECOND * 86_401),
        ("jitter", |config| config.jitter = SECOND * 86_401),
        ("max_ejected_share", |config| config.max_ejected_share = -0.1),
        ("max_ejected_share", |config| config.max_ejected_share = f64::NAN),
        ("probes", |config| config.probes = 0),
        ("probes", |config| config.probes = 1_001),
        ("max_backends", |config| config.max_backends = 0),
        ("max_backends", |config| config.max_backends = 10_001),
        ("forget_after", |config| config.forget_after = Duration::ZERO),
        ("forget_after", |config| config.forget_after = Duration::MAX),
    ];
    for (field, change) in cases {
        assert!(refused(change).starts_with(&format!("outlier detector: {field} is ")), "{field}");
    }
}
