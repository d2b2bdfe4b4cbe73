//! A label for every token.

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Device, Int, Tensor};
use seqzoo_random::{Key, Purpose};

use super::{cross_entropy, each_step, table};
use crate::cell::without_padding;
use crate::layers::{Crf, Stack, StackShape, linear};
use crate::misfit::{Misfit, expect_fit, positive};

/// Token tagger: embedding, recurrent stack, linear layer, and labels that are independent (softmax) or joint (CRF).
///
/// ```text
/// emission_t = stack(E[token_1] … E[token_length])_t W + b
/// softmax:  p(y) = Π_t softmax(emission_t)_{y_t}        CRF:  see layers/crf.rs
/// ```
///
/// Emissions are `[batch, time, labels]`, zero at padding.
#[derive(Module, Debug)]
pub struct Tagger {
    embedding: Embedding,
    stack: Stack,
    output: Linear,
    crf: Option<Crf>,
}

/// The sizes of a [`Tagger`].
#[derive(Debug, Clone, PartialEq)]
pub struct TaggerShape {
    /// Distinct tokens.
    pub vocabulary: usize,
    /// The recurrent layers; their input is the embedding.
    pub stack: StackShape,
    /// Labels to tell apart.
    pub labels: usize,
    /// Whether labels depend on their neighbours (CRF) or not (softmax).
    pub joint: bool,
}

impl TaggerShape {
    /// Whether a tagger of this shape makes sense.
    ///
    /// # Errors
    /// The field that does not: `vocabulary`, `labels`, or one of the stack's.
    pub fn check(&self) -> Result<(), Misfit> {
        self.stack.check().map_err(|misfit| misfit.within("stack"))?;
        positive("vocabulary", self.vocabulary)?;
        positive("labels", self.labels)?;
        if self.joint { Crf::check(self.labels) } else { Ok(()) }
    }
}

impl Tagger {
    /// A tagger with weights drawn from the run's seed.
    ///
    /// # Panics
    /// If [`TaggerShape::check`] refuses the shape.
    pub fn new(shape: TaggerShape, seed: u64, device: &Device) -> Self {
        expect_fit(shape.check());
        let TaggerShape { vocabulary, stack, labels, joint } = shape;
        let key = Key::new(seed, Purpose::Weights);
        let features = stack.output_size();
        Self {
            embedding: table(vocabulary, stack.input_size, key.at(0), device),
            stack: Stack::new(stack, key.at(1), device),
            output: linear(features, labels, 0.0, key.at(2), device),
            crf: joint.then(|| Crf::new(labels, key.at(3), device)),
        }
    }

    /// A score for each label at each step; `tokens` is `[batch, time]`, of which `lengths` are true.
    pub fn emissions(&self, tokens: Tensor<2, Int>, lengths: &[usize], noise: Option<Key>) -> Tensor<3> {
        let outputs = self.stack.read(self.embedding.forward(tokens), lengths, None, noise).outputs;
        without_padding(each_step(&self.output, outputs), lengths)
    }

    /// Mean negative log-likelihood: per token for softmax, per sentence for a CRF; `labels` is `[batch][length]`.
    ///
    /// # Panics
    /// If the labels do not fit the tokens.
    pub fn loss(&self, tokens: Tensor<2, Int>, labels: &[Vec<usize>], noise: Option<Key>) -> Tensor<1> {
        let lengths: Vec<usize> = labels.iter().map(Vec::len).collect();
        let emissions = self.emissions(tokens, &lengths, noise);
        match &self.crf {
            None => cross_entropy(emissions, labels),
            Some(crf) => crf.log_likelihood(emissions, labels).mean().neg(),
        }
    }

    /// The most probable labels of each row.
    pub fn decode(&self, tokens: Tensor<2, Int>, lengths: &[usize]) -> Vec<Vec<usize>> {
        let emissions = self.emissions(tokens, lengths, None);
        if let Some(crf) = &self.crf {
            return crf.decode(emissions, lengths);
        }
        let [_, time, _] = emissions.dims();
        let best = emissions.argmax(2).try_into_vec_as::<i64>().expect("a computed tensor can be read");
        let row = |(row, &length): (&[i64], &usize)| row[..length].iter().map(|&label| label as usize).collect();
        best.chunks_exact(time).zip(lengths).map(row).collect()
    }
}
