//! Predictions and metrics of trained encoder–decoders.

use burn::tensor::{Device, Tensor};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Evaluation, Scores};
use seqzoo_datasets::text::{Tokenization, UNKNOWN};
use seqzoo_datasets::transduction::{self, Example, Judged, Pair, Transduction};
use seqzoo_models::dropout_key::DropoutKey;
use seqzoo_models::layers::AttentionScore;
use seqzoo_models::networks::{EncodedSource, EncoderDecoder, Generation};
use serde_json::{Value, json};

use super::{Codec, Encoded, Settings, Source, examples};
use crate::targets::{self, Judgment, Objective, Predictions};
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
    /// Beam search with the given width: different target texts for a source with their probabilities, in the order of
    /// [`Generation::score`]: the most probable first, unless the model was trained with a length penalty.
    ///
    /// # Errors
    /// If the source has no token.
    pub fn transduce(&self, source: &str, width: usize) -> Result<Vec<(String, f64)>, PredictError> {
        Ok(self.transduce_all(&[source], width)?.remove(0))
    }

    /// As [`Transducer::transduce`], for several sources at once.
    fn transduce_all(&self, sources: &[&str], width: usize) -> Result<Vec<Vec<(String, f64)>>, PredictError> {
        let sources: Vec<Source> = sources.iter().map(|source| self.codec.encode_source(source)).collect();
        if let Some(index) = sources.iter().position(|source| source.ids.is_empty()) {
            return Err(PredictError::Empty { index });
        }
        let found = decode(&self.network, &self.codec, &sources, &self.generation(), width, &self.device, &|| false);
        Ok(found.expect("never stopped"))
    }

    /// Options for generating targets, with the model's length penalty.
    pub(super) fn generation(&self) -> Generation<'static> {
        let length_penalty = self.spec.settings::<Settings>().length_penalty;
        Generation { length_penalty, ..self.codec.generation() }
    }

    /// Unit of tokenization.
    pub fn level(&self) -> Tokenization {
        self.codec.level
    }

    /// Metrics on pairs by greedy decoding; a prediction is compared with all targets of its source. Each source must have a token.
    pub fn evaluate_pairs(&self, pairs: &[Pair]) -> Evaluation {
        let Self { network, codec, device, .. } = self;
        let examples = transduction::examples(pairs);
        let predictions = predict(network, codec, &examples, device, &|| false).expect("never stopped");
        let attention = self.spec.settings::<Settings>().attention;
        let loss = loss(network, codec, pairs, attention, device, &|| false).expect("never stopped");
        let groups = examples.iter().map(|example| example.groups);
        let describe = |index: usize| (examples[index].source.to_owned(), examples[index].references.join(" | "));
        let unknown = codec.targets().unknown_share(pairs.iter().map(|pair| pair.target.as_str()));
        Evaluation { unknown, ..predictions.evaluation(groups, loss, describe) }
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
        Ok(data.baselines(split, &self.codec.measure(&counted)))
    }

    fn predict(&self, texts: &[&str], options: TextOptions) -> Result<Vec<Output>, PredictError> {
        let found = self.transduce_all(texts, options.beams)?;
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

impl Judgment for Judged {
    fn edits(&self) -> usize {
        Judged::edits(self)
    }

    fn scores(judged: &[Self], indices: &mut dyn Iterator<Item = usize>) -> Scores {
        transduction::scores(judged, indices)
    }
}

/// Length of each pair's source, and size of the pair in tokens, as batch limits count them.
pub(super) fn extents(pairs: &[Encoded], attention: AttentionScore) -> (Vec<usize>, Vec<usize>) {
    let size = |pair: &Encoded| targets::batch_size(pair.source.ids.len(), pair.target.len(), attention);
    pairs.iter().map(|pair| (pair.source.ids.len(), size(pair))).unzip()
}

/// Encodes sources, with the tokens that can be copied.
pub(super) fn encode<'a>(
    network: &EncoderDecoder,
    sources: impl Iterator<Item = &'a Source> + Clone,
    dropout_key: impl Into<DropoutKey>,
    device: &Device,
) -> EncodedSource {
    let (tokens, lengths) = pad_rows(sources.clone().map(|source| source.ids.as_slice()), device);
    let encoded = network.encode(tokens, &lengths, dropout_key);
    let copies: Option<Vec<&[usize]>> = sources.map(|source| source.copies.as_deref()).collect();
    match copies {
        Some(copies) => encoded.copying(&copies, UNKNOWN as usize),
        None => encoded,
    }
}

