//! Columns by role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DataError;

/// Names of the columns that a task uses, by role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// classification, language-model: column of the texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// classification: column of the label of each text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// tagging: column of the tokens of each sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
    /// tagging: column of the tags, one per token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// seq2seq: column of the source texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// seq2seq: column of the target texts; forecasting: column to forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// forecasting: column of the timestamps, in order and with equal steps; without it, rows are numbered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// forecasting: further input columns (past covariates), known up to the forecast origin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// classification, seq2seq: columns whose values define groups, for which metrics are reported separately.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Columns {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The names of all columns with a role.
    pub fn names(&self) -> Vec<&str> {
        let Self { text, label, tokens, tags, source, target, time, features, groups } = self;
        let single = [text, label, tokens, tags, source, target, time].into_iter().flatten();
        single.chain(features).chain(groups).map(String::as_str).collect()
    }

    /// The task that these columns determine: `classification` (text, label), `tagging` (tokens, tags), `seq2seq` (source, target),
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

    /// The name of the column with a required role.
    ///
    /// # Errors
    /// If no column has the role.
    pub fn need<'a>(role: &'static str, name: Option<&'a String>) -> Result<&'a str, DataError> {
        let missing = || {
            let field = format!("data.columns.{role}");
            DataError::setting(field, "none", format!("name the column to use as {role}"))
        };
        name.map(String::as_str).ok_or_else(missing)
    }

    pub(crate) fn over(self, base: Self) -> Self {
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
