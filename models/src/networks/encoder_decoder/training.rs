//! Training loss: teacher forcing, label smoothing, scheduled sampling.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_kernels::Lengths;

use super::{Decoded, EncodedSource, EncoderDecoder};
use crate::dropout_key::DropoutKey;
use crate::networks::mean_cross_entropy;

/// Bits of the dropout key that identify the draws of scheduled sampling.
const SAMPLING: u64 = 1 << 61;

/// Target sequences of a batch, and how a model learns them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Targets<'a> {
    /// Tokens of each row, `[batch][length]`, with the end-of-sequence token.
    pub tokens: &'a [Vec<usize>],
    /// Begin-of-sequence token: the decoder's first input.
    pub bos: usize,
    /// Label smoothing ε: probability that is divided among all tokens.
    pub label_smoothing: f64,
    /// Scheduled sampling: probability that an input of the decoder is the model's own prediction, not the target token.
    pub sampling: f64,
}

impl<'a> Targets<'a> {
    /// Targets that are learned by teacher forcing, without label smoothing.
    pub fn new(bos: usize, tokens: &'a [Vec<usize>]) -> Self {
        Self { tokens, bos, label_smoothing: 0.0, sampling: 0.0 }
    }

    fn lengths(&self) -> Vec<usize> {
        self.tokens.iter().map(Vec::len).collect()
    }

    /// The decoder's inputs under teacher forcing, `[batch, time]`: `bos` and the targets shifted by one.
    fn shifted(&self, device: &Device) -> Tensor<2, Int> {
        let time = self.lengths().into_iter().max().unwrap_or(0);
        let shifted = |row: &Vec<usize>| -> Vec<i32> {
            let tokens = std::iter::once(self.bos).chain(row.iter().copied()).map(|token| token as i32);
            tokens.chain(std::iter::repeat(0)).take(time).collect()
        };
        let input: Vec<i32> = self.tokens.iter().flat_map(shifted).collect();
        Tensor::from_data(TensorData::new(input, [self.tokens.len(), time]), device)
    }
}

impl EncoderDecoder {
    /// Mean cross-entropy in nats per target token, given the encoded sources.
    ///
    /// The decoder's input is `bos` and the target shifted by one (teacher forcing). With scheduled sampling, each token after `bos` is
    /// replaced with probability [`sampling`](Targets::sampling) by the token that the model, given the inputs before it, finds most
    /// probable; what is replaced is a function of the key, the example and the position. Predictions are made without dropout in the
    /// decoder, and no gradient flows through them. Without a key, as in validation, nothing is replaced (Bengio et al., "Scheduled sampling
    /// for sequence prediction with recurrent neural networks", NIPS 2015).
    ///
    /// With label smoothing ε, a target token has the probability 1 - ε, and ε is divided among all V tokens (Szegedy et al. 2016):
    ///
    /// ```text
    /// loss = -(1 - ε) log p_target - ε / V Σ_v log p_v
    /// ```
    ///
    /// A target token of a model that copies may be one that can only be copied; such a model has no label smoothing.
    ///
    /// # Panics
    /// If the targets do not match the source or the vocabulary, or the model copies and there is label smoothing.
    pub fn loss(&self, encoded: EncodedSource, targets: &Targets, dropout_key: impl Into<DropoutKey>) -> Tensor<1> {
        let device = encoded.outputs.device();
        let dropout_key = dropout_key.into();
        let input = self.sampled(&encoded, targets.shifted(&device), targets.sampling, &dropout_key);
        let lengths = targets.lengths();
        let Decoded { features, weights, pointer, encoded } = self.decoded(encoded, input, &lengths, dropout_key);
        let time = features.dims()[1];
        let steps = |(row, &length): (usize, &usize)| (0..length).map(move |step| (row * time + step) as i32);
        let steps: Vec<i32> = lengths.iter().enumerate().flat_map(steps).collect();
        let examples: Vec<i32> = steps.iter().map(|&step| step / time as i32).collect();
        let steps = indices(steps, &device);
        let valid = |tensor: Tensor<3>| {
            let size = tensor.dims()[2];
            tensor.reshape([-1, size as i32]).select(0, steps.clone())
        };
        let (Some(pointer), Some(copies)) = (pointer, encoded.copies) else {
            return self.smoothed_cross_entropy(valid(features), targets);
        };
        assert!(targets.label_smoothing == 0.0, "models that copy are trained without label smoothing");
        let (scores, tokens) = (self.output.forward(valid(features)), targets.tokens.concat());
        let examples = indices(examples, &device);
        copies.log_probabilities_of(scores, valid(pointer), valid(weights), &tokens, examples).mean().neg()
    }

    /// Mean cross-entropy of the target tokens with label smoothing; `features` is `[tokens, decoder output size]`.
    fn smoothed_cross_entropy(&self, features: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let (weight, bias, execution) = (self.output.weight(), self.output.bias(), self.decoder.execution());
        let tokens: Vec<u32> = targets.tokens.iter().flatten().map(|&token| token as u32).collect();
        let of_tokens: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
        let loss = mean_cross_entropy(features.clone(), weight.clone(), bias.clone(), tokens, execution);
        if targets.label_smoothing == 0.0 {
            return loss;
        }
        // -(1 - ε) log p_target - ε / V Σ log p = -log p_target + ε (score_target - mean score).
        let of_tokens = indices(of_tokens, &features.device());
        let of_targets = weight.clone().select(1, of_tokens.clone()).transpose() - weight.mean_dim(1).transpose();
        let difference =
            (features * of_targets).sum_dim(1).mean() + (bias.clone().select(0, of_tokens) - bias.mean()).mean();
        loss + difference * targets.label_smoothing
    }

    /// The decoder's inputs, `[batch, time]`, some of them replaced by predictions with probability `rate`, given a key.
    fn sampled(
        &self,
        encoded: &EncodedSource,
        input: Tensor<2, Int>,
        rate: f64,
        dropout_key: &DropoutKey,
    ) -> Tensor<2, Int> {
        if rate == 0.0 || dropout_key.is_none() {
            return input;
        }
        let device = input.device();
        let (network, mut encoded, plain) = (self.valid(), encoded.clone().inner(), device.clone().inner());
        let [batch, time] = input.dims();
        let given = Tensor::<2, Int>::from_data(input.into_data(), &plain);
        let replaced = dropout_key.part(SAMPLING).mask([batch, time], rate, &plain).expect("there is a key");
        let mut columns = vec![given.clone().narrow(1, 0, 1)];
        for step in 1..time {
            let (scores, next) = network.decode(encoded, columns[step - 1].clone(), Lengths::full(batch, 1), None);
            encoded = next;
            let predicted = scores.argmax(2).reshape([batch, 1]);
            columns.push(given.clone().narrow(1, step, 1).mask_where(replaced.clone().narrow(1, step, 1), predicted));
        }
        Tensor::from_data(Tensor::cat(columns, 1).into_data(), &device)
    }
}

fn indices(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}
