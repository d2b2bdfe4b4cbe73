//! One label for a whole sequence.

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Device, Int, Tensor};
use seqzoo_random::{Key, Purpose};

use crate::architecture::{Architecture, Recurrent};
use crate::init;
use crate::layers::dropout;

/// Sequence classifier: embedding, recurrent layer, its last true hidden state, dropout, linear layer.
///
/// ```text
/// x_t = E[token_t]      h = recurrent(x_1 … x_length)      logits = dropout(h) W + b
/// ```
///
/// `E` is `[vocabulary, embedding_size]`, `h` `[batch, output_size]`, `W` `[output_size, labels]`.
#[derive(Module, Debug)]
pub struct Classifier {
    embedding: Embedding,
    recurrent: Recurrent,
    output: Linear,
    dropout: f64,
}

/// The sizes of a [`Classifier`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierShape {
    /// Distinct tokens, padding and unknown included.
    pub vocabulary: usize,
    /// Features of a token.
    pub embedding_size: usize,
    /// Features of the hidden state, per direction.
    pub hidden_size: usize,
    /// Labels to tell apart.
    pub labels: usize,
    /// Share of the last hidden state that is dropped in training.
    pub dropout: f64,
}

impl Classifier {
    /// A classifier with initial weights drawn from the run's seed: embeddings uniform in ±0.05 (as in Keras), the cell's
    /// own for the recurrent layer, Glorot-uniform with zero bias for the output.
    pub fn new(architecture: Architecture, shape: ClassifierShape, seed: u64, device: &Device) -> Self {
        let key = Key::new(seed, Purpose::Weights);
        let weight = init::uniform([shape.vocabulary, shape.embedding_size], 0.05, key.at(0), device);
        let output_size = shape.hidden_size * architecture.directions();
        Self {
            embedding: Embedding { weight },
            recurrent: architecture.build(shape.embedding_size, shape.hidden_size, key.at(1), device),
            output: Linear {
                weight: init::glorot_uniform([output_size, shape.labels], 1, key.at(2), device),
                bias: Some(init::constant(&vec![0.0; shape.labels], device)),
            },
            dropout: shape.dropout,
        }
    }

    /// Scores of each label before softmax, `[batch, labels]`.
    ///
    /// `tokens` is `[batch, time]`, of which `lengths` are true. `noise` is the key of this step's dropout masks; without
    /// one nothing is dropped.
    pub fn forward(&self, tokens: Tensor<2, Int>, lengths: &[usize], noise: Option<Key>) -> Tensor<2> {
        let last = self.recurrent.read(self.embedding.forward(tokens), lengths).last;
        let last = match noise {
            Some(key) => dropout(last, self.dropout, key),
            None => last,
        };
        self.output.forward(last)
    }
}
