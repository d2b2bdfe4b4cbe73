//! Copying of source tokens: a mixture of the vocabulary and the attention weights.

use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use super::EncodedSource;

/// Smallest attention weight that counts, so that its logarithm is finite.
const LEAST_WEIGHT: f64 = 1e-30;

/// Logarithm of the probability of what cannot be generated; finite, so that gradients are.
const IMPOSSIBLE: f64 = -1e30;

/// Source tokens as tokens of the extended target vocabulary: after the target vocabulary come tokens that can only be copied.
#[derive(Debug, Clone)]
pub(super) struct Copies {
    /// `[batch, source time]`.
    tokens: Tensor<2, Int>,
    /// Upper bound of the tokens.
    end: usize,
    /// The decoder's input in place of a token that can only be copied.
    unknown: usize,
}

impl EncodedSource {
    /// Lets the decoder copy source tokens.
    ///
    /// `tokens`, `[batch][length]`, is each source token as a token of the target: its id in the target vocabulary, or any id after the
    /// vocabulary if it is not in it, the same for equal tokens of a row. In the decoder's input, `unknown` stands for the latter.
    ///
    /// # Panics
    /// If there is not one token for each token of the sources.
    #[must_use]
    pub fn copying(self, tokens: &[&[usize]], unknown: usize) -> Self {
        let [batch, time, _] = self.outputs.dims();
        let lengths: Vec<usize> = tokens.iter().map(|row| row.len()).collect();
        assert!(lengths[..] == self.lengths[..], "copied tokens of lengths {lengths:?}, sources of {:?}", self.lengths);
        // Padding has no attention weight, so its token has no effect.
        let padded = |row: &&[usize]| -> Vec<i32> {
            row.iter().map(|&token| token as i32).chain(std::iter::repeat(0)).take(time).collect()
        };
        let ids: Vec<i32> = tokens.iter().flat_map(padded).collect();
        let end = tokens.iter().copied().flatten().max().map_or(0, |&largest| largest + 1);
        let tokens = Tensor::from_data(TensorData::new(ids, [batch, time]), &self.outputs.device());
        Self { copies: Some(Copies { tokens, end, unknown }), ..self }
    }
}

impl Copies {
    /// The given rows, in this order.
    pub(super) fn select(self, rows: Tensor<1, Int>) -> Self {
        Self { tokens: self.tokens.select(0, rows), ..self }
    }

    /// The same values outside of the autodiff graph.
    pub(super) fn inner(self) -> Self {
        let device: Device = self.tokens.device().inner();
        Self { tokens: Tensor::from_data(self.tokens.into_data(), &device), ..self }
    }

    /// `target` with `unknown` in place of tokens after the target vocabulary.
    pub(super) fn known(&self, target: Tensor<2, Int>, vocabulary: usize) -> Tensor<2, Int> {
        let beyond = target.clone().greater_equal_elem(vocabulary as i64);
        target.mask_fill(beyond, self.unknown as i64)
    }

    /// log P of the extended vocabulary, `[batch, time, extended vocabulary]`, from the scores of the target vocabulary,
    /// `[batch, time, vocabulary]`, the logits of the probability to generate, `[batch, time, 1]`, and the attention weights,
    /// `[batch, time, source time]`.
    pub(super) fn log_probabilities(&self, scores: Tensor<3>, pointer: Tensor<3>, weights: Tensor<3>) -> Tensor<3> {
        let [batch, time, vocabulary] = scores.dims();
        let (source_time, device, dtype) = (self.tokens.dims()[1], scores.device(), scores.dtype());
        let generated = (log_softmax(scores, 2) + log_sigmoid(pointer.clone())).exp();
        let copied = weights * log_sigmoid(-pointer).exp();
        let all = match self.end.saturating_sub(vocabulary) {
            0 => generated,
            more => Tensor::cat(vec![generated, Tensor::zeros([batch, time, more], (&device, dtype))], 2),
        };
        let tokens = self.tokens.clone().unsqueeze_dim::<3>(1).expand([batch, time, source_time]);
        all.scatter(2, tokens, copied, IndexingUpdateOp::Add).log()
    }

