//! Predictions and metrics of trained encoder–decoders.

use std::any::Any;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Evaluation, Metric};
use seqzoo_datasets::text::Tokenization;
use seqzoo_datasets::transduction::{Pair, Transduction, exact_match};
use seqzoo_models::dropout_key::DropoutKey;
use seqzoo_models::layers::AttentionScore;
use seqzoo_models::networks::EncoderDecoder;
use serde_json::{Value, json};

use super::{BEGIN, Codec, Encoded, Settings, examples};
use crate::{
    Examples, Output, PredictError, Predictor, TextOptions, TrainedModel, evaluation_limits, examples_as, rectangle,
};

/// Batches for evaluation.
const EVALUATION: BatchLimits = evaluation_limits(256);

/// A trained encoder–decoder with its codec.
pub type Transducer = TrainedModel<Codec>;

impl Transducer {
    /// Target texts for a source by beam search with `width` beams, with their probabilities, the most probable first.
    ///
    /// # Errors
    /// If the source has no token.
    pub fn transduce(&self, source: &str, width: usize) -> Result<Vec<(String, f64)>, PredictError> {
        let pair =
            self.codec.encode(&Pair { source: source.to_owned(), target: String::new(), groups: Arc::default() });
        let length = pair.source.len();
        if length == 0 {
            return Err(PredictError::Empty { index: 0 });
        }
        let (source, _) = sources(&[&pair], &self.device);
        let hypotheses = self.network.beam_search(source, length, &self.codec.generation(self.codec.max_length), width);
        Ok(hypotheses.into_iter().map(|found| (self.codec.decode(&found.tokens), found.log_probability.exp())).collect())
    }

    /// Level of tokenization.
    pub fn level(&self) -> Tokenization {
        self.codec.level
    }

    /// Metrics on pairs by greedy decoding. Each source must have a token.
    pub fn evaluate_pairs(&self, pairs: &[Pair]) -> Evaluation {
        let attention = self.spec.settings::<Settings>().attention;
        let (correct, loss) =
            evaluate(&self.network, &self.codec, pairs, attention, &self.device, &|| false).expect("never stopped");
        let groups = pairs.iter().map(|pair| &*pair.groups);
        let mut evaluation = Evaluation::by_group(groups, |indices| exact_match(&correct, indices));
        evaluation.all.insert(Metric::LOSS, loss);
        evaluation.unknown = self.codec.unknown_share(pairs);
        evaluation
    }
}

