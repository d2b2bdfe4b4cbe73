//! Predictions and metrics of trained encoder–decoders.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use seqzoo_datasets::batch;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Evaluation, Metric};
use seqzoo_datasets::text::Tokenization;
use seqzoo_datasets::transduction::{self, Example, Judged, Pair, Transduction};
use seqzoo_datasets::uncertainty::Resampling;
use seqzoo_models::dropout_key::DropoutKey;
use seqzoo_models::layers::AttentionScore;
use seqzoo_models::networks::{EncoderDecoder, Hypothesis};
use serde_json::{Value, json};

use super::{Codec, Encoded, Settings, examples};
use crate::targets::{self, EVALUATION};
use crate::{Examples, Output, PredictError, Predictor, TextOptions, TrainedModel, examples_as, pad_rows};

/// A trained encoder–decoder with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::transduction::{Pair, Transduction};
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::seq2seq::{TASK, Transducer};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let pair = |source: &str, target: &str| Pair { source: source.into(), target: target.into(), groups: [].into() };
/// let data = Transduction { train: vec![pair("1+1", "2"), pair("2+1", "3")], ..Transduction::default() };
/// let spec = ModelSpec::new("bilstm-8", &TASK, "level = 'characters'".parse()?)?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = Transducer::open(&spec, &training.files(), &weights, &device)?;
/// let hypotheses = model.transduce("1+2", 2)?; // beam search
/// assert!(hypotheses[0].1 >= hypotheses[1].1);
/// # Ok(()) }
/// ```
pub type Transducer = TrainedModel<Codec>;

impl Transducer {
    /// Beam search with the given width: target texts for a source with their probabilities, the most probable first.
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
        let hypotheses = self.network.beam_search(source, length, &self.codec.generation(), width);
        Ok(hypotheses.iter().map(|found| self.codec.targets().decoded(found)).collect())
    }

    /// Unit of tokenization.
    pub fn level(&self) -> Tokenization {
        self.codec.level
    }

    /// Metrics on pairs by greedy decoding; a prediction is compared with all targets of its source. Each source must have a token.
    pub fn evaluate_pairs(&self, pairs: &[Pair]) -> Evaluation {
        let Self { network, codec, device, .. } = self;
        let examples = transduction::examples(pairs);
        let (judged, found) = judge(network, codec, &examples, device, &|| false).expect("never stopped");
        let attention = self.spec.settings::<Settings>().attention;
        let loss = loss(network, codec, pairs, attention, device, &|| false).expect("never stopped");
        let score = |indices: &mut dyn Iterator<Item = usize>| transduction::scores(&judged, indices);
        let evaluation = Evaluation::by_group(examples.iter().map(|example| example.groups), score);
        let edits: Vec<usize> = judged.iter().map(Judged::edits).collect();
        let describe = |index: usize| (examples[index].source.to_owned(), examples[index].references.join(" | "));
        let mut evaluation = codec.targets().with_mistakes(evaluation, &found, &edits, describe);
        evaluation.all.insert(Metric::LOSS, loss);
        evaluation.unknown = codec.targets().unknown_share(pairs.iter().map(|pair| pair.target.as_str()));
        let count = judged.len();
        evaluation.with_resampling(Resampling::of_examples(count, move |indices: &mut dyn Iterator<Item = usize>| {
            transduction::scores(&judged, indices).named()
        }))
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
        let data = examples::with_tokens(examples_as::<Transduction>(examples)?, self.level());
        let targets = self.codec.targets();
        let counted = |text: &str| targets.counted(text);
        Ok(data.baselines(split, &targets.measure(&counted)))
    }

    fn predict(&self, texts: &[&str], options: TextOptions) -> Result<Vec<Output>, PredictError> {
        let sources: Vec<Vec<u32>> = texts.iter().map(|text| self.codec.source_ids(text)).collect();
        if let Some(index) = sources.iter().position(Vec::is_empty) {
            return Err(PredictError::Empty { index });
        }
        let decoded = |found: &Hypothesis| self.codec.targets().decoded(found);
        let found: Vec<Vec<(String, f64)>> = match options.beams {
            1 => {
                let found = greedy(&self.network, &self.codec, &sources, &self.device, &|| false);
                found.expect("never stopped").iter().map(|found| vec![decoded(found)]).collect()
            }
            width => texts.iter().map(|text| self.transduce(text, width)).collect::<Result<_, _>>()?,
        };
        let output = |found: Vec<(String, f64)>| {
            let Some((prediction, probability)) = found.first() else { return self.empty_output() };
            let each: Vec<Value> = found
                .iter()
                .map(|(prediction, probability)| json!({"prediction": prediction, "probability": probability}))
                .collect();
            let json = [
                ("prediction", json!(prediction)),
                ("probability", json!(probability)),
                ("hypotheses", Value::Array(each)),
            ];
            Output::new(format!("{prediction:<10} {probability:.4}"), json)
        };
        Ok(found.into_iter().map(output).collect())
    }

    fn empty_output(&self) -> Output {
        Output::new(
            String::new(),
            [("prediction", Value::Null), ("probability", Value::Null), ("hypotheses", json!([]))],
        )
    }
}

