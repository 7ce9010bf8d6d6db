//! The schemas of the kinds: what they let pass is what the core reads, and what they refuse is said in words.

mod conditions;

use kube::core::cel::{Validator, compile_schema};
use sentinel_core::{Encoding, Rules};
use sentinel_kubernetes::{
    Kind,
    resources::{AuthorityRule, CircuitBreakerRule, FlowRule, HotspotRule, IsolationRule, SheddingRule, SystemRule},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use self::conditions::{disagreeing, least, with};

/// The schema of one rule.
fn schema(kind: Kind) -> Value {
    let definition = serde_json::to_value(kind.definition()).unwrap();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/rules/items";
    definition.pointer(spec).unwrap_or_else(|| panic!("{definition}")).clone()
}

/// What the core makes of a rule: what is odd about it, or what is wrong.
fn read(kind: Kind, rule: &Value) -> Result<Vec<String>, String> {
    let spec = json!({"rules": [rule]}).to_string();
    let encoding = Encoding::kubernetes().family(kind.family());
    let parsed = Rules::decode(spec.as_bytes(), &encoding).map_err(|error| error.to_string())?;
    Ok(parsed.warnings.iter().map(ToString::to_string).collect())
}

/// The rule as its type here writes it again.
fn typed(kind: Kind, rule: &Value) -> Value {
    fn through<T: DeserializeOwned + Serialize>(rule: &Value) -> Value {
        let typed: T = serde_json::from_value(rule.clone()).unwrap_or_else(|error| panic!("{rule}: {error}"));
        serde_json::to_value(typed).unwrap()
    }
    match kind {
        Kind::FlowRules => through::<FlowRule>(rule),
        Kind::IsolationRules => through::<IsolationRule>(rule),
        Kind::CircuitBreakerRules => through::<CircuitBreakerRule>(rule),
        Kind::HotspotRules => through::<HotspotRule>(rule),
        Kind::SystemRules => through::<SystemRule>(rule),
        Kind::AuthorityRules => through::<AuthorityRule>(rule),
        Kind::SheddingRules => through::<SheddingRule>(rule),
        other => panic!("{other} has no type"),
    }
}

fn refusals(kind: Kind, rule: &Value) -> Vec<String> {
    let refused = Validator::new().validate(&schema(kind), rule, None).err();
    refused.into_iter().flat_map(kube::core::cel::ValidationErrors::into_vec).map(|error| error.message).collect()
}

/// The values that a field may have at its bounds.
fn bounds(field: &Map<String, Value>) -> Vec<Value> {
    let number = |name: &str| field.get(name).and_then(Value::as_f64);
    let of_type = |number: f64| match field["type"].as_str() {
        Some("integer") => json!(number as i64),
        _ => json!(number),
    };
    if let Some(choices) = field.get("enum").and_then(Value::as_array) {
        return choices.clone();
    }
    match field["type"].as_str() {
        Some("boolean") => vec![json!(true), json!(false)],
        Some("string") => {
            let text = |name| number(name).map(|length| json!("x".repeat(length as usize)));
            [text("minLength"), text("maxLength")].into_iter().flatten().collect()
        }
        Some("integer" | "number") => ["minimum", "maximum"].into_iter().filter_map(number).map(of_type).collect(),
        Some("array") if field["items"]["type"] == "string" => vec![json!(["web"])],
        Some("array") => {
            let item = |kind: &str, text: &str| json!({"valKind": kind, "valStr": text, "threshold": 0});
            let items = [("KindInt", "-7"), ("KindString", ""), ("KindBool", "true"), ("KindFloat64", "1.5")];
            vec![items.into_iter().map(|(kind, text)| item(kind, text)).collect(), json!([])]
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_schemas_let_pass_up_to_their_bounds_is_what_the_core_reads() {
    for kind in Kind::ALL {
        let schema = schema(kind);
        let mut taken = 0;
        for (name, field) in schema["properties"].as_object().unwrap() {
            let values = bounds(field.as_object().unwrap());
            assert!(!values.is_empty(), "{kind}: {name} has no bounds");
            for value in values {
                let mut rule = least(kind);
                rule[name] = value;
                if !refusals(kind, &rule).is_empty() {
                    continue;
                }
                taken += 1;
                let warnings = read(kind, &rule).unwrap_or_else(|error| panic!("{kind}: {rule}: {error}"));
                let unknown: Vec<_> = warnings.iter().filter(|warning| warning.contains("unknown field")).collect();
                assert!(unknown.is_empty(), "{kind}: {rule}: {unknown:?}");
                let again = read(kind, &typed(kind, &rule));
                assert_eq!(again, Ok(warnings), "{kind}: {rule}");
            }
        }
        assert!(taken >= schema["properties"].as_object().unwrap().len(), "{kind}: {taken} were taken");
    }
}

#[test]
fn what_the_schemas_require_the_core_cannot_do_without() {
    for kind in Kind::ALL {
        for required in schema(kind)["required"].as_array().into_iter().flatten() {
            let name = required.as_str().unwrap();
            let mut rule = least(kind);
            rule.as_object_mut().unwrap().remove(name).unwrap_or_else(|| panic!("{kind}: {name}"));
            let error = read(kind, &rule).expect_err(name);
            assert!(error.contains(name), "{kind}: {error}");
        }
    }
}

#[test]
fn what_fields_have_to_agree_on_is_refused_in_words_and_by_the_core_as_well() {
    for (kind, rule, expected) in disagreeing() {
        let refusals = refusals(kind, &rule);
        assert!(refusals.iter().any(|message| message.contains(expected)), "{rule}: {refusals:?}");
        assert!(read(kind, &rule).is_err(), "{kind}: {rule}");
    }
    let both = with(Kind::HotspotRules, &json!({"paramIndex": 0, "paramKey": "user"}));
    assert!(refusals(Kind::HotspotRules, &both)[0].contains("exclude each other"));

    for (kind, fields) in [
        (Kind::FlowRules, json!({"relationStrategy": "AssociatedResource", "refResource": "other"})),
        (Kind::FlowRules, json!({"tokenCalculateStrategy": "WarmUp", "warmUpPeriodSec": 10})),
        (Kind::CircuitBreakerRules, json!({"strategy": "ErrorRatio", "threshold": 100})),
        (Kind::CircuitBreakerRules, json!({"threshold": 1000})),
        (Kind::HotspotRules, json!({"metricType": "QPS", "durationInSec": 1, "paramKey": "user"})),
        (Kind::SystemRules, json!({"metricType": "Load", "strategy": "BBR", "triggerCount": 800})),
        (Kind::SystemRules, json!({"triggerCount": 0})),
    ] {
        let rule = with(kind, &fields);
        assert_eq!(refusals(kind, &rule), Vec::<String>::new(), "{rule}");
        assert_eq!(read(kind, &rule), Ok(vec![]), "{rule}");
    }
}

#[test]
fn the_conditions_of_the_schemas_are_valid() {
    for kind in Kind::ALL {
        let compiled = compile_schema(&schema(kind));
        assert!(!compiled.has_errors(), "{kind}: {:?}", compiled.compilation_errors());
    }
}
