//! What a client would rather read.

use http::{HeaderMap, header::ACCEPT};

/// Whether the client prefers plain text to JSON (RFC 9110, section 12.5.1). Equal preference means JSON.
pub(super) fn prefers_text(headers: &HeaderMap) -> bool {
    let quality = |wanted: &[(&str, &str)]| wanted.iter().map(|&(kind, subtype)| quality(headers, kind, subtype)).max();
    headers.contains_key(ACCEPT)
        && quality(&[("text", "plain"), ("text", "html")])
            > quality(&[("application", "problem+json"), ("application", "json")])
}

/// How much the client wants a media type, in thousandths: as the most specific range says that matches it.
fn quality(headers: &HeaderMap, kind: &str, subtype: &str) -> u16 {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let (of_kind, of_subtype) = parts.next()?.split_once('/')?;
            let specificity = match (of_kind, of_subtype) {
                ("*", "*") => 0,
                (same, "*") if same.eq_ignore_ascii_case(kind) => 1,
                (same, exact) if same.eq_ignore_ascii_case(kind) && exact.eq_ignore_ascii_case(subtype) => 2,
                _ => return None,
            };
            let weight = parts.find_map(|parameter| parameter.strip_prefix("q=").or(parameter.strip_prefix("Q=")));
            Some((specificity, weight.map_or(Some(1_000), thousandths).unwrap_or_default()))
        })
        .max_by_key(|(specificity, _)| *specificity)
        .map_or(0, |(_, quality)| quality)
}

/// A weight from `0` to `1` with up to three decimals.
fn thousandths(weight: &str) -> Option<u16> {
    let weight: f32 = weight.trim().parse().ok()?;
    (0.0..=1.0).contains(&weight).then(|| (weight * 1_000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn prefers(accept: &'static str) -> bool {
        prefers_text(&[(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect())
    }

    #[test]
    fn who_says_nothing_or_takes_anything_gets_json() {
        assert!(!prefers_text(&HeaderMap::new()));
        assert!(!prefers("*/*"));
        assert!(!prefers("application/json, text/plain"));
        assert!(!prefers("nonsense"));
    }

    #[test]
    fn browsers_and_those_who_ask_for_text_get_text() {
        assert!(prefers("text/plain"));
        assert!(prefers("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(prefers("text/*;q=0.5, application/json;q=0.4"));
    }

    #[test]
    fn weights_and_the_more_specific_range_decide() {
        assert!(!prefers("text/plain;q=0.2, application/problem+json"));
        assert!(!prefers("text/plain;q=0, */*;q=0.1"));
        assert!(!prefers("text/plain;q=7, application/json;q=0.1"));
        assert!(prefers("*/*, application/json;q=0.1, application/problem+json;q=0"));
    }
}
