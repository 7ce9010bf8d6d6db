/// A setting that a component cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{component}: {field} is {value}, but {expected}")]
#[non_exhaustive]
pub struct InvalidSetting {
    /// What was to be made.
    pub component: &'static str,
    /// The field of its settings.
    pub field: &'static str,
    /// What it holds.
    pub value: String,
    /// What would be right.
    pub expected: &'static str,
}

/// Checks the settings of one component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings(pub(crate) &'static str);

impl Settings {
    /// # Errors
    ///
    /// When it is not `valid`.
    pub(crate) fn check(
        self,
        valid: bool,
        field: &'static str,
        value: impl std::fmt::Debug,
        expected: &'static str,
    ) -> Result<(), InvalidSetting> {
        if valid {
            return Ok(());
        }
        Err(InvalidSetting { component: self.0, field, value: format!("{value:?}"), expected })
    }
}