/// Length of each pair's source, and size of the pair in tokens, as batch limits count them.
pub(super) fn extents(pairs: &[Encoded], attention: AttentionScore) -> (Vec<usize>, Vec<usize>) {
    let size = |pair: &Encoded| targets::batch_size(pair.source.len(), pair.target.len(), attention);
    pairs.iter().map(|pair| (pair.source.len(), size(pair))).unzip()
}

/// The greedy predictions for sources, none of which may be empty, in order; `None` if stopped.
fn greedy(
    network: &EncoderDecoder,
    codec: &Codec,
    sources: &[Vec<u32>],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Hypothesis>> {
    let lengths: Vec<usize> = sources.iter().map(Vec::len).collect();
    let batches = batch::sorted(&lengths, &lengths, EVALUATION);
    let source = |batch: &[usize]| pad_rows(batch.iter().map(|&index| sources[index].as_slice()), device);
    targets::greedy(network, &codec.generation(), &batches, source, device, stop)
}

/// Compares the greedy prediction for each source with its targets, and returns both; `None` if stopped.
///
/// Texts are compared: a token outside the vocabulary is never generated, so it never matches.
pub(super) fn judge(
    network: &EncoderDecoder,
    codec: &Codec,
    examples: &[Example],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<(Vec<Judged>, Vec<Hypothesis>)> {
    let sources: Vec<Vec<u32>> = examples.iter().map(|example| codec.source_ids(example.source)).collect();
    let found = greedy(network, codec, &sources, device, stop)?;
    let targets = codec.targets();
    let counted = |text: &str| targets.counted(text);
    let measure = targets.measure(&counted);
    let judge =
        |(found, example): (&Hypothesis, &Example)| measure.judge(&targets.decode(&found.tokens), &example.references);
    let judged = found.iter().zip(examples).map(judge).collect();
    Some((judged, found))
}

/// The mean loss per target token; `None` if stopped.
pub(super) fn loss(
    network: &EncoderDecoder,
    codec: &Codec,
    pairs: &[Pair],
    attention: AttentionScore,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<f64> {
    let encoded: Vec<Encoded> = pairs.iter().map(|pair| codec.encode(pair)).collect();
    let (lengths, sizes) = extents(&encoded, attention);
    let mean = |batch: &[usize]| {
        let rows: Vec<&Encoded> = batch.iter().map(|&index| &encoded[index]).collect();
        mean_loss(network, &rows, 0.0, None, device)
    };
    targets::loss(&batch::sorted(&lengths, &sizes, EVALUATION), mean, stop)
}

fn sources(pairs: &[&Encoded], device: &Device) -> (Tensor<2, Int>, Vec<usize>) {
    pad_rows(pairs.iter().map(|pair| pair.source.as_slice()), device)
}

/// The mean loss per target token under teacher forcing, and the number of target tokens.
pub(super) fn mean_loss(
    network: &EncoderDecoder,
    pairs: &[&Encoded],
    label_smoothing: f64,
    dropout_key: impl Into<DropoutKey>,
    device: &Device,
) -> (Tensor<1>, usize) {
    let targets: Vec<Vec<usize>> = pairs.iter().map(|pair| pair.target.clone()).collect();
    targets::mean_loss(network, sources(pairs, device), &targets, label_smoothing, dropout_key)
}

#[cfg(test)]
mod tests {
    use super::super::Seq2SeqTraining;
    use super::*;
    use crate::ModelSpec;
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
        let data = Transduction { validation: train.clone(), train, ..Transduction::default() };
        for seed in 0..20 {
            let settings = "min_count = 2\nembedding_size = 3\nlevel = \"characters\"";
            let spec = ModelSpec { seed, ..test_spec("seq2seq", settings, "bilstm-4") };
            let task = Seq2SeqTraining::new(&spec, &data).unwrap();
            let device = seqzoo_kernels::devices().remove(0).1;
            let network = task.network(&device);
            let examples = transduction::examples(&data.validation);
            let (judged, _) = judge(&network, &task.codec, &examples, &device, &|| false).unwrap();
            assert_eq!(transduction::scores(&judged, &mut [2].into_iter()).get(Metric::ACCURACY), Some(0.0));
            let rows: Vec<Encoded> = data.validation.iter().map(|pair| task.codec.encode(pair)).collect();
            let (source, lengths) = sources(&rows.iter().collect::<Vec<_>>(), &device);
            let generated = network.greedy(source, &lengths, &task.codec.targets().generation(9));
            assert!(generated.iter().flat_map(|found| &found.tokens).all(|&token| token == 2), "{generated:?}");
        }
    }
}
