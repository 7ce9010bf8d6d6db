//! Rules: documents, what may be wrong with them, and how they are put in force.

mod compiled;
#[cfg(feature = "json")]
mod document;
#[cfg(feature = "json")]
mod fields;
mod format;
mod invalid;
mod pattern;
mod rule;
mod set;
#[cfg(all(test, feature = "json", feature = "toml", feature = "yaml"))]
mod tests;
#[cfg(feature = "json")]
mod unique;
#[cfg(feature = "json")]
mod wire;

pub(crate) use self::{
    compiled::{Choice, Compiled, FamilyTable, compile_family},
    invalid::{Report, validate_family},
    set::Parts,
};
#[cfg(feature = "json")]
pub use self::{
    document::Parsed,
    wire::{Dialect, Encoding},
};
#[cfg(feature = "json")]
pub(crate) use self::{
    document::{Read, read_family, write_family},
    fields::{Fields, Names, Writer},
    wire::{Form, Found, GATEWAY, Outgoing, own, read_cluster},
};
pub use self::{
    format::Format,
    invalid::{InvalidDocument, InvalidRule, InvalidRules, Problem, Warning},
    rule::{Rule, Selector},
    set::{Changes, ReplaceError, RuleSet},
};
