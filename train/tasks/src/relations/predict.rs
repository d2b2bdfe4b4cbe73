//! Predictions and metrics of trained relation classifiers.

use burn::tensor::Device;
use seqzoo_datasets::classification::{Example, Split};
use seqzoo_datasets::relations::{self, Relations};
use seqzoo_datasets::scores::{ConfusionMatrix, Evaluation};
use seqzoo_datasets::text::Counts;
use seqzoo_models::networks::{Ensemble, RelationClassifier};

use super::{Batch, Codec, Encoded};
use crate::classes::{self, Decision, LabelPredictor, Labeled, Prediction, Score};
use crate::prediction::label_indices;
use crate::{Examples, PredictError, TrainedModel, examples_as};

/// A trained relation classifier with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::classification::{Classification, Example};
/// use seqzoo_datasets::relations::Relations;
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::relations::{RelationPredictor, TASK};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (device, labels) = (Device::flex(), ["Opens", "Other"].map(str::to_owned).to_vec());
/// let example = |text: &str, label| Example { text: text.to_owned(), label, groups: [].into() };
/// let train = vec![
///     example("the <e1>key</e1> of the <e2>door</e2>", 0),
///     example("a <e1>cat</e1> at a <e2>door</e2>", 1),
/// ];
/// let data = Relations(Classification { labels, train, ..Classification::default() });
/// let spec = ModelSpec::new("bilstm-8", &TASK, Default::default())?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = RelationPredictor::open(&spec, &training.files(), &weights, &device)?;
/// let prediction = &model.predictions(&["the <e1>key</e1> of a <e2>box</e2>"])?[0];
/// assert!(prediction.probability >= 0.5);
/// # Ok(()) }
/// ```
pub type RelationPredictor = TrainedModel<Codec>;

impl RelationPredictor {
    /// Names of the relations.
    pub fn labels(&self) -> &[String] {
        &self.codec.labels
    }

    /// Predicts the relation of each text. Batching changes results only by rounding.
    ///
    /// # Errors
    /// If the entities of a text are not marked.
    pub fn predictions(&self, texts: &[&str]) -> Result<Vec<Prediction>, PredictError> {
        let encode = |(index, text): (usize, &&str)| match text.trim() {
            "" => Err(PredictError::Empty { index }),
            text => self.codec.encode(text).map_err(|detail| PredictError::NotMarked { index, detail }),
        };
        let rows: Vec<Encoded> = texts.iter().enumerate().map(encode).collect::<Result<_, _>>()?;
        let found = self.log_probabilities(&rows);
        let prediction = |(row, encoded): (&Vec<f32>, &Encoded)| {
            let counts = Counts::of_text(&encoded.tokens, encoded.is_truncated);
            Prediction::new(self.labels(), row, self.decision).with_counts(counts)
        };
        Ok(found.iter().zip(&rows).map(prediction).collect())
    }

    fn log_probabilities(&self, rows: &[Encoded]) -> Vec<Vec<f32>> {
        let rows: Vec<&Encoded> = rows.iter().collect();
        log_probabilities(&self.network, &rows, &self.device, &|| false).expect("never stopped")
    }
}

impl LabelPredictor for RelationPredictor {
    const SCORE: Score = |names, pairs| {
        let confusion = ConfusionMatrix::from_pairs(names, pairs);
        let mut scores = confusion.scores();
        relations::add_scores(&mut scores, names, confusion.pairs());
        scores
    };

    fn label_names(&self) -> &[String] {
        self.labels()
    }

    fn decision(&self) -> Decision {
        self.decision
    }

    fn set_decision(&mut self, decision: Decision) {
        self.decision = decision;
    }

    fn labeled<'a>(&self, examples: &'a dyn Examples, split: Split) -> Result<Labeled<'a>, PredictError> {
        let Relations(data) = examples_as(examples)?;
        let examples = data.split(split);
        // The labels of other data may be others, or in another order.
        let used = examples.iter().map(|example| example.label);
        let indices = label_indices(&data.labels, used, self.labels())?;
        let encode = |(index, example): (usize, &Example)| {
            self.codec.encode(&example.text).map_err(|detail| PredictError::NotMarked { index, detail })
        };
        let rows: Vec<Encoded> = examples.iter().enumerate().map(encode).collect::<Result<_, _>>()?;
        Ok(Labeled {
            log_probabilities: self.log_probabilities(&rows),
            labels: examples.iter().map(|example| indices[example.label]).collect(),
            groups: examples.iter().map(|example| example.groups.clone()).collect(),
            input: Box::new(|index| examples[index].text.clone()),
        })
    }

    fn evaluate_baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        let Relations(data) = examples_as(examples)?;
        let with_f1 = |(name, mut found): (&'static str, Evaluation)| {
            if let Some(confusion) = &found.confusion {
                relations::add_scores(&mut found.all, &confusion.labels, confusion.pairs());
            }
            (name, Evaluation { confusion: None, ..found })
        };
        Ok(data.baselines(split).into_iter().map(with_f1).collect())
    }

    fn predict_labels(&self, texts: &[&str]) -> Result<Vec<Prediction>, PredictError> {
        self.predictions(texts)
    }
}

/// Log probabilities of encoded texts, in their order; `None` if stopped.
pub(super) fn log_probabilities(
    network: &Ensemble<RelationClassifier>,
    rows: &[&Encoded],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<f32>>> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.tokens.len()).collect();
    let of_batch = |network: &RelationClassifier, batch: &[usize]| {
        Batch::new(batch.iter().map(|&index| rows[index]), device).logits(network, None)
    };
    classes::log_probabilities(network, &lengths, device, of_batch, stop)
}
