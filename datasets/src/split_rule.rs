//! Rules that divide records into training, validation and test split, as in recipes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DataError;

/// Rule that divides records into splits. Fractions are rounded to four decimal places.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SplitRule {
    /// Consecutive splits of running text: the last characters are the test split, those before them the validation split.
    Characters {
        /// Fraction of the validation split.
        validation: f64,
        /// Fraction of the test split.
        #[serde(default, skip_serializing_if = "is_zero")]
        test: f64,
    },
    /// Consecutive splits: the last rows are the test split, those before them the validation split.
    Rows {
        /// Fraction of the validation split.
        validation: f64,
        /// Fraction of the test split.
        #[serde(default, skip_serializing_if = "is_zero")]
        test: f64,
    },
    /// Random splits: the rows are sorted, so that their order in files does not matter, and shuffled; the first ones are the validation
    /// split, the next ones the test split.
    Shuffle {
        /// Fraction of the validation split.
        validation: f64,
        /// Fraction of the test split.
        #[serde(default, skip_serializing_if = "is_zero")]
        test: f64,
        /// Random seed; the seed of a run does not affect the splits.
        #[serde(default)]
        seed: u64,
        /// Whether the fractions hold for each label (stratified splits).
        #[serde(default)]
        stratify: bool,
    },
    /// Stratified random splits that do not change when rows are appended: one random row out of every 1 / fraction consecutive rows with
    /// the same label is held out. Rows with equal texts, or equal values of `group`, are in the same split.
    Systematic {
        /// Fraction of the validation split.
        validation: f64,
        /// Fraction of the test split; both splits together at most half of the rows.
        #[serde(default, skip_serializing_if = "is_zero")]
        test: f64,
        /// Random seed; the seed of a run does not affect the splits.
        #[serde(default)]
        seed: u64,
        /// Column whose equal values are in the same split, such as the author of a text; by default, that of the texts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// Cross-validation: one of `folds` parts is the test split; a fraction of the other rows is the validation split, which selects the
    /// best checkpoint, so that the test split selects nothing. Parts are random, of about the same size and with the same fractions of
    /// each label; rows with equal texts, or equal values of `group`, are in the same split, and appended rows move no others. Of running text
    /// in too few rows for this, parts are consecutive, and the end of the others is the validation split. `seqzoo train --folds N` trains once for
    /// each part.
    Folds {
        /// Number of parts.
        folds: usize,
        /// The part that is the test split, from 1.
        fold: usize,
        /// Fraction of the other rows that is the validation split, at most half.
        #[serde(default = "tenth")]
        validation: f64,
        /// Random seed; the seed of a run does not affect the parts.
        #[serde(default)]
        seed: u64,
        /// Column whose equal values are in the same part; by default, that of the texts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// Every n-th row, starting with the first, is the validation split; there is no test split.
    Every {
        /// The interval n.
        validation: usize,
    },
    /// Consecutive splits of each of several series: the rows of a probationary period, in which nothing is judged, are the training split
    /// and, at its end, the validation split; the rows after it are the test split. Rows are of one series if they have equal values of
    /// the column with role `series`, or are in one file.
    Probation {
        /// Fraction of a series that is its probationary period.
        #[serde(default = "probation")]
        fraction: f64,
        /// Maximum number of rows of the probationary period.
        #[serde(default = "most_probation_rows")]
        rows: usize,
        /// Fraction of the probationary period that is the validation split.
        #[serde(default = "fifth")]
        validation: f64,
    },
    /// The splits that a column of the data names: rows with the value `validation` or `test` are of these splits, all others of the
    /// training split.
    Column {
        /// Name of the column.
        column: String,
        /// Its value for the validation split.
        #[serde(default = "validation_name")]
        validation: String,
        /// Its value for the test split.
        #[serde(default = "test_name")]
        test: String,
    },
    /// Leave-one-out for each user: of the rows of a user with at least three rows, the last one is the test split and the one before it the
    /// validation split; all other rows are the training split (Kang and McAuley 2018). The rows of a user are in order of the column with
    /// role `time`, else in their order in the files.
    LeaveOneOut {},
    /// Consecutive splits of a time series, which start at the rows with these timestamps.
    Time {
        /// First timestamp of the validation split.
        validation: String,
        /// First timestamp of the test split.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<String>,
    },
}

fn tenth() -> f64 {
    0.1
}

fn fifth() -> f64 {
    0.2
}

fn validation_name() -> String {
    "validation".to_owned()
}

fn test_name() -> String {
    "test".to_owned()
}

/// Probationary period of the Numenta Anomaly Benchmark: fraction and maximum number of rows of a series.
const PROBATION_FRACTION: f64 = 0.15;
const PROBATION_ROWS: usize = 750;

fn probation() -> f64 {
    PROBATION_FRACTION
}

fn most_probation_rows() -> usize {
    PROBATION_ROWS
}

/// Number of rows of the probationary period of a series of `count` rows, see [`SplitRule::Probation`].
pub(crate) fn probation_rows(count: usize, fraction: f64, most: usize) -> usize {
    ((count as f64 * fraction) as usize).min(most)
}

fn is_zero(fraction: &f64) -> bool {
    *fraction == 0.0
}

/// Unit of fractions.
pub(crate) const UNITS: usize = 10_000;

impl SplitRule {
    /// A random tenth as the validation split.
    pub const SHUFFLED: Self = Self::Shuffle { validation: 0.1, test: 0.0, seed: 0, stratify: false };

    /// A stable, stratified tenth as the validation split.
    pub const SYSTEMATIC: Self = Self::Systematic { validation: 0.1, test: 0.0, seed: 0, group: None };

    /// The probationary period of the Numenta Anomaly Benchmark, whose last fifth is the validation split.
    pub const PROBATION: Self = Self::Probation { fraction: PROBATION_FRACTION, rows: PROBATION_ROWS, validation: 0.2 };

    /// The column whose equal values are in the same split, if one is named.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Systematic { group, .. } | Self::Folds { group, .. } => group.as_deref(),
            _ => None,
        }
    }

    /// The column that it reads in addition to those of the task, if it names one.
    pub(crate) fn column(&self) -> Option<&str> {
        match self {
            Self::Column { column, .. } => Some(column),
            _ => self.group(),
        }
    }

    /// Whether the rule has no test split now, but can have one.
    pub fn can_add_test(&self) -> bool {
        match self {
            Self::Characters { test, .. }
            | Self::Rows { test, .. }
            | Self::Shuffle { test, .. }
            | Self::Systematic { test, .. } => is_zero(test),
            Self::Folds { .. }
            | Self::Every { .. }
            | Self::Probation { .. }
            | Self::LeaveOneOut {}
            | Self::Time { .. }
            | Self::Column { .. } => false,
        }
    }

    /// Fraction of the validation split of a rule that draws random rows.
    pub fn random_validation(&self) -> Option<f64> {
        match self {
            Self::Systematic { validation, .. } | Self::Shuffle { validation, .. } | Self::Folds { validation, .. } => {
                Some(*validation)
            }
            _ => None,
        }
    }

    /// The rule as an inline table of TOML.
    pub fn to_inline(&self) -> String {
        let table = toml::Value::try_from(self).unwrap_or_else(|_| toml::Value::Table(toml::Table::new()));
        table.to_string()
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The first invalid value.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        match self {
            Self::Characters { validation, test }
            | Self::Rows { validation, test }
            | Self::Shuffle { validation, test, .. } => Fractions::new(*validation, *test).map(drop),
            Self::Systematic { validation, test, .. } => {
                let fractions = Fractions::new(*validation, *test)?;
                match fractions.validation + fractions.test <= UNITS / 2 {
                    true => Ok(()),
                    false => {
                        Err(DataError::setting("data.split.validation", validation, "at most 0.5 with the test split"))
                    }
                }
            }
            Self::Every { validation: validation @ (0 | 1) } => {
                Err(DataError::setting("data.split.validation", validation, "an integer of at least 2"))
            }
            Self::Folds { folds: folds @ (0 | 1), .. } => {
                Err(DataError::setting("data.split.folds", folds, "an integer of at least 2"))
            }
            Self::Folds { folds, fold, .. } if !(1..=*folds).contains(fold) => Err(DataError::setting(
                "data.split.fold",
                fold,
                format!("an integer from 1 to {folds}, the number of folds"),
            )),
            Self::Folds { validation, .. } => {
                let fractions = Fractions::new(*validation, 0.0)?;
                let is_valid = fractions.validation <= UNITS / 2;
                if is_valid {
                    Ok(())
                } else {
                    Err(DataError::setting("data.split.validation", validation, "at most 0.5"))
                }
            }
            Self::Probation { fraction, rows, validation } => {
                if *rows == 0 {
                    return Err(DataError::setting("data.split.rows", rows, "an integer of at least 1"));
                }
                for (field, value) in [("fraction", fraction), ("validation", validation)] {
                    if !(*value > 0.0 && *value < 1.0) {
                        return Err(DataError::setting(
                            format!("data.split.{field}"),
                            value,
                            "a number between 0 and 1",
                        ));
                    }
                }
                Ok(())
            }
            Self::Every { .. } | Self::LeaveOneOut {} | Self::Time { .. } | Self::Column { .. } => Ok(()),
        }
    }

    /// Its name in `data.split.by`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Characters { .. } => "characters",
            Self::Rows { .. } => "rows",
            Self::Shuffle { .. } => "shuffle",
            Self::Systematic { .. } => "systematic",
            Self::Folds { .. } => "folds",
            Self::Every { .. } => "every",
            Self::Probation { .. } => "probation",
            Self::LeaveOneOut {} => "leave-one-out",
            Self::Time { .. } => "time",
            Self::Column { .. } => "column",
        }
    }

    /// The same rule without a test split.
    pub(crate) fn without_test(&self) -> Self {
        let mut rule = self.clone();
        match &mut rule {
            Self::Characters { test, .. }
            | Self::Rows { test, .. }
            | Self::Shuffle { test, .. }
            | Self::Systematic { test, .. } => *test = 0.0,
            Self::Time { test, .. } => *test = None,
            Self::Folds { .. }
            | Self::Every { .. }
            | Self::Probation { .. }
            | Self::LeaveOneOut {}
            | Self::Column { .. } => {}
        }
        rule
    }
}

