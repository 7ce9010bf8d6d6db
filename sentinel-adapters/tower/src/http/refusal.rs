//! The response to a request that is refused.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use sentinel_core::Blocked;
use serde_json::json;

use super::{accept::prefers_text, head::RequestHead};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const PROBLEM_TYPES: &str = "https://iana.org/assignments/http-problem-types";
/// The largest integer of a structured field (RFC 9651, section 3.3.1).
const MAX_INTEGER: f64 = 999_999_999_999_999.0;

/// How requests are refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) statuses: Vec<(&'static str, StatusCode)>,
    pub(super) explain: bool,
    pub(super) rate_limit_fields: bool,
}

impl Default for Refusal {
    fn default() -> Self {
        Self { statuses: Vec::new(), explain: false, rate_limit_fields: true }
    }
}

impl Refusal {
    pub(super) fn response(&self, blocked: &Blocked, head: RequestHead<'_>) -> Response<Bytes> {
        let status = self.status(blocked.family());
        let as_text = prefers_text(head.headers);
        let body = if as_text { text(blocked, status) } else { self.problem(blocked, status) };
        let length = body.len();
        let mut response = Response::new(if head.method == Method::HEAD { Bytes::new() } else { body });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let media_type = if as_text { "text/plain; charset=utf-8" } else { "application/problem+json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(CONTENT_LENGTH, length.into());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = blocked.retry_after() {
            headers.insert(RETRY_AFTER, delay_seconds(wait).into());
        }
        if self.rate_limit_fields {
            let name = structured_string(blocked.rule_id());
            let policy = policy(&name, blocked.threshold(), blocked.interval());
            let left = remaining(&name, blocked.interval().and(blocked.retry_after()));
            for (field, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
                // Structured strings hold only printable characters, so this is always a valid value.
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(field, value);
                }
            }
        }
        response
    }

    /// The status for a family: 429 where callers use up a quota, 503 where the service itself is not well.
    fn status(&self, family: &str) -> StatusCode {
        if let Some((_, status)) = self.statuses.iter().find(|(known, _)| *known == family) {
            return *status;
        }
        match family {
            "flow" | "hotspot" => StatusCode::TOO_MANY_REQUESTS,
            "authority" => StatusCode::FORBIDDEN,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn problem(&self, blocked: &Blocked, status: StatusCode) -> Bytes {
        let (kind, title) = match status {
            StatusCode::TOO_MANY_REQUESTS => (format!("{PROBLEM_TYPES}#quota-exceeded"), "Quota exceeded"),
            StatusCode::SERVICE_UNAVAILABLE => {
                (format!("{PROBLEM_TYPES}#temporary-reduced-capacity"), "Temporarily reduced capacity")
            }
            _ => ("about:blank".to_owned(), status.canonical_reason().unwrap_or("Refused")),
        };
        let mut problem = json!({
            "type": kind,
            "title": title,
            "status": status.as_u16(),
            "detail": detail(blocked),
            "violated-policies": [blocked.rule_id()],
            "resource": blocked.resource(),
        });
        if let Some(wait) = blocked.retry_after() {
            problem["retry-after-ms"] = json!(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX));
        }
        if self.explain {
            problem["threshold"] = json!(blocked.threshold());
            problem["observed"] = json!(blocked.observed());
        }
        Bytes::from(problem.to_string())
    }
}

fn text(blocked: &Blocked, status: StatusCode) -> Bytes {
    format!("{}: {}\n", status.canonical_reason().unwrap_or("Refused"), detail(blocked)).into()
}

/// What happened, without numbers that the rule's owner may want to keep to himself.
fn detail(blocked: &Blocked) -> String {
    let (resource, family) = (blocked.resource(), blocked.family());
    match blocked.retry_after() {
        Some(wait) => format!("`{resource}` refuses this request ({family}); try again in {} s", delay_seconds(wait)),
        None => format!("`{resource}` refuses this request ({family}); trying again will not help"),
    }
}

/// Whole seconds, at least one (RFC 9110, section 10.2.3): trying again earlier would be too early.
fn delay_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// A quota in a whole number of seconds: rules say theirs in any interval, and as any number.
fn policy(name: &str, threshold: f64, interval: Option<Duration>) -> String {
    let threshold = threshold.max(0.0);
    let Some(interval) = interval.filter(|interval| !interval.is_zero()) else {
        return format!("{name};q={};qu=\"concurrent-requests\"", integer(threshold.floor()));
    };
    let seconds = interval.as_secs_f64();
    let window = seconds.ceil();
    let quota = (threshold * (window / seconds)).floor();
    if quota >= 1.0 || threshold == 0.0 {
        format!("{name};q={};w={}", integer(quota), integer(window))
    } else {
        format!("{name};q=1;w={}", integer((seconds / threshold).ceil()))
    }
}

/// What is left: nothing, until some of it is back.
fn remaining(name: &str, back_in: Option<Duration>) -> String {
    match back_in {
        Some(wait) => format!("{name};r=0;t={}", integer(delay_seconds(wait) as f64)),
        None => format!("{name};r=0"),
    }
}

fn integer(value: f64) -> u64 {
    value.clamp(0.0, MAX_INTEGER) as u64
}

/// A string of a structured field (RFC 9651, section 3.3.3), other characters percent-encoded.
fn structured_string(text: &str) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => string.extend(['\\', char::from(byte)]),
            b' '..=b'~' => string.push(char::from(byte)),
            _ => {
                let _infallible = write!(string, "%{byte:02X}");
            }
        }
    }
    string.push('"');
    string
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_whole_seconds_and_at_least_one() {
        for (wait, seconds) in [(0, 1), (200, 1), (1_000, 1), (1_001, 2), (36_218, 37)] {
            assert_eq!(delay_seconds(Duration::from_millis(wait)), seconds, "{wait} ms");
        }
        assert_eq!(delay_seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn names_are_structured_strings_whatever_they_are() {
        assert_eq!(structured_string(r#"größe "x""#), r#""gr%C3%B6%C3%9Fe \"x\"""#);
        assert_eq!(structured_string("a\\b\r\n"), r#""a\\b%0D%0A""#);
    }

    #[test]
    fn quotas_of_any_interval_are_told_in_whole_seconds() {
        let policy = |threshold, ms| policy("\"p\"", threshold, Some(Duration::from_millis(ms)));
        assert_eq!(policy(5.0, 1_000), "\"p\";q=5;w=1");
        assert_eq!(policy(100.0, 60_000), "\"p\";q=100;w=60");
        assert_eq!(policy(1_000.0, 100), "\"p\";q=10000;w=1");
        assert_eq!(policy(100.0, 1_500), "\"p\";q=133;w=2");
        assert_eq!(policy(0.2, 1_000), "\"p\";q=1;w=5");
        assert_eq!(policy(0.0, 1_000), "\"p\";q=0;w=1");
        assert_eq!(policy(1e300, 1_000), "\"p\";q=999999999999999;w=1");
    }

    #[test]
    fn a_limit_without_an_interval_is_one_of_concurrent_requests() {
        assert_eq!(policy("\"p\"", 8.0, None), "\"p\";q=8;qu=\"concurrent-requests\"");
        assert_eq!(remaining("\"p\"", None), "\"p\";r=0");
    }

    #[test]
    fn families_have_a_status_that_can_be_set() {
        let mut refusal = Refusal::default();
        for (family, status) in [("flow", 429), ("hotspot", 429), ("authority", 403), ("isolation", 503), ("new", 503)]
        {
            assert_eq!(refusal.status(family), status, "{family}");
        }
        refusal.statuses.push(("flow", StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(refusal.status("flow"), 503);
    }
}
