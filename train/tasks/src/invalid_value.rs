//! Errors about values of recipe fields.

use std::borrow::Cow;

use seqzoo_datasets::nearest::did_you_mean;

/// An invalid value of a recipe field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} = {value}: {expected}")]
pub struct InvalidValue {
    /// The field, `section.field`.
    pub field: Cow<'static, str>,
    /// The value.
    pub value: String,
    /// Valid values.
    pub expected: String,
}

impl InvalidValue {
    /// An invalid value of a field, with what is expected.
    pub fn new(field: impl Into<Cow<'static, str>>, value: impl ToString, expected: impl Into<String>) -> Self {
        Self { field: field.into(), value: value.to_string(), expected: expected.into() }
    }

    /// An unknown name, with the nearest known one.
    pub fn unknown(field: &'static str, name: &str, known: &[&str]) -> Self {
        let hint = did_you_mean(name, known.iter().copied());
        Self::new(field, name, format!("unknown name{hint}; available: {}", known.join(", ")))
    }
}