    /// log P of one target token per row, `[rows, 1]`.
    ///
    /// `scores` is `[rows, vocabulary]`, `pointer` `[rows, 1]`, `weights` `[rows, source time]`; `targets` are tokens of the extended
    /// vocabulary, and `examples` the row of the batch from which each row is. Computed from logarithms, so that improbable targets have
    /// gradients.
    pub(super) fn log_probabilities_of(
        &self,
        scores: Tensor<2>,
        pointer: Tensor<2>,
        weights: Tensor<2>,
        targets: &[usize],
        examples: Tensor<1, Int>,
    ) -> Tensor<2> {
        let ([rows, vocabulary], device, [_, source_time]) = (scores.dims(), scores.device(), weights.dims());
        let targets: Vec<i32> = targets.iter().map(|&token| token as i32).collect();
        let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [rows, 1]), &device);
        let beyond = targets.clone().greater_equal_elem(vocabulary as i64);
        let known = targets.clone().mask_fill(beyond.clone(), self.unknown as i64);
        let generated = log_softmax(scores, 1).gather(1, known) + log_sigmoid(pointer.clone());
        let generated = generated.mask_fill(beyond, IMPOSSIBLE);
        let others = self.tokens.clone().select(0, examples).not_equal(targets.expand([rows, source_time]));
        let weight = weights.mask_fill(others, 0.0).sum_dim(1);
        let copied = (weight + LEAST_WEIGHT).log() + log_sigmoid(-pointer);
        // log(exp(copied) + exp(generated))
        copied.clone() - log_sigmoid(copied - generated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.try_into_vec_as::<f32>().unwrap()
    }

    /// A source of the tokens 2, 4, 2, 5 with a target vocabulary of four.
    fn copies(device: &Device) -> Copies {
        let tokens = Tensor::from_data([[2, 4, 2, 5]], device);
        Copies { tokens, end: 6, unknown: 1 }
    }

    #[test]
    fn the_mixture_adds_the_attention_of_all_occurrences_of_a_token() {
        let device = Device::flex();
        // p = 0.75; softmax = 0.1, 0.2, 0.3, 0.4; attention = 0.4, 0.3, 0.2, 0.1.
        let scores = Tensor::<3>::from_data([[[0.1, 0.2, 0.3, 0.4]]], &device).log();
        let pointer = Tensor::<3>::from_data([[[3.0]]], &device).log();
        let weights = Tensor::<3>::from_data([[[0.4, 0.3, 0.2, 0.1]]], &device);
        let copies = copies(&device);
        let found = values(copies.log_probabilities(scores.clone(), pointer.clone(), weights.clone()).exp());
        // Token 2: 0.75 · 0.3 + 0.25 · (0.4 + 0.2).
        let expected = [0.075, 0.15, 0.375, 0.3, 0.075, 0.025];
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{found:?}");
        for (token, expected) in expected.into_iter().enumerate() {
            let examples = Tensor::<1, Int>::from_data([0], &device);
            let (scores, weights) = (scores.clone().reshape([1, 4]), weights.clone().reshape([1, 4]));
            let pointer = pointer.clone().reshape([1, 1]);
            let found = values(copies.log_probabilities_of(scores, pointer, weights, &[token], examples).exp())[0];
            assert!((found - expected).abs() < 1e-6, "{token}: {found} {expected}");
        }
    }

    #[test]
    fn improbable_targets_have_finite_losses_and_gradients() {
        let device = Device::flex().autodiff();
        for (pointer, token) in [(-200.0, 0), (200.0, 4), (0.0, 7), (-80.0, 3)] {
            let scores = Tensor::<2>::from_data([[-90.0, 0.0, 90.0, -30.0]], &device).require_grad();
            let pointer = Tensor::<2>::from_data([[pointer]], &device).require_grad();
            let weights = Tensor::<2>::from_data([[1.0, 0.0, 0.0, 0.0]], &device).require_grad();
            let examples = Tensor::<1, Int>::from_data([0], &device);
            let log = copies(&device).log_probabilities_of(
                scores.clone(),
                pointer.clone(),
                weights.clone(),
                &[token],
                examples,
            );
            let gradients = log.clone().sum().neg().backward();
            assert!(values(log)[0].is_finite(), "{token}");
            for tensor in [scores, pointer, weights] {
                let found = values(tensor.grad(&gradients).unwrap());
                assert!(found.iter().all(|value| value.is_finite()), "{token}: {found:?}");
            }
        }
    }

    #[test]
    fn tokens_after_the_vocabulary_are_unknown_as_inputs() {
        let device = Device::flex();
        let target = Tensor::<2, Int>::from_data([[0, 3, 4, 5]], &device);
        let known = copies(&device).known(target, 4).try_into_vec_as::<i64>().unwrap();
        assert_eq!(known, [0, 3, 1, 1]);
    }
}
