use std::{borrow::Cow, fmt};

/// The longest name of two parts that is put together without an allocation.
const INLINE: usize = 128;

/// The name of a resource, as a request says it.
///
/// ```
/// use http::Method;
/// use sentinel_tower::{Http, Name};
///
/// let http = Http::<String>::new(|head| match head.uri.path() {
///     "/health" => None,
///     _ if *head.method == Method::POST => Some("write".into()),
///     _ => Some(Name::of_two(head.uri.host().unwrap_or("here"), "read")), // such as `here read`, without an allocation
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name<'a>(Parts<'a>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Parts<'a> {
    One(Cow<'a, str>),
    Two(&'a str, &'a str),
}

impl<'a> Name<'a> {
    /// A name of two parts with a space between them, such as a method and a route.
    pub const fn of_two(first: &'a str, second: &'a str) -> Self {
        Self(Parts::Two(first, second))
    }

    /// Lends the whole name.
    pub(crate) fn with<T>(&self, go_on: impl FnOnce(&str) -> T) -> T {
        match self.0 {
            Parts::One(ref name) => go_on(name),
            Parts::Two(first, second) => {
                let mut buffer = [b' '; INLINE];
                match join(&mut buffer, first, second) {
                    Some(name) => go_on(name),
                    None => go_on(&format!("{first} {second}")),
                }
            }
        }
    }
}

/// Puts two parts into a buffer of spaces, if there is room.
fn join<'b>(buffer: &'b mut [u8; INLINE], first: &str, second: &str) -> Option<&'b str> {
    let len = first.len() + 1 + second.len();
    buffer.get_mut(..first.len())?.copy_from_slice(first.as_bytes());
    buffer.get_mut(first.len() + 1..len)?.copy_from_slice(second.as_bytes());
    str::from_utf8(buffer.get(..len)?).ok()
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|name| f.pad(name))
    }
}

impl<'a> From<&'a str> for Name<'a> {
    fn from(name: &'a str) -> Self {
        Self(Parts::One(Cow::Borrowed(name)))
    }
}

impl<'a> From<&'a String> for Name<'a> {
    fn from(name: &'a String) -> Self {
        Self::from(name.as_str())
    }
}

impl From<String> for Name<'_> {
    fn from(name: String) -> Self {
        Self(Parts::One(Cow::Owned(name)))
    }
}

impl<'a> From<Cow<'a, str>> for Name<'a> {
    fn from(name: Cow<'a, str>) -> Self {
        Self(Parts::One(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_parts_are_one_name_however_long_they_are() {
        assert_eq!(Name::of_two("GET", "/ö").with(str::to_owned), "GET /ö");
        for len in INLINE - 5..INLINE + 5 {
            let long = "x".repeat(len);
            assert_eq!(Name::of_two("GET", &long).with(str::to_owned), format!("GET {long}"));
            assert_eq!(Name::of_two(&long, "GET").with(str::to_owned), format!("{long} GET"));
        }
        assert_eq!(Name::from("whole").with(str::to_owned), "whole");
        assert_eq!(Name::of_two("GET", "/ö").to_string(), "GET /ö");
    }
}
