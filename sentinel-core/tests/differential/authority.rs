use proptest::{collection::vec, prelude::*, sample::select};
use sentinel_core::{AuthorityRule, Call, List, Rules};

use super::under;

const ORIGINS: [&str; 14] = ["", " ", "web", "web ", "\tmobile", "mobile", "a", "b", "c", "d", "e", "f", "g", "batch"];

/// Whether one list admits an origin, looked up one by one.
fn admits(rule: &AuthorityRule, origin: &str) -> bool {
    let listed = rule.params.origins.iter().any(|known| known.trim() == origin.trim());
    match rule.params.list {
        List::Allow if origin.trim().is_empty() => !rule.params.strict,
        List::Allow => listed,
        _ => origin.trim().is_empty() || !listed,
    }
}

fn any_rule() -> impl Strategy<Value = AuthorityRule> {
    (vec(select(&ORIGINS[2..]), 1..12), any::<bool>(), any::<bool>()).prop_map(|(origins, allows, strict)| {
        match (allows, strict) {
            (true, true) => AuthorityRule::allow("r", origins).strict(),
            (true, false) => AuthorityRule::allow("r", origins),
            (false, _) => AuthorityRule::deny("r", origins),
        }
    })
}

proptest! {
    #[test]
    fn who_may_call_is_in_every_list(rules in vec(any_rule(), 1..4), callers in vec(select(&ORIGINS[..]), 1..40)) {
        let (_clock, sentinel) = under(Rules::new().authority(rules.clone()), 7);
        for caller in callers {
            let admitted = sentinel.enter_with("r", &Call::new().origin(caller)).immediately();
            let expected = rules.iter().all(|rule| admits(rule, caller));
            prop_assert_eq!(admitted.is_ok(), expected, "`{}`", caller);
        }
    }
}
