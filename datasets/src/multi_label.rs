//! Datasets for multi-label classification: texts with any number of labels.

use std::collections::{BTreeSet, HashMap};

use crate::DataError;
use crate::baselines::NaiveBayesFeatures;
use crate::classification::{label_indices, label_list};
use crate::data_spec::{Content, DataSpec, Role};
use crate::naive_bayes::NaiveBayes;
use crate::records::{Column, Records, Split};
use crate::scores::{Evaluation, Metric, Scores, metrics};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::tagging::EXACT_MATCH;
use crate::texts::{Example, Texts};

/// Data for multi-label classification.
pub static DATA: DataSpec = DataSpec {
    task: "multi-label",
    roles: &[
        Role::required("text", Content::Text, "Column of the texts."),
        Role::required(
            "labels",
            Content::Other,
            "Column of the labels of each text: a list, or a text with labels between vertical bars, semicolons or commas; it may be empty.",
        ),
        Role::GROUPS,
    ],
    fields: &["labels", "naive_bayes"],
    default_format: None,
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every"],
    split_note: "whole texts are assigned to splits",
};

metrics! {
    /// F1 over all pairs of a text and a label.
    pub const MICRO_F1 = Higher("micro-f1", "");

    /// Share of right pairs among the predicted ones.
    pub const PRECISION = Higher("precision", "");

    /// Share of predicted pairs among the actual ones.
    pub const RECALL = Higher("recall", "");
}

/// The characters that separate labels; the first that occurs in a column does.
const SEPARATORS: [char; 3] = ['|', ';', ','];

/// The first of these distinct labels that is a list of labels, and its separator: one of its parts is another label or a part of one.
pub fn list_of_labels(labels: &[String]) -> Option<(&str, char)> {
    let of_separator = |separator: char| {
        let parts = |label: &str| -> BTreeSet<String> {
            label.split(separator).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let mut counts: HashMap<String, usize> = HashMap::new();
        labels.iter().flat_map(|label| parts(label)).for_each(|part| *counts.entry(part).or_default() += 1);
        let is_list = |label: &&String| {
            let parts = parts(label);
            parts.len() > 1 && parts.iter().any(|part| counts[part] > 1)
        };
        labels.iter().find(is_list).map(|label| (label.as_str(), separator))
    };
    SEPARATORS.into_iter().find_map(of_separator)
}

/// A loaded dataset for multi-label classification.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiLabel {
    /// Names of the labels.
    pub labels: Vec<String>,
    /// The texts, each with the indices of its labels in ascending order.
    pub texts: Texts<Vec<usize>>,
    /// Features of the naive Bayes baseline; `None` to omit it.
    pub naive_bayes: Option<NaiveBayesFeatures>,
}