/// Fractions of the validation and the test split, in [`UNITS`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fractions {
    pub validation: usize,
    pub test: usize,
}

impl Fractions {
    pub(crate) fn new(validation: f64, test: f64) -> Result<Self, DataError> {
        let units = |field: &str, fraction: f64, least: f64| {
            let expected = format!("a fraction of at least {least}, and below 1 in total with that of the other split");
            match (least..1.0).contains(&fraction) && validation + test < 1.0 {
                true => Ok((fraction * UNITS as f64).round() as usize),
                false => Err(DataError::setting(format!("data.split.{field}"), fraction, expected)),
            }
        };
        Ok(Self { validation: units("validation", validation, 1.0 / UNITS as f64)?, test: units("test", test, 0.0)? })
    }

    /// The ends of the training and the validation split of `count` consecutive rows.
    pub(crate) fn ends(self, count: usize) -> (usize, usize) {
        let end = |units: usize| count * (UNITS - units) / UNITS;
        (end(self.validation + self.test), end(self.test))
    }

    /// The sizes of the validation and the test split of `count` rows.
    pub(crate) fn sizes(self, count: usize) -> (usize, usize) {
        let size = |units: usize| (count * units + UNITS / 2) / UNITS;
        (size(self.validation), size(self.test))
    }

    /// Minimum number of rows for which every split has at least one row.
    pub(crate) fn minimum(self) -> usize {
        let smallest = [self.validation, self.test].into_iter().filter(|&units| units > 0).min();
        smallest.map_or(1, |units| UNITS.div_ceil(units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(rule: &str) -> SplitRule {
        toml::from_str(rule).unwrap()
    }

    #[test]
    fn rules_are_read_and_written() {
        for text in [
            "by = \"characters\"\nvalidation = 0.1\n",
            "by = \"rows\"\nvalidation = 0.15\ntest = 0.15\n",
            "by = \"shuffle\"\nvalidation = 0.1\nseed = 3\nstratify = true\n",
            "by = \"systematic\"\nvalidation = 0.1\nseed = 3\ngroup = \"author\"\n",
            "by = \"every\"\nvalidation = 5\n",
            "by = \"folds\"\nfolds = 5\nfold = 2\nvalidation = 0.2\nseed = 0\n",
            "by = \"probation\"\nfraction = 0.15\nrows = 750\nvalidation = 0.2\n",
            "by = \"column\"\ncolumn = \"part\"\nvalidation = \"valid\"\ntest = \"test\"\n",
            "by = \"leave-one-out\"\n",
            "by = \"time\"\nvalidation = \"1988-01-01\"\n",
        ] {
            assert_eq!(toml::to_string(&rule(text)).unwrap(), text);
        }
        let error = toml::from_str::<SplitRule>("by = \"rows\"\nvalidaton = 0.1").unwrap_err().to_string();
        assert!(error.contains("validaton") || error.contains("validation"), "{error}");
        assert!(toml::from_str::<SplitRule>("by = \"rows\"\nvalidation = 0.1\nseed = 2").is_err());
        assert!(toml::from_str::<SplitRule>("by = \"leave-one-out\"\nvalidation = 0.1").is_err());
    }
}
