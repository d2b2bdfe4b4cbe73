//! Regression: a number for each text.

use burn::tensor::Tensor;
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::regression::{self, MAE, Regression, scores};
use seqzoo_datasets::scores::{Evaluation, Metric, Scores};
use seqzoo_datasets::splits::Splits;
use seqzoo_models::InvalidShape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use toml::Table;

pub use crate::texts::Settings;
use crate::texts::{self, Codec, Judgement, Target, TextTraining, matrix};
use crate::{
    Command, DynTrainingTask, Examples, Item, ModelSpec, Output, PredictError, Predictor, Prepared, Task, TextOptions,
    TrainedModel, examples_as, fields, open, resolve, vocabularies,
};

/// Regression: a number for each text.
pub static TASK: Task = Task {
    data: &regression::DATA,
    summary: "a number per text",
    metrics: &[Metric::RMSE, MAE, Metric::LOSS],
    command: Command::Predict,
    shared: texts::SHARED,
    averages: true,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check: texts::check,
    examples: prepare,
    vocabularies: vocabularies::<Codec<Scale>>,
    open: open::<Codec<Scale>>,
};

/// A trained model that predicts a number for each text.
///
/// ```text
/// prediction = mean + std · z        loss = mean over texts of  (z - (target - mean) / std)²
/// ```
///
/// `z` is the output of [`Classifier`](seqzoo_models::networks::Classifier), `mean` and `std` are those of the training targets.
pub type Regressor = TrainedModel<Codec<Scale>>;

fn prepare(data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
    let splits = data;
    let mut data = Regression::from_records(splits)?;
    let note = texts::prepare(&mut data.0, splits, &crate::spec::settings(settings));
    Ok(Prepared { examples: Box::new(data), note })
}

impl Examples for Regression {
    fn digest(&self) -> String {
        Regression::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.0.split(split).len(), "texts")
    }

    fn items(&self, split: Split, settings: &Table) -> Vec<Item> {
        let Settings { level, .. } = crate::spec::settings(settings);
        texts::items(&self.0, split, level, |_| Vec::new())
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        let scale = Scale::fit(self.0.train.iter().map(|example| example.target));
        Ok(Box::new(TextTraining::new(spec, &self.0, scale)?))
    }
}

/// Mean and standard deviation of the training targets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Mean.
    pub mean: f64,
    /// Standard deviation; 1 if all targets are equal.
    pub std: f64,
}

impl Scale {
    fn fit(targets: impl Iterator<Item = f64> + Clone) -> Self {
        let count = targets.clone().count().max(1) as f64;
        let mean = targets.clone().sum::<f64>() / count;
        let std = (targets.map(|target| (target - mean).powi(2)).sum::<f64>() / count).sqrt();
        Self { mean, std: if std > 0.0 { std } else { 1.0 } }
    }

    fn scaled(self, target: f64) -> f64 {
        (target - self.mean) / self.std
    }

    fn prediction(self, output: f32) -> f64 {
        self.mean + self.std * f64::from(output)
    }
}

impl Target for Scale {
    type Value = f64;

    fn outputs(&self) -> usize {
        1
    }

    fn loss(&self, outputs: Tensor<2>, values: &[&f64]) -> Tensor<1> {
        let targets = values.iter().map(|&&target| self.scaled(target) as f32).collect();
        let targets = matrix(targets, values.len(), &outputs.device());
        (outputs - targets).square().mean()
    }

    fn score(&self, outputs: &[Vec<f32>], values: &[&f64], indices: &mut dyn Iterator<Item = usize>) -> Scores {
        let mut pairs = indices.map(|index| (*values[index], self.prediction(outputs[index][0])));
        let mut scores = scores(&mut pairs);
        let rmse = scores.get(Metric::RMSE).unwrap_or(0.0);
        scores.insert(Metric::LOSS, (rmse / self.std).powi(2));
        scores
    }

    const RIGHT: Option<Metric> = None;

    fn judge(&self, outputs: &[f32], value: &f64) -> Judgement {
        let found = self.prediction(outputs[0]);
        Judgement { actual: format!("{value}"), predicted: format!("{found:.4}"), severity: (found - value).abs() }
    }

    fn output(&self, outputs: &[f32]) -> Output {
        let value = self.prediction(outputs[0]);
        Output::new(format!("{value:<10.4}"), [("value", json!(value))])
    }
}

impl Predictor for Regressor {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let Regression(texts) = examples_as(examples)?;
        self.evaluate_texts(&texts::with_tokens(texts, split, self.level()))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        let mut data = examples_as::<Regression>(examples)?.clone();
        let settings = Settings { level: self.level(), ..Settings::default() };
        texts::prepare(&mut data.0, &Splits::default(), &settings);
        Ok(data.baselines(split))
    }

    fn predict(&self, texts: &[&str], _: TextOptions) -> Result<Vec<Output>, PredictError> {
        self.predict_texts(texts)
    }

    fn empty_output(&self) -> Output {
        Output::new(String::new(), [("value", Value::Null)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqzoo_kernels::devices;

    #[test]
    fn targets_are_standardized_for_the_loss_only() {
        let scale = Scale::fit([1.0, 3.0].into_iter());
        assert_eq!(scale, Scale { mean: 2.0, std: 1.0 });
        assert_eq!(Scale::fit([5.0].into_iter()).std, 1.0);
        let scale = Scale { mean: 10.0, std: 4.0 };
        for (_, device) in devices() {
            let outputs = Tensor::from_floats([[0.5], [0.0]], &device);
            // Scaled targets 1 and -1.
            let loss = scale.loss(outputs, &[&14.0, &6.0]).into_scalar::<f32>();
            assert!((loss - 0.625).abs() < 1e-6, "{loss}");
        }
        let found = scale.score(&[vec![0.5], vec![0.0]], &[&14.0, &6.0], &mut (0..2));
        assert_eq!((found.get(Metric::RMSE), found.get(MAE)), (Some(10f64.sqrt()), Some(3.0)));
        assert!((found.get(Metric::LOSS).unwrap() - 0.625).abs() < 1e-12);
        assert_eq!(scale.output(&[0.5]).json["value"], json!(12.0));
    }
}
