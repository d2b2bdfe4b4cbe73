//! The error for invalid sizes, rates and options of a network.

/// An invalid field of a network's shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidShape {
    /// The field, such as `hidden_sizes` or, nested, `encoder.hidden_sizes`.
    pub field: String,
    /// Why the value is invalid, and what is expected.
    pub reason: String,
}

impl InvalidShape {
    /// An error for `field`.
    pub fn new(field: &str, reason: impl Into<String>) -> Self {
        Self { field: field.to_owned(), reason: reason.into() }
    }

    /// The same error with `part` prepended to the field's path.
    #[must_use]
    pub fn within(self, part: &str) -> Self {
        Self { field: format!("{part}.{}", self.field), ..self }
    }
}

/// Checks that a size is positive.
///
/// # Errors
/// If it is zero.
pub fn positive(field: &str, size: usize) -> Result<(), InvalidShape> {
    if size > 0 { Ok(()) } else { Err(InvalidShape::new(field, "must be at least 1, got 0")) }
}

/// Checks that a dropout or zoneout rate is in [0, 1).
///
/// # Errors
/// If it is not, or is NaN.
pub fn probability(field: &str, probability: f64) -> Result<(), InvalidShape> {
    if (0.0..1.0).contains(&probability) {
        Ok(())
    } else {
        Err(InvalidShape::new(field, format!("{probability} is not in [0, 1)")))
    }
}

/// Panics if the check of a shape failed.
///
/// # Panics
/// With the error as message.
pub(crate) fn expect_valid(checked: Result<(), InvalidShape>) {
    checked.unwrap_or_else(|error| panic!("{error}"));
}
