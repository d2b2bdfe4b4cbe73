//! A loaded dataset.

use std::path::Path;

use crate::baselines::{Baseline, NaiveBayesFeatures};
use crate::cleaning::Cleaning;
use crate::columns::Columns;
use crate::problems::Parameters;
use crate::records::{Records, Split};

/// A loaded dataset: the records of each split, and what tasks need to know of them.
#[derive(Debug, Clone, Default)]
pub struct Splits {
    /// Training split.
    pub train: Records,
    /// Validation split.
    pub validation: Records,
    /// Test split; empty if there is none.
    pub test: Records,
    /// Columns by role.
    pub columns: Columns,
    /// Whether a rule divided one table into all splits.
    pub is_divided: bool,
    /// Names of the labels or tags, in order; empty: those of the whole table if it [is divided](Self::is_divided), else of the training and
    /// validation splits, in alphabetical order.
    pub labels: Vec<String>,
    /// Cleaning already applied to texts and tokens; a model needs it for new ones too.
    pub cleaning: Cleaning,
    /// Rule-based baselines.
    pub baselines: Vec<Baseline>,
    /// Features of the naive Bayes baseline; `None` to omit it.
    pub naive_bayes: Option<NaiveBayesFeatures>,
    /// Length of the season of a series in rows; `None`: that of its time step.
    pub season: Option<usize>,
    /// Number of time steps that a series may lack.
    pub missing_steps: usize,
    /// The problem of which the records are examples, from which further ones can be drawn; `None` if there is none.
    pub problem: Option<Parameters>,
    /// What was skipped while loading, for the user.
    pub notes: Vec<String>,
}

impl Splits {
    /// The records of a split.
    pub fn split(&self, split: Split) -> &Records {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// SHA-256 digest of the test split in the columns with a role; `None` if it is empty.
    pub fn test_digest(&self) -> Option<String> {
        (!self.test.is_empty()).then(|| self.test.digest(&self.columns.names()))
    }

    /// The records whose labels a model knows, if they are not given: those of the training and the validation split, and those of the test
    /// split if a rule divided one table, where a rare label may be in any part. Files of the test split cannot add a label, unless the
    /// training split was not read.
    pub(crate) fn labeled(&self) -> impl Iterator<Item = &Records> {
        let test = Some(&self.test).filter(|_| self.is_divided || self.train.is_empty());
        [&self.train, &self.validation].into_iter().chain(test).filter(|records| !records.is_empty())
    }

    /// The first file that was read.
    pub(crate) fn file(&self) -> Option<&Path> {
        Split::ALL.into_iter().find_map(|split| self.split(split).file())
    }

    /// Names of the labels that are found in the [labeled](Self::labeled) records, if they are not given.
    pub(crate) fn labels_of<'a>(&'a self, found: impl Iterator<Item = &'a str>) -> Vec<String> {
        if !self.labels.is_empty() {
            return self.labels.clone();
        }
        found.collect::<std::collections::BTreeSet<_>>().into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Column;

    #[test]
    fn the_digest_of_the_test_split_covers_columns_with_a_role() {
        let digest = |texts: &[&str], lists: &[&[&str]], ids: &[&str]| {
            let list = |list: &&[&str]| -> Vec<String> { list.iter().map(|item| (*item).to_owned()).collect() };
            let lists: Vec<Vec<String>> = lists.iter().map(list).collect();
            let test = Records::new([
                ("id", Column::text(ids.iter().copied())),
                ("text", Column::text(texts.iter().copied())),
                ("tags", Column::Lists(lists)),
            ]);
            let columns = Columns::default().with("text", "text").with("tags", "tags");
            Splits { test, columns, ..Splits::default() }.test_digest()
        };
        let one = digest(&["a b"], &[&["x", "y"]], &["1"]);
        assert!(one.is_some());
        assert_eq!(one, digest(&["a b"], &[&["x", "y"]], &["2"]));
        assert_ne!(one, digest(&["a c"], &[&["x", "y"]], &["1"]));
        assert_ne!(one, digest(&["a b"], &[&["x", "z"]], &["1"]));
        assert_ne!(one, digest(&["a b", "a b"], &[&["x"], &["y"]], &["1", "1"]));
        assert_eq!(digest(&[], &[], &[]), None);
    }
}
