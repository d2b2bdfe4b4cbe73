//! Complete networks, from tokens or numeric features to scores.

mod classifier;
mod encoder_decoder;
mod ensemble;
mod forecaster;
mod frame_model;
mod language_model;
mod recommender;
mod relation;
mod series_classifier;
mod step_classifier;
mod tagger;
mod trajectory;

pub use classifier::{Classifier, ClassifierShape};
pub use encoder_decoder::{
    EncodedSource, EncoderDecoder, EncoderDecoderShape, Generation, Hypothesis, Source, SourceShape, Targets,
};
pub use ensemble::{Ensemble, name_in_member};
pub use forecaster::{BackboneShape, ForecastHead, Forecaster, ForecasterShape};
pub use frame_model::{FrameModel, FrameModelShape, FrameOutput};
pub use language_model::{LanguageModel, LanguageModelOutput, LanguageModelShape, LanguageModelStream, TextState};
pub use recommender::{RankingLoss, Recommender, RecommenderShape};
pub use relation::{RelationClassifier, RelationShape};
pub use series_classifier::{SeriesClassifier, SeriesClassifierShape};
pub use step_classifier::{StepClassifier, StepClassifierShape};
pub use tagger::{Tagger, TaggerInput, TaggerOutput, TaggerShape, TaggerTargets};
pub use trajectory::{
    Component, PEN_STATES, POINT_FEATURES, PointDistribution, PointLikelihoods, Trajectory, TrajectoryShape,
    TrajectoryStream,
};

use burn::module::{Module, ModuleDisplay};
use burn::nn::Embedding;
use burn::tensor::activation::log_softmax;
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_kernels::{self as kernels, Execution, OutputInputs};
use seqzoo_random::Key;

use crate::dropout_key::DropoutKey;
use crate::init;
use crate::layers::dropout::embedding_dropout;
use crate::names::{FieldNames, names};

/// Names of parameters in checkpoints, as each network declares them, and those of Burn's embedding.
pub(crate) const NAMES: &[&[FieldNames]] = &[
    &[names!(Embedding { weight: "weight" })],
    classifier::NAMES,
    encoder_decoder::NAMES,
    ensemble::NAMES,
    forecaster::NAMES,
    frame_model::NAMES,
    language_model::NAMES,
    recommender::NAMES,
    relation::NAMES,
    series_classifier::NAMES,
    step_classifier::NAMES,
    tagger::NAMES,
    trajectory::NAMES,
];

/// A network whose layers can be computed in more than one way.
pub trait Network: Module + ModuleDisplay {
    /// Sets how the layers are computed; [`Execution::default`] unless set. A network without kernels ignores it.
    fn set_execution(&mut self, _execution: Execution) {}
}

/// An embedding table, `[vocabulary, size]`, initialized uniformly in ±0.05, as in Keras.
fn table(vocabulary: usize, size: usize, key: Key, device: &Device) -> Embedding {
    Embedding { weight: init::uniform([vocabulary, size], 0.05, key, device) }
}

/// An embedding table, `[vocabulary, size]`, initialized with mean 0 and variance 1, as in PyTorch, but uniformly. With
/// it, a character language model reaches in two epochs the loss that it reaches in five from ±0.05.
fn spread(vocabulary: usize, size: usize, key: Key, device: &Device) -> Embedding {
    Embedding { weight: init::uniform([vocabulary, size], 3f32.sqrt(), key, device) }
}

/// The embeddings of `tokens`, `[batch, time, size]`, with embedding dropout at rate `dropped`, given a key.
fn embed(table: &Embedding, tokens: Tensor<2, Int>, dropped: f64, dropout_key: &DropoutKey) -> Tensor<3> {
    embedding(embedding_dropout(table.weight.val(), dropped, dropout_key.offset(1)), tokens)
}

/// Output layer and mean cross-entropy in nats: `features` is `[rows, features]`, `targets` one class per row. Uses one
/// fused kernel if available.
fn mean_cross_entropy(
    features: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    targets: Vec<u32>,
    execution: Execution,
) -> Tensor<1> {
    let inputs = OutputInputs { hidden: features, weight, bias, targets };
    kernels::mean_cross_entropy(&inputs, execution).unwrap_or_else(|| {
        let OutputInputs { hidden, weight, bias, targets } = inputs;
        let targets = column(&targets, &hidden.device());
        let scores = hidden.matmul(weight) + bias.unsqueeze();
        log_softmax(scores, 1).gather(1, targets).mean().neg()
    })
}

/// The same mean, and the number of correct predictions (rows whose target has the highest score); not differentiable.
fn evaluate_cross_entropy(
    features: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    targets: &[u32],
    execution: Execution,
) -> (f64, usize) {
    let inputs = OutputInputs { hidden: features, weight, bias, targets: targets.to_vec() };
    kernels::evaluate_cross_entropy(&inputs, execution).unwrap_or_else(|| {
        let OutputInputs { hidden, weight, bias, targets } = inputs;
        let targets = column(&targets, &hidden.device());
        let scores = hidden.matmul(weight) + bias.unsqueeze();
        let correct: f32 = scores.clone().argmax(1).equal(targets.clone()).float().sum().into_scalar();
        let loss: f32 = log_softmax(scores, 1).gather(1, targets).mean().neg().into_scalar();
        (loss.into(), correct as usize)
    })
}

fn column(numbers: &[u32], device: &Device) -> Tensor<2, Int> {
    let numbers: Vec<i32> = numbers.iter().map(|&number| number as i32).collect();
    let rows = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [rows, 1]), device)
}

/// Mean cross-entropy in nats over valid time steps: `scores` is `[batch, time, labels]`, `labels` is
/// `[batch][length]`.
///
/// # Panics
/// If the labels do not match the scores, or there are none.
fn cross_entropy(scores: Tensor<3>, labels: &[Vec<usize>]) -> Tensor<1> {
    let [batch, time, count] = scores.dims();
    let steps: usize = labels.iter().map(Vec::len).sum();
    let fits = |row: &Vec<usize>| row.len() <= time && row.iter().all(|&label| label < count);
    assert!(
        labels.len() == batch && steps > 0 && labels.iter().all(fits),
        "labels do not match scores [{batch}, {time}, {count}]"
    );
    let device = scores.device();
    let padded =
        |row: &Vec<usize>| row.iter().map(|&label| label as i32).chain(std::iter::repeat(0)).take(time).collect();
    let indices: Vec<i32> = labels.iter().flat_map(|row| -> Vec<i32> { padded(row) }).collect();
    let valid = |row: &Vec<usize>| (0..time).map(|step| f32::from(step < row.len())).collect();
    let valid: Vec<f32> = labels.iter().flat_map(|row| -> Vec<f32> { valid(row) }).collect();
    let indices = Tensor::<3, Int>::from_data(TensorData::new(indices, [batch, time, 1]), &device);
    let valid = Tensor::<3>::from_data(TensorData::new(valid, [batch, time, 1]), (&device, scores.dtype()));
    (log_softmax(scores, 2).gather(2, indices) * valid).sum().neg() / steps as f64
}
