use std::{fmt, path::Path};

#[cfg(feature = "json")]
use super::{InvalidDocument, unique};

/// A format of rule documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JSON (feature `json`).
    Json,
    /// TOML 1 (feature `toml`).
    Toml,
    /// YAML 1.2 (feature `yaml`).
    Yaml,
}

impl Format {
    /// The format that the extension of a file names: `json`, `toml`, `yaml` or `yml`.
    pub fn from_path(path: impl AsRef<Path>) -> Option<Self> {
        let extension = path.as_ref().extension()?.to_str()?;
        let named = |name: &str| extension.eq_ignore_ascii_case(name);
        match () {
            () if named("json") => Some(Self::Json),
            () if named("toml") => Some(Self::Toml),
            () if named("yaml") || named("yml") => Some(Self::Yaml),
            () => None,
        }
    }

    /// The format that a document looks like by how it begins.
    #[cfg(feature = "json")]
    pub(crate) fn detect(document: &[u8]) -> Self {
        let text = String::from_utf8_lossy(document);
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
        let within = first.trim_start_matches(['[', ' ']);
        match first.chars().next() {
            Some('{') => Self::Json,
            // A table is called by a word; a list has something in it that is none, or goes on in the next line.
            Some('[') if within.starts_with(|c: char| c.is_alphabetic()) => Self::Toml,
            Some('[') => Self::Json,
            Some(_) if first.split(':').next().is_some_and(|key| key.contains('=')) => Self::Toml,
            _ => Self::Yaml,
        }
    }

    /// Reads a document as a tree.
    #[cfg(feature = "json")]
    pub(crate) fn parse(self, bytes: &[u8]) -> Result<serde_json::Value, InvalidDocument> {
        // Editors on Windows put a mark of the byte order in front.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| self.syntax(&error))?;
        match self {
            _ if text.trim().is_empty() => Err(InvalidDocument::Empty),
            Self::Json => unique::parse(text).map_err(|error| self.syntax(&error)),
            Self::Toml => self.parse_toml(text),
            Self::Yaml => self.parse_yaml(text),
        }
    }

    /// Writes a tree as a document.
    #[cfg(feature = "json")]
    pub(crate) fn write(self, tree: &serde_json::Value) -> Result<String, InvalidDocument> {
        match self {
            Self::Json => {
                let text = serde_json::to_string_pretty(tree).map_err(|error| self.syntax(&error))?;
                Ok(text + "\n")
            }
            Self::Toml => self.write_toml(tree),
            Self::Yaml => self.write_yaml(tree),
        }
    }

    #[cfg(feature = "toml")]
    fn parse_toml(self, text: &str) -> Result<serde_json::Value, InvalidDocument> {
        let tree: toml::Table = toml::from_str(text).map_err(|error| self.syntax(&error))?;
        if tree.is_empty() { Err(InvalidDocument::Empty) } else { Ok(from_toml(toml::Value::Table(tree))) }
    }

    #[cfg(feature = "toml")]
    fn write_toml(self, tree: &serde_json::Value) -> Result<String, InvalidDocument> {
        // A table without anything in it is written as nothing, which is no document.
        let is_empty = tree.as_object().is_some_and(serde_json::Map::is_empty);
        let written = if is_empty { Ok("flow = []\n".to_owned()) } else { toml::to_string(tree) };
        written.map_err(|error| self.syntax(&error))
    }

    #[cfg(feature = "yaml")]
    fn parse_yaml(self, text: &str) -> Result<serde_json::Value, InvalidDocument> {
        // Every node takes a byte at least, so these bounds stop what aliases multiply and nothing else.
        let size = text.len().max(10_000);
        let options = serde_saphyr::options! {
            with_snippet: false,
            budget: serde_saphyr::budget! {
                max_events: size.saturating_mul(2),
                max_nodes: size,
                max_total_scalar_bytes: size.saturating_mul(2),
            },
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| self.syntax(&error))
    }

    #[cfg(feature = "yaml")]
    fn write_yaml(self, tree: &serde_json::Value) -> Result<String, InvalidDocument> {
        serde_saphyr::to_string(tree).map_err(|error| self.syntax(&error))
    }

    #[cfg(all(feature = "json", not(feature = "toml")))]
    fn parse_toml(self, _text: &str) -> Result<serde_json::Value, InvalidDocument> {
        Err(InvalidDocument::FeatureOff { format: self, feature: "toml" })
    }

    #[cfg(all(feature = "json", not(feature = "toml")))]
    fn write_toml(self, _tree: &serde_json::Value) -> Result<String, InvalidDocument> {
        Err(InvalidDocument::FeatureOff { format: self, feature: "toml" })
    }

    #[cfg(all(feature = "json", not(feature = "yaml")))]
    fn parse_yaml(self, _text: &str) -> Result<serde_json::Value, InvalidDocument> {
        Err(InvalidDocument::FeatureOff { format: self, feature: "yaml" })
    }

    #[cfg(all(feature = "json", not(feature = "yaml")))]
    fn write_yaml(self, _tree: &serde_json::Value) -> Result<String, InvalidDocument> {
        Err(InvalidDocument::FeatureOff { format: self, feature: "yaml" })
    }

    #[cfg(feature = "json")]
    fn syntax(self, message: &dyn fmt::Display) -> InvalidDocument {
        InvalidDocument::Syntax { format: self, message: message.to_string() }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
        })
    }
}

/// The same tree. What only TOML knows becomes a text, which is an error wherever something else is expected.
#[cfg(feature = "toml")]
fn from_toml(value: toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) if number.is_finite() => number.into(),
        toml::Value::Float(number) => number.to_string().to_lowercase().into(),
        toml::Value::Boolean(is_true) => is_true.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(from_toml).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, from_toml(value))).collect(),
    }
}
