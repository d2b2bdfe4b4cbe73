//! Datasets for regression: texts with a number each.

use crate::DataError;
use crate::data_spec::{Content, DataSpec, Role};
use crate::records::Split;
use crate::ridge::Ridge;
use crate::scores::{Evaluation, Metric, Scores, metrics};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::texts::Texts;

/// Data for regression.
pub static DATA: DataSpec = DataSpec {
    task: "regression",
    roles: &[
        Role::required("text", Content::Text, "Column of the texts."),
        Role::required("target", Content::Other, "Column of the number to predict."),
        Role::GROUPS,
    ],
    fields: &[],
    default_format: None,
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every"],
    split_note: "whole texts are assigned to splits",
};

metrics! {
    /// Mean absolute error.
    pub const MAE = Lower("mae", "unit of the target");
}

/// A loaded dataset for regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Regression(pub Texts<f64>);

impl Regression {
    /// Converts records, using the columns `text`, `target` and `groups`.
    ///
    /// # Errors
    /// If a column is missing, or a target is not a number.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let column = splits.columns.need("target")?;
        Texts::from_records(splits, |records| records.numbers("target", column, "remove the row")).map(Self)
    }

    /// Evaluates the baselines on a split: the mean of the training split, and ridge regression over the words of a text, tuned on the
    /// validation split.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let Self(texts) = self;
        let examples = texts.split(split);
        let evaluate = |predict: &dyn Fn(&str) -> f64| {
            let mut pairs = examples.iter().map(|example| (example.target, predict(&example.text)));
            Evaluation::of(scores(&mut pairs))
        };
        let pairs =
            |split: Split| texts.split(split).iter().map(|example| (example.text.as_str(), example.target)).collect();
        let [train, validation]: [Vec<(&str, f64)>; 2] = [pairs(Split::Train), pairs(Split::Validation)];
        let mean = train.iter().map(|(_, target)| target).sum::<f64>() / train.len().max(1) as f64;
        let ridge = Ridge::tuned(&train, &validation);
        vec![("mean", evaluate(&|_| mean)), ("ridge regression", evaluate(&|text| ridge.predict(text)))]
    }

    /// SHA-256 digest of the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        self.0.digest(f64::to_string)
    }
}

/// Root mean squared error and mean absolute error of (actual, predicted) numbers.
pub fn scores(pairs: &mut dyn Iterator<Item = (f64, f64)>) -> Scores {
    let (mut count, mut squares, mut absolute) = (0, 0.0, 0.0);
    for (actual, predicted) in pairs {
        count += 1;
        squares += (actual - predicted).powi(2);
        absolute += (actual - predicted).abs();
    }
    let mean = |sum: f64| sum / count.max(1) as f64;
    Scores::new(count, [(Metric::RMSE, mean(squares).sqrt()), (MAE, mean(absolute))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;
    use crate::records::{Column, Records};

    #[test]
    fn targets_are_numbers_and_baselines_are_evaluated() {
        let records = |targets: &[&str]| {
            let texts = targets.iter().map(|target| format!("costs {target} now"));
            Records::new([("text", Column::text(texts)), ("price", Column::text(targets.iter().copied()))])
        };
        let columns = Columns::default().with("text", "text").with("target", "price");
        let splits =
            |train| Splits { train, validation: records(&["3"]), columns: columns.clone(), ..Splits::default() };
        let data = Regression::from_records(&splits(records(&["1", "3", "5"]))).unwrap();
        let baselines = data.baselines(Split::Validation);
        assert_eq!((baselines[0].0, baselines[0].1.all.get(MAE)), ("mean", Some(0.0)));
        assert!(baselines[1].1.all.get(Metric::RMSE).unwrap() < 0.1, "{baselines:?}");
        let error = Regression::from_records(&splits(records(&["1", "cheap"]))).unwrap_err().to_string();
        assert!(error.contains("`cheap` in column `price` is not a number"), "{error}");
    }

    #[test]
    fn metrics_match_hand_computed_values() {
        let found = scores(&mut [(1.0, 2.0), (5.0, 2.0)].into_iter());
        assert_eq!((found.get(Metric::RMSE), found.get(MAE)), (Some(5f64.sqrt()), Some(2.0)));
    }
}
