//! What is said of sizes, rates and choices with which no network can be built.

/// A value that fits no network, by the field of the shape that holds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidShape {
    /// The field, such as `hidden_sizes`; within a part of a shape, `encoder.hidden_sizes`.
    pub field: String,
    /// What does not fit, and what would.
    pub reason: String,
}

impl InvalidShape {
    /// A invalid_shape of a field.
    pub fn new(field: &str, reason: impl Into<String>) -> Self {
        Self { field: field.to_owned(), reason: reason.into() }
    }

    /// The same invalid_shape as seen from a shape that holds this one as `part`.
    #[must_use]
    pub fn within(self, part: &str) -> Self {
        Self { field: format!("{part}.{}", self.field), ..self }
    }
}

/// Refuses a size of zero.
///
/// # Errors
/// If it is zero.
pub fn positive(field: &str, size: usize) -> Result<(), InvalidShape> {
    if size > 0 { Ok(()) } else { Err(InvalidShape::new(field, "0 is too few; at least 1 is needed")) }
}

/// Refuses a rate outside [0, 1).
///
/// # Errors
/// If it is outside.
pub fn rate(field: &str, rate: f64) -> Result<(), InvalidShape> {
    if (0.0..1.0).contains(&rate) { Ok(()) } else { Err(InvalidShape::new(field, format!("{rate} is not in [0, 1)"))) }
}

/// Ends the building of a network that its shape's check refuses.
///
/// # Panics
/// With what does not fit.
pub(crate) fn expect_fit(checked: Result<(), InvalidShape>) {
    checked.unwrap_or_else(|invalid_shape| panic!("{invalid_shape}"));
}
