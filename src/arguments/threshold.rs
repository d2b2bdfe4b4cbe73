//! The decision threshold for models of two labels.

use std::str::FromStr;

use clap::Args;
use seqzoo_datasets::classification::Split;
use seqzoo_inference::{Examples, Model};

use super::check_split;
use crate::failure::{Failure, USAGE};

/// A label and the probability from which it is predicted.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    label: String,
    least: Option<f64>,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((label, least)) = text.rsplit_once('=') else {
            return Ok(Self { label: text.to_owned(), least: None });
        };
        let least = least.parse().ok().filter(|least| (0.0..=1.0).contains(least));
        let least = least.ok_or("expected LABEL=PROBABILITY with a probability from 0 to 1, such as spam=0.3")?;
        Ok(Self { label: label.to_owned(), least: Some(least) })
    }
}

/// A threshold that was set.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    pub label: String,
    pub least: f64,
    /// Whether it is the one with the highest F1 on the validation split.
    pub is_tuned: bool,
}

/// Decision threshold of an evaluation.
#[derive(Debug, Default, Args)]
pub struct ThresholdArgs {
    /// Predict LABEL, one of two labels, if it has at least this probability; without =PROBABILITY, the threshold with the highest F1 of
    /// LABEL on the validation split.
    #[arg(long, value_name = "LABEL[=PROBABILITY]")]
    threshold: Option<Threshold>,
}

impl ThresholdArgs {
    /// The splits on which the threshold is chosen.
    pub fn needed(&self) -> &'static [Split] {
        match &self.threshold {
            Some(Threshold { least: None, .. }) => &[Split::Validation],
            _ => &[],
        }
    }

    /// Sets a model's threshold, if one is given, and returns it.
    pub fn set(&self, model: &mut Model, data: &dyn Examples) -> Result<Option<Chosen>, Failure> {
        let Some(Threshold { label, least: given }) = &self.threshold else { return Ok(None) };
        let least = match given {
            Some(least) => *least,
            None => {
                check_split(data, Split::Validation, &model.recipe)?;
                model.predictor().best_threshold(label, data, Split::Validation)?
            }
        };
        model.set_threshold(label, least)?;
        Ok(Some(Chosen { label: label.clone(), least, is_tuned: given.is_none() }))
    }
}

/// Decision threshold of predictions.
#[derive(Debug, Default, Args)]
pub struct FixedThresholdArgs {
    /// Predict LABEL, one of two labels, if it has at least this probability; `seqzoo evaluate RUN --threshold LABEL` finds the
    /// threshold with the highest F1 on the validation split.
    #[arg(long, value_name = "LABEL=PROBABILITY")]
    threshold: Option<Threshold>,
}

impl FixedThresholdArgs {
    /// Sets a model's threshold, if one is given.
    pub fn set(&self, model: &mut Model) -> Result<(), Failure> {
        match &self.threshold {
            None => Ok(()),
            Some(Threshold { label, least: Some(least) }) => Ok(model.set_threshold(label, *least)?),
            Some(Threshold { label, least: None }) => {
                let message = format!(
                    "--threshold {label}: expected LABEL=PROBABILITY, such as {label}=0.3; \
                     `seqzoo evaluate RUN --threshold {label}` finds a threshold"
                );
                Err(Failure::new(USAGE, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_label_and_a_probability() {
        let parse = |text: &str| text.parse::<Threshold>().map(|threshold| (threshold.label, threshold.least));
        assert_eq!(parse("spam=0.3"), Ok(("spam".to_owned(), Some(0.3))));
        assert_eq!(parse("a=b=1"), Ok(("a=b".to_owned(), Some(1.0))));
        assert_eq!(parse("spam"), Ok(("spam".to_owned(), None)));
        assert!(parse("spam=2").unwrap_err().contains("from 0 to 1") && parse("spam=NaN").is_err());
    }
}
