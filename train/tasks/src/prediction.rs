//! Prediction: the interface of tasks to inference.

use std::any::Any;
use std::fmt::Debug;

use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::Evaluation;
use seqzoo_datasets::text::Counts;
use seqzoo_datasets::timestamps::TimeStep;
use serde_json::{Map, Value};

use crate::Examples;

/// The command that uses a trained model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `predict`: predictions for texts, see [`Predictor::predict`].
    Predict,
    /// `generate`: new text after a prompt, or new drawings.
    Generate,
    /// `forecast`: forecasts of the values after the last rows of a series.
    Forecast,
    /// `detect`: anomalies in series.
    Detect,
    /// `recommend`: the next items of users.
    Recommend,
    /// `caption`: descriptions of images.
    Caption,
}

/// A trained model of a task.
pub trait Predictor: Any + Debug + Send + Sync {
    /// Metrics on a split; examples without a token are skipped.
    ///
    /// # Errors
    /// If the examples are those of another task or do not match the model.
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError>;

    /// Metrics of the baselines on the same examples (on the same tokens for language models).
    ///
    /// # Errors
    /// If the examples are those of another task.
    fn baselines(&self, examples: &dyn Examples, split: Split)
    -> Result<Vec<(&'static str, Evaluation)>, PredictError>;

    /// Predictions for texts, in the same order. Batching changes results only by rounding.
    ///
    /// # Errors
    /// If a text has no token, or the model does not predict from single texts.
    fn predict(&self, _texts: &[&str], _options: TextOptions) -> Result<Vec<Output>, PredictError> {
        Err(PredictError::NoTextInput)
    }

    /// Predicts a label if it has at least the probability `least`, and otherwise the other one of two labels.
    ///
    /// # Errors
    /// If the model does not predict one of two labels, or there is no such label.
    fn set_threshold(&mut self, label: &str, _least: f64) -> Result<(), PredictError> {
        Err(PredictError::NoThreshold { label: label.to_owned(), known: Vec::new() })
    }

    /// The threshold for [`Predictor::set_threshold`] with the highest F1 of a label on a split.
    ///
    /// # Errors
    /// As [`Predictor::set_threshold`] and [`Predictor::evaluate`].
    fn best_threshold(&self, label: &str, _examples: &dyn Examples, _split: Split) -> Result<f64, PredictError> {
        Err(PredictError::NoThreshold { label: label.to_owned(), known: Vec::new() })
    }

    /// Names of the labels of examples; none if the model does not predict one label per example.
    fn labels(&self) -> &[String] {
        &[]
    }

    /// The output for a text without a token.
    fn empty_output(&self) -> Output {
        Output::new(String::new(), [])
    }
}

/// Options of predictions for texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextOptions {
    /// Beam width, and number of hypotheses in the output, of sequence-to-sequence models; other models ignore it.
    pub beams: usize,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { beams: 1 }
    }
}

/// A prediction in printable form.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// One line of text, without line end.
    pub line: String,
    /// JSON object.
    pub json: Map<String, Value>,
    /// Whether the line includes the input, such as tagged tokens.
    pub shows_input: bool,
    /// What the model read of the input, if the task counts it.
    pub counts: Counts,
}

impl Output {
    /// An output whose line does not include the input.
    pub fn new<const N: usize>(line: String, json: [(&str, Value); N]) -> Self {
        let json = json.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Self { line, json, shows_input: false, counts: Counts::default() }
    }
}

