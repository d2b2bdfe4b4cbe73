//! Examples as they are read, to inspect data before training.

/// An example: its text, tokens and labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// The text before tokenization, with the target of a pair; empty if the example is no text.
    pub text: String,
    /// Tokens of the text, or of the source of a pair.
    pub tokens: Vec<String>,
    /// The label of the text, or the labels of its tokens; none if the task has no labels.
    pub labels: Vec<String>,
}
