//! What the fuzz targets have in common.

mod rules;

use sentinel_core::{Format, Rules, Sentinel};

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
    let parsed = match Rules::parse(bytes, format) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
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