/// Error of a prediction or evaluation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredictError {
    /// A text has no token.
    #[error("the text is empty or has no token, such as a word")]
    Empty {
        /// Index of the text in the input.
        index: usize,
    },
    /// The model does not predict from single texts.
    #[error("this model does not predict from a text")]
    NoTextInput,
    /// The model is not a classifier.
    #[error("this model is not a classifier")]
    NotClassifier,
    /// The model is not a tagger.
    #[error("this model is not a tagger")]
    NotTagger,
    /// The model is not a sequence-to-sequence model.
    #[error("this model is not a sequence-to-sequence model")]
    NotTransducer,
    /// The model is not a language model.
    #[error("this model is not a language model")]
    NotLanguageModel,
    /// The model is not one of music.
    #[error("this model is not a model of music")]
    NotMusic,
    /// The model is not one of pen drawings.
    #[error("this model is not a model of pen drawings")]
    NotStrokesModel,
    /// The model is not a forecaster.
    #[error("this model is not a forecaster")]
    NotForecaster,
    /// The model does not detect anomalies.
    #[error("this model does not detect anomalies")]
    NotDetector,
    /// The model is not a recommender.
    #[error("this model does not recommend items")]
    NotRecommender,
    /// The model does not describe images.
    #[error("this model does not describe images")]
    NotCaptioner,
    /// Examples have labels that the model does not have.
    #[error(
        "the data have labels that the model was not trained on: {}; its labels are {}; remove these examples, or train a new model",
        .unknown.join(", "), .known.join(", ")
    )]
    UnknownLabels {
        /// Labels of the data.
        unknown: Vec<String>,
        /// Labels of the model.
        known: Vec<String>,
    },
    /// The model has no decision threshold for a label.
    #[error(
        "no decision threshold for label `{label}`: a threshold needs a model with exactly two labels, including `{label}`{}",
        of_labels(.known)
    )]
    NoThreshold {
        /// The label.
        label: String,
        /// Labels of the model; none if it does not predict one label per example.
        known: Vec<String>,
    },
    /// The entities of a text are not marked.
    #[error("{detail}")]
    NotMarked {
        /// Index of the text in the input.
        index: usize,
        /// The missing or repeated marker.
        detail: String,
    },
    /// A text is not a series.
    #[error("not a series: {detail}; expected values separated by commas, channels by colons, as in `0.5,0.7:1,2`")]
    InvalidSeries {
        /// Index of the text in the input.
        index: usize,
        /// The reason.
        detail: String,
    },
    /// A text is not a sequence of the model's inputs.
    #[error("not a sequence of inputs: {detail}")]
    InvalidSequence {
        /// Index of the text in the input.
        index: usize,
        /// The reason.
        detail: String,
    },
    /// A series has another number of channels.
    #[error("this model needs series of {needed} channels, but the data have {found}")]
    ChannelMismatch {
        /// Channels of the model.
        needed: usize,
        /// Channels of the data.
        found: usize,
    },
    /// An image has another size.
    #[error(
        "this model reads images of {} × {} pixels (height × width), but this one has {} × {}; scale it",
        .needed[0], .needed[1], .found[0], .found[1]
    )]
    ImageSize {
        /// Height and width of the images of the training data.
        needed: [usize; 2],
        /// Height and width of the image.
        found: [usize; 2],
    },
    /// A series does not have the model's columns.
    #[error("the columns do not match: this model needs {needed}, in this order")]
    ColumnMismatch {
        /// The model's columns.
        needed: String,
    },
    /// A series has a different time step.
    #[error("this model forecasts in steps of {needed}, but the data are in steps of {found}; resample them")]
    StepMismatch {
        /// Time step of the training data.
        needed: TimeStep,
        /// Time step of the data.
        found: TimeStep,
    },
    /// The examples are those of another task.
    #[error("the data are not those of the model's task")]
    KindMismatch,
}

impl PredictError {
    /// Whether the reason is a single text, so that other texts can be predicted.
    pub fn is_of_one_text(&self) -> bool {
        matches!(
            self,
            Self::Empty { .. }
                | Self::NotMarked { .. }
                | Self::InvalidSeries { .. }
                | Self::InvalidSequence { .. }
                | Self::ChannelMismatch { .. }
        )
    }
}

fn of_labels(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; the labels of this one are {}", known.join(", ")) }
}

/// The index of each of these labels, which examples use, among those of a model; labels that no example uses need not be known.
///
/// # Errors
/// If the model does not have a label that is used.
pub(crate) fn label_indices(
    labels: &[String],
    used: impl Iterator<Item = usize>,
    known: &[String],
) -> Result<Vec<usize>, PredictError> {
    let index = |label: &String| known.iter().position(|other| other == label);
    let mut is_used = vec![false; labels.len()];
    used.for_each(|label| is_used[label] = true);
    let is_unknown = |(label, used): &(&String, bool)| *used && index(label).is_none();
    let unknown: Vec<String> = labels.iter().zip(is_used).filter(is_unknown).map(|(label, _)| label.clone()).collect();
    match unknown.is_empty() {
        true => Ok(labels.iter().map(|label| index(label).unwrap_or(0)).collect()),
        false => Err(PredictError::UnknownLabels { unknown, known: known.to_vec() }),
    }
}
