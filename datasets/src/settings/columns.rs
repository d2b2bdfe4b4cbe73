//! Columns by role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DataError;

/// Columns by role: the names of the columns that a task reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// Text to classify, or running text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Label of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Tokens of a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
    /// Tags of the tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Source text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Target text of a pair, or the series to forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Timestamps of a series; without them, rows are numbered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Features of a series, known up to the forecast origin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Groups for per-group metrics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Columns {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The names of all columns with a role.
    pub fn names(&self) -> Vec<&str> {
        let Self { text, label, tokens, tags, source, target, time, features, groups } = self;
        let single = [text, label, tokens, tags, source, target, time].into_iter().flatten();
        single.chain(features).chain(groups).map(String::as_str).collect()
    }

    /// The task that these columns allow: `classification` (text, label), `tagging` (tokens, tags), `seq2seq` (source, target),
    /// `forecasting` (target) or `language-model` (text).
    pub fn task(&self) -> Option<&'static str> {
        match self {
            Self { text: Some(_), label: Some(_), .. } => Some("classification"),
            Self { tokens: Some(_), tags: Some(_), .. } => Some("tagging"),
            Self { source: Some(_), target: Some(_), .. } => Some("seq2seq"),
            Self { target: Some(_), .. } => Some("forecasting"),
            Self { text: Some(_), .. } => Some("language-model"),
            _ => None,
        }
    }

    /// The name of the column with a role, as a value of `data.columns`.
    ///
    /// # Errors
    /// If there is none.
    pub fn need<'a>(role: &'static str, name: Option<&'a String>) -> Result<&'a str, DataError> {
        let missing = || {
            let field = format!("data.columns.{role}");
            DataError::setting(field, "none", format!("name the column to use as {role}"))
        };
        name.map(String::as_str).ok_or_else(missing)
    }

    pub(super) fn over(self, base: Self) -> Self {
        let several = |own: Vec<String>, base| if own.is_empty() { base } else { own };
        Self {
            text: self.text.or(base.text),
            label: self.label.or(base.label),
            tokens: self.tokens.or(base.tokens),
            tags: self.tags.or(base.tags),
            source: self.source.or(base.source),
            target: self.target.or(base.target),
            time: self.time.or(base.time),
            features: several(self.features, base.features),
            groups: several(self.groups, base.groups),
        }
    }
}