impl Predictor for Transducer {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let data = examples::with_tokens(examples_as(examples)?, self.level());
        Ok(self.evaluate_pairs(data.split(split)))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples::with_tokens(examples_as::<Transduction>(examples)?, self.level()).baselines(split))
    }

    fn predict(&self, texts: &[&str], options: TextOptions) -> Result<Vec<Output>, PredictError> {
        let output = |(index, text): (usize, &&str)| {
            let found = self.transduce(text, options.beams).map_err(|error| match error {
                PredictError::Empty { .. } => PredictError::Empty { index },
                other => other,
            })?;
            let Some((answer, probability)) = found.first() else { return Ok(self.empty_output()) };
            let each: Vec<Value> = found
                .iter()
                .map(|(answer, probability)| json!({"answer": answer, "probability": probability}))
                .collect();
            let json =
                [("answer", json!(answer)), ("probability", json!(probability)), ("answers", Value::Array(each))];
            Ok(Output::new(format!("{answer:<10} {probability:.4}"), json))
        };
        texts.iter().enumerate().map(output).collect()
    }

    fn empty_output(&self) -> Output {
        Output::new(String::new(), [("answer", Value::Null), ("probability", Value::Null), ("answers", json!([]))])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Length of each pair's source, and its size in padded tokens in a batch of pairs that are not longer.
///
/// The length of a pair is that of its longer side; source and target are both padded to it, and attention has a weight
/// for each combination of a source and a target token. A weight takes far less memory than a token's state: in additive
/// attention it is a vector, counted as 1/8 of a token, otherwise a scalar, counted as 1/256.
pub(super) fn extents(pairs: &[Encoded], attention: AttentionScore) -> (Vec<usize>, Vec<usize>) {
    let weights_per_token = if attention == AttentionScore::Additive { 8 } else { 256 };
    let size = |pair: &Encoded| {
        let length = pair.source.len().max(pair.target.len());
        2 * length + length.saturating_mul(length) / weights_per_token
    };
    pairs.iter().map(|pair| (pair.source.len(), size(pair))).unzip()
}

/// Which targets greedy decoding generates exactly, and the mean loss per token; `None` if stopped.
///
/// Generated tokens are compared with the target's text: a token outside the vocabulary is never generated, so it never
/// matches.
pub(super) fn evaluate(
    network: &EncoderDecoder,
    codec: &Codec,
    pairs: &[Pair],
    attention: AttentionScore,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<(Vec<bool>, f64)> {
    let encoded: Vec<Encoded> = pairs.iter().map(|pair| codec.encode(pair)).collect();
    let (lengths, sizes) = extents(&encoded, attention);
    let mut correct = vec![false; pairs.len()];
    let (mut loss, mut tokens) = (0.0, 0);
    for batch in batch::sorted(&lengths, &sizes, EVALUATION) {
        if stop() {
            return None;
        }
        let rows: Vec<&Encoded> = batch.iter().map(|&index| &encoded[index]).collect();
        let (source, lengths) = sources(&rows, device);
        let longest = rows.iter().map(|pair| pair.target.len()).max().unwrap_or(0);
        let generated = network.greedy(source, &lengths, &codec.generation(longest));
        for (&index, generated) in batch.iter().zip(generated) {
            correct[index] = codec.matches(&generated, &pairs[index].target);
        }
        let (mean, count) = mean_loss(network, &rows, None, device);
        loss += f64::from(mean.into_scalar::<f32>()) * count as f64;
        tokens += count;
    }
    Some((correct, loss / tokens.max(1) as f64))
}

fn sources(pairs: &[&Encoded], device: &Device) -> (Tensor<2, Int>, Vec<usize>) {
    rectangle(pairs.iter().map(|pair| pair.source.as_slice()), device)
}

/// The mean loss per target token under teacher forcing, and the number of target tokens.
pub(super) fn mean_loss(network: &EncoderDecoder, pairs: &[&Encoded], dropout_key: impl Into<DropoutKey>, device: &Device) -> (Tensor<1>, usize) {
    let (source, lengths) = sources(pairs, device);
    let targets: Vec<Vec<usize>> = pairs.iter().map(|pair| pair.target.clone()).collect();
    let tokens = targets.iter().map(Vec::len).sum();
    (network.loss(source, &lengths, BEGIN, &targets, dropout_key), tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelSpec;
    use super::super::Seq2SeqTraining;
    use crate::{TrainingTask as _, test_spec};

    #[test]
    fn an_out_of_vocabulary_target_token_never_matches() {
        let pair = |source: &str, target: &str| Pair {
            source: source.to_owned(),
            target: target.to_owned(),
            groups: Arc::default(),
        };
        // `x` is in the target vocabulary, `y` is not.
        let train = vec![pair("a", "x"), pair("b", "x"), pair("c", "y")];
        let data = Transduction { validation: train.clone(), train, test: Vec::new() };
        for seed in 0..20 {
            let settings = "min_count = 2\nembedding_size = 3\nlevel = \"characters\"";
            let spec = ModelSpec { seed, ..test_spec("seq2seq", settings, "bilstm-4") };
            let task = Seq2SeqTraining::new(&spec, &data).unwrap();
            let attention = AttentionScore::General;
            let device = seqzoo_kernels::devices().remove(0).1;
            let network = task.network(&device);
            let (correct, _) =
                evaluate(&network, &task.codec, &data.validation, attention, &device, &|| false).unwrap();
            assert!(!correct[2]);
            let rows: Vec<Encoded> = data.validation.iter().map(|pair| task.codec.encode(pair)).collect();
            let (source, lengths) = sources(&rows.iter().collect::<Vec<_>>(), &device);
            let generated = network.greedy(source, &lengths, &task.codec.generation(9));
            assert!(generated.concat().iter().all(|&token| token == 2), "{generated:?}");
        }
    }
}
