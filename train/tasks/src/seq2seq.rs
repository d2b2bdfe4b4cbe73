//! Sequence to sequence (seq2seq): a target sequence for each source sequence.

mod attention;
mod examples;
mod predict;
mod settings;
mod source;
mod training;

use burn::tensor::Device;
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::cleaning::Cleaning;
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::text::{Tokenization, Vocabulary};
use seqzoo_datasets::transduction::{
    self, BLEU, BLEU_OF_PAIRS, CHRF, Measure, Pair, ROUGE_1, ROUGE_2, ROUGE_L, TOKEN_ERROR_RATE, Transduction,
};
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{EncoderDecoder, EncoderDecoderShape, Generation, SourceShape};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::targets::{self, Targets};
use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, Item, ModelSpec, Prepared, Task, fields, open, resolve,
    vocabularies,
};
pub use attention::Alignment;
pub use predict::Transducer;
pub use settings::Settings;
use source::Source;
pub use training::Seq2SeqTraining;

/// Sequence to sequence: a target sequence for each source sequence.
pub static TASK: Task = Task {
    data: &transduction::DATA,
    summary: "a target sequence for each source sequence",
    metrics: &[Metric::ACCURACY, TOKEN_ERROR_RATE, BLEU, BLEU_OF_PAIRS, CHRF, ROUGE_1, ROUGE_2, ROUGE_L, Metric::LOSS],
    command: Command::Predict,
    shared: &["level", "target_level", "min_count", "max_vocabulary"],
    averages: false,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    let settings: Settings = spec.settings();
    crate::spec::expect_level("task.level", settings.level, crate::spec::LEVELS)?;
    crate::spec::expect_level("task.target_level", settings.target_level(), crate::spec::LEVELS)?;
    targets::check(spec, settings.embedding_size, settings.attention)?;
    if settings.copy {
        check_copying(&settings)?;
    }
    Ok(())
}

fn check_copying(settings: &Settings) -> Result<(), InvalidValue> {
    let (source, target) = (settings.level, settings.target_level());
    if source != target {
        let expected = format!("{}, as task.level, with task.copy: copied tokens are tokens of both", source.name());
        return Err(InvalidValue::new("task.target_level", target.name(), expected));
    }
    if settings.label_smoothing > 0.0 {
        let expected = "0 with task.copy: the probability of copied tokens has no smoothing";
        return Err(InvalidValue::new("task.label_smoothing", settings.label_smoothing, expected));
    }
    Ok(())
}

fn prepare(data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
    Ok(examples::prepare(Transduction::from_records(data)?, data, &crate::spec::settings(settings)))
}

impl Examples for Transduction {
    fn digest(&self) -> String {
        Transduction::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "pairs")
    }

    fn items(&self, split: Split, settings: &Table) -> Vec<Item> {
        let Settings { level, .. } = crate::spec::settings(settings);
        let item = |pair: &Pair| Item {
            text: format!("{}\n{}", pair.source, pair.target),
            tokens: level.tokens(&pair.source).collect(),
            ..Item::default()
        };
        self.split(split).iter().map(item).collect()
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(Seq2SeqTraining::new(spec, self)?))
    }
}

/// Source and target vocabularies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Cleaning of texts before encoding; none in codecs saved by older versions.
    #[serde(default = "Cleaning::none")]
    pub cleaning: Cleaning,
    /// Unit of tokenization of sources, and of targets without `target_level`.
    pub level: Tokenization,
    /// Unit of tokenization of targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_level: Option<Tokenization>,
    /// Source vocabulary.
    pub source: Vocabulary,
    /// Target vocabulary; its size is the id of the end-of-sequence token.
    pub target: Vocabulary,
    /// Maximum number of generated tokens.
    pub max_length: usize,
    /// Whether tokens of the source can be copied; not in codecs of other models.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copy: bool,
}

impl Codec {
    /// How targets are encoded.
    fn targets(&self) -> Targets<'_> {
        Targets { cleaning: &self.cleaning, level: self.target_level(), vocabulary: &self.target }
    }

    /// Settings to generate targets; hypotheses are ranked by probability.
    fn generation(&self) -> Generation<'static> {
        self.targets().generation(self.max_length)
    }

    fn encode(&self, pair: &Pair) -> Encoded {
        let source = self.encode_source(&pair.source);
        let tokens = self.target.divide(self.target_level(), &self.cleaning.apply(&pair.target));
        let ids = tokens.iter().map(|token| self.extended_id(token, &source.unknown));
        let target = ids.chain([self.targets().end()]).collect();
        Encoded { source, target }
    }

    /// How predictions are compared with targets, given [`Targets::counted`].
    fn measure<'a>(&self, counted: &'a (dyn Fn(&str) -> Vec<String> + Sync)) -> Measure<'a> {
        Measure { is_words: self.target_level() == Tokenization::Words, ..self.targets().measure(counted) }
    }

    fn target_level(&self) -> Tokenization {
        self.target_level.unwrap_or(self.level)
    }

    /// The text of generated tokens, which may be copied from `source`.
    fn decode(&self, generated: &[usize], source: &Source) -> String {
        self.targets().join(generated.iter().filter_map(|&id| self.token(id, source)))
    }
}

/// An encoded pair; the target ends with the end-of-sequence token.
#[derive(Debug, Clone)]
struct Encoded {
    source: Source,
    target: Vec<usize>,
}

impl Codec {
    fn shape(&self, spec: &ModelSpec) -> EncoderDecoderShape {
        let settings: Settings = spec.settings();
        let (source, targets) = (SourceShape::Tokens(self.source.size()), self.targets().size());
        let shape = targets::shape(spec, source, targets, settings.embedding_size, settings.attention);
        EncoderDecoderShape { copy: self.copy, ..shape }
    }
}

impl crate::Codec for Codec {
    type Network = EncoderDecoder;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn vocabularies(&self) -> Vec<(&'static str, &Vocabulary)> {
        vec![("source.weight", &self.source), ("target.weight", &self.target)]
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> EncoderDecoder {
        EncoderDecoder::new(self.shape(spec), spec.seed, device)
    }
}
