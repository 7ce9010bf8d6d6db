//! What the fuzz targets have in common.

mod rules;

use sentinel_core::{Encoding, FAMILIES, Format, InvalidDocument, Parsed, Rules, Sentinel};

pub use self::rules::{AnyRule, rules_of};

/// Resources: more than there is room for, and one by which a family's rules for all others go.
pub const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "*"];
/// Callers.
pub const ORIGINS: [&str; 3] = ["", "web", "mobile"];

/// One of several, by any number.
pub fn pick<T: Copy>(from: &[T], index: u8) -> T {
    from[usize::from(index) % from.len()]
}

/// Reads a document: whatever the bytes, there is no panic; what is read can be written, and reads as the same again; and
/// putting it in force either works or says what is wrong.
pub fn document(bytes: &[u8], format: Format) {
    match Rules::parse(bytes, format) {
        Ok(parsed) => in_force(parsed, format),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Reads a document of others, of the family that the first byte chooses if it is a digit: whatever the bytes, there is no
/// panic; what is read can be written as ours, and comes back; and what can be written in the same form comes back from
/// that, too.
pub fn document_of_others(bytes: &[u8], encoding: Encoding) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let (encoding, bytes) = match FAMILIES.get(usize::from(first.wrapping_sub(b'0'))) {
        Some(family) => (encoding.family(*family), rest),
        None => (encoding, bytes),
    };
    let parsed = match Rules::decode(bytes, &encoding) {
        Ok(parsed) => parsed,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    match parsed.rules.encode(&encoding) {
        Ok(text) => {
            // What is left open cannot always be told, for those who write it as for those who read it.
            let is_open = encoding.family.is_none() || encoding.dialect.is_none();
            let again = match Rules::decode(text.as_bytes(), &encoding) {
                Err(InvalidDocument::Ambiguous { .. }) if is_open => None,
                again => Some(again.expect("what was written can be read")),
            };
            assert!(again.is_none_or(|again| again.rules == parsed.rules));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    in_force(parsed, Format::Json);
}

/// Writes what was read, reads it again, and puts it in force.
fn in_force(parsed: Parsed, format: Format) {
    for warning in &parsed.warnings {
        assert!(!warning.to_string().is_empty());
    }
    let text = parsed.rules.to_text(format).expect("what was read can be written");
    let again = Rules::parse(text.as_bytes(), format).expect("what was written can be read");
    assert_eq!(again.rules, parsed.rules);
    let sentinel = Sentinel::default();
    if let Err(error) = sentinel.rules().replace("fuzz", parsed.rules) {
        assert!(!error.to_string().is_empty());
    }
}
