//! A service of fixed capacity under any load, on a manual clock: what rules make of an overload.
//!
//! One queue, first come, first served; so many servers behind it; calls that arrive at random (a Poisson process);
//! service times of a given mean and coefficient of variation. The engine is the real one, and every run is the same
//! again.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use sentinel_core::{Criticality, Entry, ManualClock, Rules, Sentinel, Target};

/// What is protected.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Calls that are worked on at a time.
    pub servers: u32,
    /// The mean time that one takes.
    pub mean: Duration,
    /// The coefficient of variation of that time: 0 is constant, 1 exponential; between them, 1 over the square root of a
    /// whole number.
    pub variation: f64,
}

impl Service {
    /// Sixteen servers, 20 ms a call: 800 calls a second.
    pub fn new(variation: f64) -> Self {
        Self { servers: 16, mean: Duration::from_millis(20), variation }
    }

    /// Calls per second that it can answer.
    pub fn capacity(&self) -> f64 {
        f64::from(self.servers) / self.mean.as_secs_f64()
    }
}

/// What happens to it.
#[expect(missing_debug_implementations, reason = "it holds closures")]
pub struct Scenario<'a> {
    /// The service.
    pub service: Service,
    /// The load at a second of the run, in parts of the capacity.
    pub load: &'a dyn Fn(f64) -> f64,
    /// The share of its speed that the service has at a second of the run.
    pub speed: &'a dyn Fn(f64) -> f64,
    /// The share of its servers that work at a second of the run.
    pub working: &'a dyn Fn(f64) -> f64,
    /// How long it lasts.
    pub length: Duration,
    /// The calls that are not like the others.
    pub mix: Mix,
    /// What chance is made of.
    pub seed: u64,
}

/// Shares of the calls that are not like the others, chosen by chance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mix {
    /// Calls of the resource `costly`, and how many times as much work they are.
    pub costly: (f64, f64),
    /// Calls that are critical.
    pub critical: f64,
    /// Calls that are sheddable.
    pub sheddable: f64,
}

impl<'a> Scenario<'a> {
    /// A minute of this load.
    pub fn new(service: Service, load: &'a dyn Fn(f64) -> f64) -> Self {
        Self {
            service,
            load,
            speed: &|_| 1.0,
            working: &|_| 1.0,
            length: Duration::from_secs(60),
            mix: Mix::default(),
            seed: 1,
        }
    }

    /// Calls per second that the service can answer at full speed with all servers.
    pub fn capacity(&self) -> f64 {
        let (share, factor) = self.mix.costly;
        self.service.capacity() / (1.0 - share + share * factor)
    }

    /// Runs it under rules for the inbound resource `service`, and says what became of every call.
    ///
    /// The share of the servers that are busy is reported as CPU usage twice a second.
    ///
    /// # Panics
    ///
    /// When the rules are invalid.
    pub fn run(&self, rules: Rules) -> Record {
        let clock = ManualClock::new();
        let sentinel =
            Sentinel::builder().clock(clock.clone()).seed(self.seed).build().expect("the defaults are valid");
        sentinel.rules().replace("simulation", rules).expect("the rules are valid");
        Run::new(self, clock, sentinel).play()
    }
}

/// What became of the calls.
#[derive(Clone, Debug, Default)]
pub struct Record {
    calls: Vec<Call>,
}

/// One call.
#[derive(Clone, Copy, Debug)]
struct Call {
    /// The second at which it arrived.
    arrived: f64,
    /// How many seconds its answer took; `None` if it was refused, or had none at the end.
    took: Option<f64>,
    criticality: Criticality,
    is_costly: bool,
}

impl Record {
    /// The calls of one class.
    pub fn of(&self, criticality: Criticality) -> Self {
        Self { calls: self.calls.iter().filter(|call| call.criticality == criticality).copied().collect() }
    }

    /// The calls of the resource `costly`, or of the other one.
    pub fn costly(&self, is_costly: bool) -> Self {
        Self { calls: self.calls.iter().filter(|call| call.is_costly == is_costly).copied().collect() }
    }

    /// How many calls that arrived within these seconds were answered in time, per second.
    pub fn goodput(&self, seconds: std::ops::Range<f64>, deadline: Duration) -> f64 {
        let length = seconds.end - seconds.start;
        let in_time = |took: &f64| *took <= deadline.as_secs_f64();
        self.within(seconds).filter(|call| call.took.as_ref().is_some_and(in_time)).count() as f64 / length
    }

    /// How many calls arrived within these seconds, per second.
    pub fn offered(&self, seconds: std::ops::Range<f64>) -> f64 {
        let length = seconds.end - seconds.start;
        self.within(seconds).count() as f64 / length
    }

    /// The 99th percentile of the times of the answers to calls that arrived within these seconds.
    pub fn p99(&self, seconds: std::ops::Range<f64>) -> Duration {
        let mut times: Vec<f64> = self.within(seconds).filter_map(|call| call.took).collect();
        times.sort_unstable_by(f64::total_cmp);
        Duration::from_secs_f64(times.get(times.len() * 99 / 100).copied().unwrap_or_default())
    }

    fn within(&self, seconds: std::ops::Range<f64>) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| seconds.contains(&call.arrived))
    }
}

