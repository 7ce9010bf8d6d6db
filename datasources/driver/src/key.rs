use sentinel_core::Encoding;

/// A key of a server, and how what it holds is written.
///
/// # Example
///
/// ```
/// use sentinel_core::Encoding;
/// use sentinel_datasource::Key;
///
/// let detected = Key::from("/orders/rules.yaml");
/// let of_the_dashboard = Key::new("orders-flow-rules", Encoding::java().family("flow"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// Its name.
    pub name: String,
    /// How what it holds is written.
    pub encoding: Encoding,
}

impl Key {
    /// A key that holds what is written so.
    pub fn new(name: impl Into<String>, encoding: Encoding) -> Self {
        Self { name: name.into(), encoding }
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Self::new(name, Encoding::detected())
    }
}

impl From<String> for Key {
    fn from(name: String) -> Self {
        Self::new(name, Encoding::detected())
    }
}