impl MultiLabel {
    /// Converts records, using the columns `text`, `labels` and `groups`.
    ///
    /// # Errors
    /// If a column is missing, a label is not among those of the dataset, or there are no labels.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let column = splits.columns.need("labels")?;
        let found = splits.labeled().map(|records| lists(records, column)).collect::<Result<Vec<_>, _>>()?;
        let labels = splits.labels_of(found.iter().flatten().flatten().map(String::as_str));
        if labels.is_empty() {
            let detail = format!("no row has a label in column `{column}`");
            return Err(DataError::of_records(splits.file(), detail));
        }
        let indices = label_indices(&labels);
        let texts = Texts::from_records(splits, |records| {
            let of_row = |(row, names): (usize, Vec<String>)| {
                let index = |name: &String| {
                    indices.get(name.as_str()).copied().ok_or_else(|| {
                        let expected =
                            format!("expected some of {}; name all labels in data.labels", label_list(&labels));
                        records.error(row, format!("invalid label {name:?}: {expected}"))
                    })
                };
                let indices = names.iter().map(index).collect::<Result<BTreeSet<usize>, _>>()?;
                Ok(indices.into_iter().collect::<Vec<_>>())
            };
            lists(records, column)?.into_iter().enumerate().map(of_row).collect()
        })?;
        Ok(Self { labels, texts, naive_bayes: splits.naive_bayes })
    }

    /// Evaluates the baselines on a split: the most frequent labels, as many as a training text has on average; naive Bayes for each label
    /// separately, fitted on the training split and tuned on the validation split.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let mut counts = vec![0; self.labels.len()];
        self.texts.train.iter().flat_map(|example| &example.target).for_each(|&label| counts[label] += 1);
        let mean = counts.iter().sum::<usize>() as f64 / self.texts.train.len().max(1) as f64;
        let mut frequent: Vec<usize> = (0..counts.len()).collect();
        frequent.sort_by_key(|&label| std::cmp::Reverse(counts[label]));
        frequent.truncate((mean.round() as usize).max(1));
        let examples = self.texts.split(split);
        let evaluate = |predict: &dyn Fn(&Example<Vec<usize>>) -> Vec<usize>| {
            let predicted: Vec<Vec<usize>> = examples.iter().map(predict).collect();
            let pairs = examples.iter().zip(&predicted);
            let mut pairs = pairs.map(|(example, predicted)| (example.target.as_slice(), predicted.as_slice()));
            Evaluation::of(scores(self.labels.len(), &mut pairs))
        };
        let first = ("most frequent labels", evaluate(&|_| frequent.clone()));
        let bayes = self.naive_bayes.map(|NaiveBayesFeatures { level, max_n }| {
            let of_label = |label: usize| {
                let has = |example: &Example<Vec<usize>>| usize::from(example.target.contains(&label));
                let [train, validation] = [&self.texts.train, &self.texts.validation]
                    .map(|split| split.iter().map(|example| (example.text.as_str(), has(example))).collect::<Vec<_>>());
                NaiveBayes::tuned(&train, &validation, 2, level, max_n)
            };
            let models: Vec<NaiveBayes> = (0..self.labels.len()).map(of_label).collect();
            let predict = |example: &Example<Vec<usize>>| {
                (0..models.len()).filter(|&label| models[label].predict(&example.text) == 1).collect()
            };
            ("naive Bayes", evaluate(&predict))
        });
        std::iter::once(first).chain(bayes).collect()
    }

    /// SHA-256 digest of the labels and the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let names = |target: &Vec<usize>| target.iter().map(|&label| format!("{}\0", self.labels[label])).collect();
        self.labels.join("\0") + &self.texts.digest(names)
    }
}

/// The labels of each row.
fn lists(records: &Records, column: &str) -> Result<Vec<Vec<String>>, DataError> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    match records.column("labels", column)? {
        Column::Lists(lists) => Ok(lists.clone()),
        _ => {
            let texts = records.texts("labels", column)?;
            let separator = SEPARATORS.into_iter().find(|&mark| texts.iter().any(|text| text.contains(mark)));
            let names = |text: &str| -> Vec<String> {
                let parts = text.split(|c: char| Some(c) == separator).map(str::trim);
                parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
            };
            Ok(texts.iter().map(|text| names(text)).collect())
        }
    }
}