/// The different texts that beam search finds for each source, none of which may be empty, with their probabilities; `None` if stopped.
fn decode(
    network: &EncoderDecoder,
    codec: &Codec,
    sources: &[Source],
    generation: &Generation,
    width: usize,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<(String, f64)>>> {
    let lengths: Vec<usize> = sources.iter().map(|source| source.ids.len()).collect();
    let encode = |network: &EncoderDecoder, batch: &[usize]| {
        encode(network, batch.iter().map(|&index| &sources[index]), None, device)
    };
    let found = targets::search(network, generation, width, &lengths, encode, device, stop)?;
    let texts =
        found.iter().zip(sources).map(|(found, source)| targets::texts(found, |tokens| codec.decode(tokens, source)));
    Some(texts.collect())
}

/// The greedy prediction for each source, compared with its targets; `None` if stopped.
///
/// Texts are compared: a token outside the vocabulary matches only if it is copied.
pub(super) fn predict(
    network: &EncoderDecoder,
    codec: &Codec,
    examples: &[Example],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Predictions<Judged>> {
    let sources: Vec<Source> = examples.iter().map(|example| codec.encode_source(example.source)).collect();
    let found = decode(network, codec, &sources, &codec.generation(), 1, device, stop)?;
    Some(compare(codec, examples, found))
}

/// Compares the texts that were found for examples with their references.
pub(super) fn compare(codec: &Codec, examples: &[Example], found: Vec<Vec<(String, f64)>>) -> Predictions<Judged> {
    let targets = codec.targets();
    let counted = |text: &str| targets.counted(text);
    let measure = codec.measure(&counted);
    Predictions::new(found, |text, index| measure.judge(text, &examples[index].references))
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
    let mean = |batch: &[&Encoded]| mean_loss(network, batch, Objective::default(), None, device);
    targets::loss(&encoded, extents(&encoded, attention), mean, stop)
}

/// The mean loss per target token, and the number of target tokens.
pub(super) fn mean_loss(
    network: &EncoderDecoder,
    pairs: &[&Encoded],
    objective: Objective,
    dropout_key: impl Into<DropoutKey>,
    device: &Device,
) -> (Tensor<1>, usize) {
    let dropout_key = dropout_key.into();
    let encoded = encode(network, pairs.iter().map(|pair| &pair.source), &dropout_key, device);
    let targets: Vec<Vec<usize>> = pairs.iter().map(|pair| pair.target.clone()).collect();
    targets::mean_loss(network, encoded, &targets, objective, dropout_key)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Seq2SeqTraining;
    use super::*;
    use crate::ModelSpec;
    use crate::{TrainingTask as _, test_spec};
    use seqzoo_datasets::scores::Metric;

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
            let last = &examples[2..];
            let scores = predict(&network, &task.codec, last, &device, &|| false).unwrap().scores();
            assert_eq!((scores.examples, scores.get(Metric::ACCURACY)), (1, Some(0.0)));
            let rows: Vec<Encoded> = data.validation.iter().map(|pair| task.codec.encode(pair)).collect();
            let encoded = encode(&network, rows.iter().map(|row| &row.source), None, &device);
            let generation = Generation { max_length: 9, ..task.codec.generation() };
            let generated = network.greedy(encoded, &generation);
            assert!(generated.iter().flat_map(|found| &found.tokens).all(|&token| token == 2), "{generated:?}");
        }
    }
}
