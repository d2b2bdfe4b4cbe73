//! Texts with a target of any type, such as a set of labels or a number.

use std::sync::Arc;

use crate::DataError;
use crate::cleaning::Cleaning;
use crate::digest::Digest;
use crate::records::{Records, Split};
use crate::scores::Group;
use crate::splits::Splits;

/// A text and its target.
#[derive(Debug, Clone, PartialEq)]
pub struct Example<T> {
    /// The text, before tokenization.
    pub text: String,
    /// The target.
    pub target: T,
    /// Groups for per-group metrics.
    pub groups: Arc<[Group]>,
}

/// The texts of each split.
#[derive(Debug, Clone, PartialEq)]
pub struct Texts<T> {
    /// Training split.
    pub train: Vec<Example<T>>,
    /// Validation split.
    pub validation: Vec<Example<T>>,
    /// Test split; empty if its file is missing.
    pub test: Vec<Example<T>>,
    /// Cleaning steps that were applied to these texts, and that a model applies to new ones.
    pub cleaning: Cleaning,
}

impl<T> Texts<T> {
    /// Converts records, using the columns `text` and `groups`; `targets` converts the records of a split to the target of each text.
    ///
    /// # Errors
    /// If a column is missing, or a target is invalid.
    pub(crate) fn from_records(
        splits: &Splits,
        targets: impl Fn(&Records) -> Result<Vec<T>, DataError>,
    ) -> Result<Self, DataError> {
        let text = splits.columns.need("text")?;
        let examples = |records: &Records| -> Result<Vec<Example<T>>, DataError> {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let groups = records.groups(splits.columns.several("groups"))?;
            let texts = records.texts("text", text)?.iter().zip(groups);
            let example = |((text, groups), target): ((&Arc<str>, Arc<[Group]>), T)| Example {
                text: text.to_string(),
                target,
                groups,
            };
            Ok(texts.zip(targets(records)?).map(example).collect())
        };
        Ok(Self {
            train: examples(&splits.train)?,
            validation: examples(&splits.validation)?,
            test: examples(&splits.test)?,
            cleaning: splits.cleaning.clone(),
        })
    }

    /// The examples of a split.
    pub fn split(&self, split: Split) -> &[Example<T>] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// The examples of each split, to change them.
    pub fn splits_mut(&mut self) -> [&mut Vec<Example<T>>; 3] {
        [&mut self.train, &mut self.validation, &mut self.test]
    }

    /// SHA-256 digest of the training and validation splits, with the targets as texts.
    pub(crate) fn digest(&self, target: impl Fn(&T) -> String) -> String {
        let mut digest = Digest::default();
        for example in self.train.iter().chain(&self.validation) {
            digest.text(&example.text);
            digest.text(&target(&example.target));
        }
        digest.finish()
    }
}