/// Micro-averaged F1, macro-averaged F1 over the labels that occur as actual or predicted, and share of texts all of whose labels are
/// right. `pairs` has the actual and the predicted labels of each text.
///
/// ```text
/// micro-F1 = 2 Σ_c TP_c / (2 Σ_c TP_c + Σ_c FP_c + Σ_c FN_c)
/// ```
pub fn scores(labels: usize, pairs: &mut dyn Iterator<Item = (&[usize], &[usize])>) -> Scores {
    // Of each label, its right predictions, and its examples and predictions together.
    let mut counts = vec![(0usize, 0usize); labels];
    let (mut examples, mut exact) = (0, 0);
    for (actual, predicted) in pairs {
        examples += 1;
        exact += usize::from(actual == predicted);
        actual.iter().chain(predicted).for_each(|&label| counts[label].1 += 1);
        actual.iter().filter(|label| predicted.contains(label)).for_each(|&label| counts[label].0 += 1);
    }
    let f1 = |(hits, all): (usize, usize)| if all == 0 { 0.0 } else { 2.0 * hits as f64 / all as f64 };
    let micro = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    let each: Vec<f64> = counts.iter().filter(|(_, all)| *all > 0).map(|&count| f1(count)).collect();
    let macro_f1 = each.iter().sum::<f64>() / each.len().max(1) as f64;
    let exact = exact as f64 / examples.max(1) as f64;
    Scores::new(examples, [(MICRO_F1, f1(micro)), (Metric::MACRO_F1, macro_f1), (EXACT_MATCH, exact)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;

    fn splits(train: Column, validation: Column) -> Splits {
        let records = |labels: Column, count: usize| {
            let texts: Vec<String> = (0..count).map(|row| format!("text {row}")).collect();
            Records::new([("text", Column::text(texts)), ("tags", labels)])
        };
        Splits {
            train: records(train, 3),
            validation: records(validation, 1),
            columns: Columns::default().with("text", "text").with("labels", "tags"),
            naive_bayes: Some(NaiveBayesFeatures::default()),
            ..Splits::default()
        }
    }

    #[test]
    fn labels_are_lists_or_separated_texts() {
        let data = MultiLabel::from_records(&splits(
            Column::text(["b; a", "", "a,b;a,b"]),
            Column::Lists(vec![vec!["c".to_owned(), "a".to_owned()]]),
        ))
        .unwrap();
        assert_eq!(data.labels, ["a", "a,b", "b", "c"]);
        let targets: Vec<&[usize]> = data.texts.train.iter().map(|example| example.target.as_slice()).collect();
        assert_eq!(targets, [&[0, 2][..], &[], &[1]]);
        assert_eq!(data.texts.validation[0].target, [0, 3]);
        let names: Vec<&str> = data.baselines(Split::Validation).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["most frequent labels", "naive Bayes"]);
        let error = MultiLabel::from_records(&splits(Column::text(["", " ", ""]), Column::text([""]))).unwrap_err();
        assert!(error.to_string().contains("no row has a label in column `tags`"), "{error}");
    }

    #[test]
    fn a_label_with_parts_that_recur_is_a_list() {
        let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (names, expected) in [
            (&["bad", "good", "good;fun"][..], Some(("good;fun", ';'))),
            (&["a|b", "b | c"], Some(("a|b", '|'))),
            (&["Opens(e1,e2)", "Closes", "York, NY"], None),
            (&["a;", "b"], None),
        ] {
            assert_eq!(list_of_labels(&labels(names)), expected, "{names:?}");
        }
    }

    #[test]
    fn labels_of_the_test_split_must_be_known() {
        let mut splits = splits(Column::text(["a", "b", "a"]), Column::text(["b"]));
        splits.test = Records::new([("text", Column::text(["x"])), ("tags", Column::text(["a;z"]))]);
        let error = MultiLabel::from_records(&splits).unwrap_err().to_string();
        assert!(
            error.contains("invalid label \"z\": expected some of a, b; name all labels in data.labels"),
            "{error}"
        );
    }

    /// Label 0: one hit of two examples and one prediction, F1 2/3; label 1: no hit, one prediction, F1 0; label 2 never occurs. Micro:
    /// 2 · 1 / (3 + 1).
    #[test]
    fn metrics_match_hand_computed_values() {
        let pairs: [(&[usize], &[usize]); 3] = [(&[0], &[0]), (&[0], &[1]), (&[], &[])];
        let found = scores(3, &mut pairs.into_iter());
        assert_eq!((found.examples, found.get(MICRO_F1), found.get(Metric::MACRO_F1)), (3, Some(0.5), Some(1.0 / 3.0)));
        assert_eq!(found.get(EXACT_MATCH), Some(2.0 / 3.0));
    }
}
