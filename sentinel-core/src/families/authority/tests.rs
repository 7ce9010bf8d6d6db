use proptest::prelude::*;

use super::*;
use crate::{
    Call, Rule, Rules, Sentinel,
    families::laws::{Lawful, laws},
};

impl Lawful for Authority {
    fn any_rule() -> BoxedStrategy<Rule<Self>> {
        let origin = prop::sample::select(vec!["web", "mobile", " web ", "batch", "", " "]);
        let list = prop::sample::select(vec![List::Allow, List::Deny]);
        (prop::collection::vec(origin, 0..4), list, any::<bool>())
            .prop_map(|(origins, list, strict)| {
                let mut rule = AuthorityRule::allow("r", origins);
                rule.params.list = list;
                rule.params.strict = strict;
                rule
            })
            .boxed()
    }

    fn document(rule: Rule<Self>) -> Rules {
        Rules::new().authority([rule])
    }
}

laws!(Authority);

fn admits(rules: Rules, origin: &str) -> bool {
    let sentinel = Sentinel::default();
    sentinel.rules().replace("test", rules).expect("valid");
    sentinel.enter_with("r", &Call::new().origin(origin)).immediately().is_ok()
}

#[test]
fn an_allow_list_admits_whom_it_names_as_a_whole_and_calls_without_an_origin() {
    let rule = || Rules::new().authority([AuthorityRule::allow("r", ["appA", " appB "])]);
    let admitted = ["appA", "appB", " appB", "app", "appC", "appa", "", "  "].map(|origin| admits(rule(), origin));
    assert_eq!(admitted, [true, true, true, false, false, false, true, true]);
}

#[test]
fn a_strict_allow_list_refuses_calls_without_an_origin() {
    let rule = || Rules::new().authority([AuthorityRule::allow("r", ["appA"]).strict()]);
    assert_eq!(["appA", "", " "].map(|origin| admits(rule(), origin)), [true, false, false]);
}

#[test]
fn a_deny_list_refuses_whom_it_names() {
    let rule = || Rules::new().authority([AuthorityRule::deny("r", ["appA", " appB"])]);
    let admitted = ["appA", "appB", "appC", ""].map(|origin| admits(rule(), origin));
    assert_eq!(admitted, [false, false, true, true]);
}

#[test]
fn several_rules_all_have_to_agree() {
    let rules = || {
        let allow = AuthorityRule::allow("r", ["appA", "appB"]);
        Rules::new().authority([allow, AuthorityRule::deny("r", ["appB"])])
    };
    assert_eq!(["appA", "appB", "appC"].map(|origin| admits(rules(), origin)), [true, false, false]);
}

#[test]
fn a_dry_run_counts_what_it_would_refuse() {
    let sentinel = Sentinel::default();
    let rules = Rules::new().authority([AuthorityRule::deny("r", ["appA"]).dry_run()]);
    sentinel.rules().replace("test", rules).expect("valid");
    assert!(sentinel.enter_with("r", &Call::new().origin("appA").count(3)).immediately().is_ok());
    let rules = sentinel.snapshot_of("r").expect("entered").rules;
    assert_eq!(rules.iter().map(|rule| (rule.family, rule.would_block)).collect::<Vec<_>>(), [("authority", 3)]);
}

#[test]
fn a_refusal_takes_nothing_from_the_rules_behind_it() {
    let sentinel = Sentinel::default();
    let rules = Rules::new().authority([AuthorityRule::deny("r", ["appA"])]).flow([crate::FlowRule::new("r", 1.0)]);
    sentinel.rules().replace("test", rules).expect("valid");
    for _ in 0..5 {
        let refused = sentinel.enter_with("r", &Call::new().origin("appA")).immediately().expect_err("denied");
        assert_eq!((refused.family(), refused.retry_after()), ("authority", None));
    }
    assert!(sentinel.enter("r").immediately().is_ok());
}

#[cfg(feature = "json")]
#[test]
fn documents_list_origins_or_write_them_in_one_text() {
    let read = |origins: &str| {
        let document = format!(r#"{{"authority": [{{"resource": "r", "origins": {origins}}}]}}"#);
        Rules::parse(document.as_bytes(), crate::Format::Json)
            .map(|parsed| parsed.rules.authority[0].params.origins.clone())
    };
    assert_eq!(read(r#"["a", "b, c"]"#), Ok(vec!["a".to_owned(), "b, c".to_owned()]));
    assert_eq!(read(r#""a, b""#), Ok(vec!["a".to_owned(), "b".to_owned()]));
    let error = read(r#"["a", 1]"#).expect_err("not a text").to_string();
    assert_eq!(
        error,
        r#"authority rule 1 for `r`: origins is ["a",1], but it is a list of texts, or one text with commas"#
    );
    assert!(read("[]").is_err() && read(r#""a,,b""#).is_err() && read("[\" \"]").is_err());
}
