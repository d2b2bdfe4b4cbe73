//! Whole networks, from tokens or numbers to scores.

mod classifier;
mod encoder_decoder;
mod forecaster;
mod language_model;
mod relation;
mod tagger;

pub use classifier::{Classifier, ClassifierShape};
pub use encoder_decoder::{EncoderDecoder, EncoderDecoderShape};
pub use forecaster::{Forecaster, ForecasterShape, Outlook};
pub use language_model::{LanguageModel, LanguageModelShape};
pub use relation::{RelationClassifier, RelationShape};
pub use tagger::{Tagger, TaggerShape};

use burn::nn::{Embedding, Linear};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_random::Key;

use crate::init;

/// A table of embeddings `[vocabulary, size]`, uniform in ±0.05 (as in Keras).
fn table(vocabulary: usize, size: usize, key: Key, device: &Device) -> Embedding {
    Embedding { weight: init::uniform([vocabulary, size], 0.05, key, device) }
}

/// A linear map of the last dimension of `[batch, time, features]`.
fn each_step(linear: &Linear, input: Tensor<3>) -> Tensor<3> {
    let [batch, time, features] = input.dims();
    let output = linear.forward(input.reshape([batch * time, features]));
    let columns = output.dims()[1];
    output.reshape([batch, time, columns])
}

/// Mean cross-entropy in nats over true steps: `scores` is `[batch, time, labels]`, `labels` holds each row's true ones.
///
/// # Panics
/// If labels do not fit the scores, or there is none at all.
fn cross_entropy(scores: Tensor<3>, labels: &[Vec<usize>]) -> Tensor<1> {
    let [batch, time, count] = scores.dims();
    let steps: usize = labels.iter().map(Vec::len).sum();
    let fits = |row: &Vec<usize>| row.len() <= time && row.iter().all(|&label| label < count);
    assert!(
        labels.len() == batch && steps > 0 && labels.iter().all(fits),
        "labels fit scores [{batch}, {time}, {count}]"
    );
    let device = scores.device();
    let padded =
        |row: &Vec<usize>| row.iter().map(|&label| label as i32).chain(std::iter::repeat(0)).take(time).collect();
    let indices: Vec<i32> = labels.iter().flat_map(|row| -> Vec<i32> { padded(row) }).collect();
    let counted = |row: &Vec<usize>| (0..time).map(|step| f32::from(step < row.len())).collect();
    let counted: Vec<f32> = labels.iter().flat_map(|row| -> Vec<f32> { counted(row) }).collect();
    let indices = Tensor::<3, Int>::from_data(TensorData::new(indices, [batch, time, 1]), &device);
    let counted = Tensor::<3>::from_data(TensorData::new(counted, [batch, time, 1]), (&device, scores.dtype()));
    (log_softmax(scores, 2).gather(2, indices) * counted).sum().neg() / steps as f64
}