/// How often the CPU usage is read, in seconds.
const READING: f64 = 0.5;

struct Run<'a> {
    scenario: &'a Scenario<'a>,
    clock: ManualClock,
    sentinel: Sentinel,
    chance: Chance,
    events: BinaryHeap<Reverse<Event>>,
    now: f64,
    busy: u32,
    /// Server seconds since the last reading.
    worked: f64,
    queue: VecDeque<Inside>,
    working: Vec<Option<Inside>>,
    record: Record,
}

/// A call that was let in.
struct Inside {
    number: usize,
    _entry: Entry,
}

struct Event {
    at: f64,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Arrival,
    /// A server is done.
    End(usize),
    Reading,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario<'a>, clock: ManualClock, sentinel: Sentinel) -> Self {
        let mut run = Self {
            scenario,
            clock,
            sentinel,
            chance: Chance(scenario.seed),
            events: BinaryHeap::new(),
            now: 0.0,
            busy: 0,
            worked: 0.0,
            queue: VecDeque::new(),
            working: (0..scenario.service.servers).map(|_| None).collect(),
            record: Record::default(),
        };
        run.plan_arrival();
        run.plan(READING, What::Reading);
        run
    }

    fn play(mut self) -> Record {
        let end = self.scenario.length.as_secs_f64();
        while let Some(Reverse(Event { at, what })) = self.events.pop() {
            if at > end {
                break;
            }
            self.worked += f64::from(self.busy) * (at - self.now);
            self.now = at;
            self.clock.advance_to(Duration::from_secs_f64(at));
            match what {
                What::Arrival => self.arrive(),
                What::End(server) => self.end(server),
                What::Reading => self.read(),
            }
        }
        self.record
    }

    fn arrive(&mut self) {
        self.plan_arrival();
        let number = self.record.calls.len();
        let (is_costly, criticality) = self.draw();
        self.record.calls.push(Call { arrived: self.now, took: None, criticality, is_costly });
        let target = Target::new(if is_costly { "costly" } else { "service" }).inbound();
        if let Ok(entry) =
            self.sentinel.enter_with(target, &sentinel_core::Call::new().criticality(criticality)).immediately()
        {
            let inside = Inside { number, _entry: entry };
            match self.free_server() {
                Some(server) => self.serve(server, inside),
                None => self.queue.push_back(inside),
            }
        }
    }

    /// What kind of call comes.
    fn draw(&mut self) -> (bool, Criticality) {
        let Mix { costly, critical, sheddable } = self.scenario.mix;
        let is_costly = costly.0 > 0.0 && self.chance.uniform() < costly.0;
        if critical + sheddable == 0.0 {
            return (is_costly, Criticality::Default);
        }
        let class = self.chance.uniform();
        let criticality = if class < critical {
            Criticality::Critical
        } else if class < critical + sheddable {
            Criticality::Sheddable
        } else {
            Criticality::Default
        };
        (is_costly, criticality)
    }

    fn serve(&mut self, server: usize, inside: Inside) {
        let Service { mean, variation, .. } = self.scenario.service;
        let speed = (self.scenario.speed)(self.now);
        let is_costly = self.record.calls.get(inside.number).is_some_and(|call| call.is_costly);
        let work = if is_costly { self.scenario.mix.costly.1 } else { 1.0 };
        let time = self.chance.service_time(work * mean.as_secs_f64() / speed, variation);
        self.busy += 1;
        self.working[server] = Some(inside);
        self.plan(time, What::End(server));
    }

    fn end(&mut self, server: usize) {
        self.busy -= 1;
        if let Some(inside) = self.working[server].take() {
            let call = &mut self.record.calls[inside.number];
            call.took = Some(self.now - call.arrived);
        }
        while !self.queue.is_empty()
            && let Some(server) = self.free_server()
            && let Some(next) = self.queue.pop_front()
        {
            self.serve(server, next);
        }
    }

    fn free_server(&self) -> Option<usize> {
        let working = f64::from(self.scenario.service.servers) * (self.scenario.working)(self.now);
        self.working.iter().take(working.round() as usize).position(Option::is_none)
    }

    fn read(&mut self) {
        let usage = self.worked / (f64::from(self.scenario.service.servers) * READING);
        self.sentinel.signals().set_cpu_usage(usage.min(1.0));
        self.worked = 0.0;
        self.plan(READING, What::Reading);
    }

    fn plan_arrival(&mut self) {
        let rate = self.scenario.capacity() * (self.scenario.load)(self.now);
        let pause = self.chance.exponential(1.0 / rate);
        self.plan(pause, What::Arrival);
    }

    fn plan(&mut self, after: f64, what: What) {
        self.events.push(Reverse(Event { at: self.now + after, what }));
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at)
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}

/// Numbers that look random, the same ones again for the same seed (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -(1.0 - self.uniform()).ln() * mean
    }

    /// The sum of exponential parts has the variation of 1 over the root of their number.
    fn service_time(&mut self, mean: f64, variation: f64) -> f64 {
        if variation == 0.0 {
            return mean;
        }
        let parts = (1.0 / (variation * variation)).round().max(1.0);
        (0..parts as u32).map(|_| self.exponential(mean / parts)).sum()
    }
}
