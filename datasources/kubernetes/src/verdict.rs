//! What became of the rules of an object, as its status says it.

use std::sync::Arc;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use sentinel_datasource::SourceError;
use serde_json::{Value, json};

use crate::{objects::Object, resources::ACCEPTED};

/// The longest message of a condition, in characters; longer ones are cut.
const MAX_MESSAGE: usize = 2_000;

/// What became of the rules of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// How many are in force, if they are as they should be.
    rules: Option<usize>,
    reason: &'static str,
    message: String,
}

impl Verdict {
    pub(crate) fn new(result: &Result<usize, Arc<SourceError>>) -> Self {
        match result {
            Ok(rules) => Self {
                rules: Some(*rules),
                reason: "InForce",
                message: match rules {
                    1 => "1 rule is in force".to_owned(),
                    rules => format!("{rules} rules are in force"),
                },
            },
            Err(error) => Self { rules: None, reason: reason(error), message: cut(error.to_string()) },
        }
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.rules.is_some()
    }

    fn status(&self) -> &'static str {
        if self.is_accepted() { "True" } else { "False" }
    }

    /// Whether the status of an object says so already, about the object as it is now.
    pub(crate) fn is_said(&self, object: &Object) -> bool {
        accepted(object).is_some_and(|said| {
            said.observed_generation == Some(object.generation)
                && (&*said.status, &*said.reason, &*said.message) == (self.status(), self.reason, &*self.message)
        })
    }

    /// The change of the object that says so, as a merge patch. It is refused when the object has changed meanwhile.
    pub(crate) fn patch(&self, object: &Object) -> Value {
        let before = accepted(object);
        let since = before.filter(|before| before.status == self.status()).map(|before| before.last_transition_time);
        let condition = Condition {
            type_: ACCEPTED.to_owned(),
            status: self.status().to_owned(),
            reason: self.reason.to_owned(),
            message: self.message.clone(),
            observed_generation: Some(object.generation),
            last_transition_time: since.unwrap_or_else(|| Time(Timestamp::now())),
        };
        // A merge patch replaces lists, so those of others are in it too.
        let mut conditions: Vec<Value> = conditions(object).iter().filter(|other| !is_ours(other)).cloned().collect();
        conditions.push(json!(condition));
        let mut status = json!({"observedGeneration": object.generation, "conditions": conditions});
        if let Some(rules) = self.rules {
            status["rules"] = json!(rules);
        }
        json!({"metadata": {"resourceVersion": object.version}, "status": status})
    }
}

/// Whether somebody says about an object as it is now that its rules are not in force.
pub(crate) fn is_refused(object: &Object) -> bool {
    accepted(object).is_some_and(|said| said.observed_generation == Some(object.generation) && said.status == "False")
}

fn conditions(object: &Object) -> &[Value] {
    object.status.get("conditions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_ours(condition: &Value) -> bool {
    condition.get("type").and_then(Value::as_str) == Some(ACCEPTED)
}

/// Our condition in the status of an object; one that makes no sense is as if it were not there.
fn accepted(object: &Object) -> Option<Condition> {
    let condition = conditions(object).iter().find(|condition| is_ours(condition))?;
    serde_json::from_value(condition.clone()).ok()
}

fn reason(error: &SourceError) -> &'static str {
    match error {
        SourceError::Document { .. } => "Invalid",
        SourceError::Conflict { .. } => "Conflict",
        SourceError::TooLarge { .. } => "TooLarge",
        SourceError::Rules { .. } => "Refused",
        _ => "Unusable",
    }
}

fn cut(message: String) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use sentinel_datasource::Cause;

    use super::*;
    use crate::Kind;

    pub(crate) fn object(generation: i64, status: Value) -> Object {
        Object {
            kind: Kind::FlowRules,
            namespace: "shop".to_owned(),
            name: "orders".to_owned(),
            uid: "u".to_owned(),
            generation,
            version: "7".to_owned(),
            spec: b"{}".to_vec(),
            status,
        }
    }

    pub(crate) fn good(rules: usize) -> Verdict {
        Verdict::new(&Ok(rules))
    }

    pub(crate) fn bad(cause: &str) -> Verdict {
        let error = SourceError::Unreadable { key: "k".to_owned(), cause: Cause::text(cause) };
        Verdict::new(&Err(Arc::new(error)))
    }

    /// The object after a patch.
    pub(crate) fn patched(mut object: Object, verdict: &Verdict) -> Object {
        object.status = verdict.patch(&object)["status"].clone();
        object
    }

    #[test]
    fn what_is_written_is_what_is_said_until_the_object_is_another() {
        for verdict in [good(1), good(2), bad("no")] {
            let mut object = object(3, Value::Null);
            assert!(!verdict.is_said(&object));
            object = patched(object, &verdict);
            assert!(verdict.is_said(&object));
            assert_eq!(is_refused(&object), !verdict.is_accepted());
            assert!(!good(5).is_said(&object) && !bad("other").is_said(&object));
            object.generation += 1;
            assert!(!verdict.is_said(&object) && !is_refused(&object));
        }
    }

    #[test]
    fn a_patch_names_the_version_it_is_for_and_leaves_the_conditions_of_others() {
        let others = json!({"conditions": [{"type": "Seen", "status": "True"}, {"type": "Accepted", "status": 7}]});
        let patch = good(2).patch(&object(3, others));
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!((&patch["status"]["rules"], &patch["status"]["observedGeneration"]), (&json!(2), &json!(3)));
        let conditions = patch["status"]["conditions"].as_array().unwrap();
        assert_eq!(conditions.len(), 2);
        assert_eq!(conditions[0], json!({"type": "Seen", "status": "True"}));
        assert_eq!(
            (&conditions[1]["reason"], &conditions[1]["message"]),
            (&json!("InForce"), &json!("2 rules are in force"))
        );
        assert!(bad("no").patch(&object(3, Value::Null))["status"].get("rules").is_none(), "the last good ones are");
    }

    #[test]
    fn the_time_of_a_condition_is_that_of_its_last_change() {
        let time = |object: &Object| object.status["conditions"][0]["lastTransitionTime"].clone();
        let mut object = object(3, Value::Null);
        object.status = json!({"conditions": [{
            "type": "Accepted", "status": "True", "reason": "InForce", "message": "1 rule is in force",
            "lastTransitionTime": "2020-01-01T00:00:00Z", "observedGeneration": 2,
        }]});
        let before = time(&object);
        let same = patched(object.clone(), &good(2));
        assert_eq!(time(&same), before);
        assert_ne!(time(&patched(same, &bad("no"))), before);
    }

    #[test]
    fn a_long_message_is_cut() {
        let message = bad(&"ä".repeat(3_000)).message;
        assert_eq!(message.chars().count(), MAX_MESSAGE + 1);
    }
}
