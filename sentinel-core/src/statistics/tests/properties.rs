//! Against a log of everything that happened.

use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::{collection::vec, sample::select, test_runner::TestCaseError};

use super::{
    super::{Node, Outcome, Traffic},
    MS, SECOND, hot,
};

#[derive(Clone, Copy, Debug)]
enum Event {
    Enter(u32),
    Block(u32),
    Exit(u32, u64, Outcome),
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = select(vec![Outcome::Ok, Outcome::Ok, Outcome::Error, Outcome::Ignored]);
    let response_time = prop_oneof![0..2_000_u64, 2_000..50 * MS, 50 * MS..SECOND, SECOND..200 * SECOND];
    prop_oneof![
        3 => (1..5_u32).prop_map(Event::Enter),
        1 => (1..5_u32).prop_map(Event::Block),
        2 => (1..5_u32, response_time, outcome).prop_map(|(count, time, outcome)| Event::Exit(count, time, outcome)),
    ]
}

/// Nanoseconds on, or back.
fn step() -> impl Strategy<Value = i64> {
    const MILLI: i64 = 1_000_000;
    prop_oneof![
        4 => Just(0),
        8 => 0..30 * MILLI,
        6 => 30 * MILLI..400 * MILLI,
        4 => 400 * MILLI..5_000 * MILLI,
        1 => 5_000 * MILLI..90_000 * MILLI,
        1 => 3_600_000 * MILLI..100_000_000 * MILLI,
        3 => -2_000 * MILLI..0,
    ]
}

/// Everything that happened, each with the bucket in which it has to count.
#[derive(Default)]
struct Log {
    events: Vec<(u64, Event)>,
    /// Permits in flight after each event.
    in_flight: Vec<u64>,
    bucket: u64,
}

impl Log {
    fn add(&mut self, bucket: u64, event: Event) {
        self.bucket = self.bucket.max(bucket);
        let before = self.now_in_flight();
        self.events.push((self.bucket, event));
        self.in_flight.push(match event {
            Event::Enter(count) => before + u64::from(count),
            Event::Block(_) => before,
            Event::Exit(count, ..) => before - u64::from(count),
        });
    }

    fn now_in_flight(&self) -> u64 {
        self.in_flight.last().copied().unwrap_or(0)
    }

    /// The window of so many buckets' numbers, after division by `per`, that ends with `bucket`.
    fn traffic(&self, span: Duration, bucket: u64, per: u64, length: u64) -> Traffic {
        let last = bucket.max(self.bucket) / per;
        let old = self.events.partition_point(|(bucket, _)| bucket / per + length <= last);
        let mut traffic = Traffic { span, ..Traffic::default() };
        traffic.in_flight_max = if old == 0 { 0 } else { self.in_flight[old - 1] };
        let mut times = Vec::new();
        for (index, (_, event)) in self.events.iter().enumerate().skip(old) {
            traffic.in_flight_max = traffic.in_flight_max.max(self.in_flight[index]);
            match *event {
                Event::Enter(count) => traffic.pass += u64::from(count),
                Event::Block(count) => traffic.block += u64::from(count),
                Event::Exit(count, time, outcome) => {
                    traffic.complete += u64::from(count);
                    match outcome {
                        Outcome::Ok => {}
                        Outcome::Error => traffic.error += u64::from(count),
                        Outcome::Ignored => {
                            traffic.ignored += u64::from(count);
                            continue;
                        }
                    }
                    traffic.response_times.sum += Duration::from_nanos(time) * count;
                    times.push(if time < 1 << 35 { time } else { time >> 20 << 20 });
                }
            }
        }
        traffic.response_times.min = Duration::from_nanos(times.iter().min().copied().unwrap_or(0));
        traffic.response_times.max = Duration::from_nanos(times.iter().max().copied().unwrap_or(0));
        traffic
    }

    /// The response times of the last six periods of ten seconds, in order, one for each permit.
    fn times(&self, bucket: u64, buckets_per_second: u64) -> Vec<u64> {
        let per = buckets_per_second * 10;
        let last = bucket.max(self.bucket) / per;
        let recent = self.events.iter().filter(|(bucket, _)| bucket / per + 6 > last);
        let mut times: Vec<u64> = recent
            .flat_map(|(_, event)| match *event {
                Event::Exit(count, time, Outcome::Ok | Outcome::Error) => vec![time; count as usize],
                _ => Vec::new(),
            })
            .collect();
        times.sort_unstable();
        times
    }
}

fn near(measured: Duration, times: &[u64], percent: usize) -> Result<(), TestCaseError> {
    let measured = u64::try_from(measured.as_nanos()).expect("tests stay small");
    let exact = match (times.len() * percent).div_ceil(100) {
        0 => 0,
        rank => times[rank - 1],
    };
    prop_assert!(measured.abs_diff(exact) <= (exact / 16).max(64), "p{percent}: {measured} for {exact}");
    Ok(())
}

proptest! {
    #[test]
    fn windows_hold_exactly_what_a_log_of_all_events_holds(
        start in prop_oneof![Just(0), 0..10 * SECOND, 0..1_000_000 * SECOND],
        is_hot in any::<bool>(),
        buckets in select(vec![1_u32, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100]),
        steps in vec((step(), event(), 0..3 * SECOND), 1..120),
    ) {
        let bucket_of = |now| now / (SECOND / u64::from(buckets));
        let mut log = Log::default();
        let node = if is_hot { hot(buckets, start) } else { Node::new(buckets) };
        if is_hot {
            for _ in 0..3 {
                log.add(bucket_of(start), Event::Enter(256));
                log.add(bucket_of(start), Event::Exit(256, 0, Outcome::Ok));
            }
        }
        let mut now = start;
        for (step, event, ahead) in steps {
            now = now.saturating_add_signed(step);
            match event {
                Event::Enter(count) => node.enter(now, count),
                Event::Block(count) => node.block(now, count),
                // What never entered cannot leave.
                Event::Exit(count, ..) if u64::from(count) > log.now_in_flight() => continue,
                Event::Exit(count, time, outcome) => node.exit(now, count, time, outcome),
            }
            log.add(bucket_of(now), event);

            let read = now + ahead;
            let got = node.snapshot(read);
            let per_second = u64::from(buckets);
            let mut second = log.traffic(Duration::from_secs(1), bucket_of(read), 1, per_second);
            let mut minute = log.traffic(Duration::from_secs(60), bucket_of(read), per_second, 60);
            prop_assert_eq!(got.in_flight, log.now_in_flight());
            if is_hot {
                prop_assert!(got.second.in_flight_max <= second.in_flight_max);
                prop_assert!(got.minute.in_flight_max <= minute.in_flight_max);
                second.in_flight_max = got.second.in_flight_max;
                minute.in_flight_max = got.minute.in_flight_max;
            }
            prop_assert_eq!(got.second, second);
            prop_assert_eq!(got.minute, minute);
            prop_assert_eq!(node.passed_last_second(read), second.pass);
            let rows = node.seconds(read);
            prop_assert_eq!(rows.iter().map(|row| row.pass).sum::<u64>(), minute.pass);
            prop_assert_eq!(rows.iter().map(|row| row.response_times.max).max(), Some(minute.response_times.max));

            let times = log.times(bucket_of(read), per_second);
            near(got.percentiles.p50, &times, 50)?;
            near(got.percentiles.p90, &times, 90)?;
            near(got.percentiles.p99, &times, 99)?;
        }
    }
}
