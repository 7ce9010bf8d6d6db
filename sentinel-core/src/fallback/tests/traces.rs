//! Any trace goes as a plain list of values would.

use proptest::{collection::vec, prelude::*};

use super::*;

const KEYS: usize = 6;

#[derive(Clone, Debug)]
enum Act {
    Store(usize),
    Get(usize),
    Forget(usize),
    Advance(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..KEYS).prop_map(Act::Store),
        4 => (0..KEYS).prop_map(Act::Get),
        1 => (0..KEYS).prop_map(Act::Forget),
        3 => (0..8_u64).prop_map(Act::Advance),
    ]
}

#[derive(Clone, Copy)]
struct Naive {
    key: usize,
    value: usize,
    stored: u64,
    given: Option<u64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_trace_goes_as_a_list_would(
        max in 1..5_usize,
        time_to_live in 1..20_u64,
        while_given in proptest::option::of(1..20_u64),
        acts in vec(act(), 1..100),
    ) {
        let stale_while = while_given.map(|bound| SECOND * bound.min(time_to_live) as u32);
        let time = SECOND * time_to_live as u32;
        let config = FallbackConfig { max_keys: max, time_to_live: time, stale_while };
        let (clock, fallback) = fallback(config);
        // The one that was used last comes last.
        let mut list: Vec<Naive> = Vec::new();
        let mut now = 0;
        for (value, act) in acts.into_iter().enumerate() {
            match act {
                Act::Store(key) => {
                    fallback.store(key.to_string(), value);
                    let known = list.iter().position(|kept| kept.key == key);
                    match known {
                        Some(at) => drop(list.remove(at)),
                        None => for _ in 0..2 {
                            if list.len() == max || list.first().is_some_and(|kept| now - kept.stored >= time_to_live) {
                                list.remove(0);
                            }
                        }
                    }
                    list.push(Naive { key, value, stored: now, given: None });
                }
                Act::Get(key) => {
                    let real = fallback.get(&*key.to_string());
                    let mut naive = None;
                    if let Some(at) = list.iter().position(|kept| kept.key == key) {
                        let mut kept = list.remove(at);
                        let age = now - kept.stored;
                        if age < time_to_live {
                            let given = *kept.given.get_or_insert(now);
                            if stale_while.is_none_or(|bound| now - given < bound.as_secs()) {
                                naive = Some(Stale { value: Arc::new(kept.value), age: SECOND * age as u32 });
                            }
                            list.push(kept);
                        }
                    }
                    prop_assert_eq!(real, naive);
                }
                Act::Forget(key) => {
                    fallback.forget(&*key.to_string());
                    list.retain(|kept| kept.key != key);
                }
                Act::Advance(seconds) => {
                    clock.advance(Duration::from_secs(seconds));
                    now += seconds;
                }
            }
            prop_assert_eq!(fallback.len(), list.len());
        }
    }
}
