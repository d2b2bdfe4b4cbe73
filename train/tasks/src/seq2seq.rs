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
use seqzoo_datasets::text::{PADDING, Tokenization, UNKNOWN, Vocabulary};
use seqzoo_datasets::transduction::{
    self, BLEU, CHRF, Measure, Pair, ROUGE_1, ROUGE_2, ROUGE_L, TOKEN_ERROR_RATE, Transduction,
};
use seqzoo_models::InvalidShape;
use seqzoo_models::layers::{AttentionScore, StackShape};
use seqzoo_models::networks::{EncoderDecoder, EncoderDecoderShape, Generation};
use serde::{Deserialize, Serialize};
use toml::Table;

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
    metrics: &[Metric::ACCURACY, TOKEN_ERROR_RATE, BLEU, CHRF, ROUGE_1, ROUGE_2, ROUGE_L, Metric::LOSS],
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
    let stack = spec.check_recurrent(Some(settings.embedding_size))?;
    if settings.attention == AttentionScore::Dot && stack.architecture.directions() > 1 {
        let expected =
            "general or additive: the outputs of a bidirectional encoder are larger than the decoder's state";
        return Err(InvalidValue::new("task.attention", "dot", expected));
    }
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
    let data = Transduction::from_records(data)?;
    Ok(examples::prepare(data, &crate::spec::settings(settings)))
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
        let tokens = |text: &str| level.tokens(text).collect();
        self.split(split).iter().map(|pair| Item { tokens: tokens(&pair.source), ..Item::default() }).collect()
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(Seq2SeqTraining::new(spec, self)?))
    }
}

/// Token id of the decoder's first input.
const BEGIN: usize = PADDING as usize;

/// Token ids that are never generated.
const SUPPRESSED: [usize; 2] = [PADDING as usize, UNKNOWN as usize];

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
    /// Id of the end-of-sequence token.
    fn end(&self) -> usize {
        self.target.size()
    }

    /// Options for generating targets; hypotheses are ranked by probability.
    fn generation(&self) -> Generation<'static> {
        let max_length = self.max_length;
        Generation { bos: BEGIN, eos: self.end(), suppressed: &SUPPRESSED, max_length, length_penalty: 0.0 }
    }

    fn encode(&self, pair: &Pair) -> Encoded {
        let source = self.encode_source(&pair.source);
        let tokens = self.target.divide(self.target_level(), &self.cleaning.apply(&pair.target));
        let target = tokens.iter().map(|token| self.extended_id(token, &source.unknown)).chain([self.end()]).collect();
        Encoded { source, target }
    }

    fn target_ids(&self, text: &str) -> Vec<u32> {
        self.target.encode(self.target_level(), &self.cleaning.apply(text))
    }

    /// Share of unknown tokens in the targets; `None` if there is no token.
    fn unknown_share(&self, pairs: &[Pair]) -> Option<f64> {
        let tokens = || pairs.iter().flat_map(|pair| self.target_ids(&pair.target));
        let unknown = tokens().filter(|&id| id == UNKNOWN).count();
        let count = tokens().count();
        (count > 0).then(|| unknown as f64 / count as f64)
    }

    /// How predictions are compared with targets, given [`Codec::counted`].
    fn measure<'a>(&self, counted: &'a (dyn Fn(&str) -> Vec<String> + Sync)) -> Measure<'a> {
        let is_language = matches!(self.target_level(), Tokenization::Words | Tokenization::Subwords);
        Measure { tokens: counted, is_language, is_words: self.target_level() == Tokenization::Words }
    }

    fn target_level(&self) -> Tokenization {
        self.target_level.unwrap_or(self.level)
    }

    /// The tokens of a target that the token error rate counts: words, where tokens are pieces of them.
    fn counted(&self, text: &str) -> Vec<String> {
        let level = self.target_level();
        match level {
            Tokenization::Subwords => text.split_whitespace().map(str::to_owned).collect(),
            _ => level.tokens(text).collect(),
        }
    }

    /// The text of generated tokens, which may be copied from `source`.
    fn decode(&self, generated: &[usize], source: &Source) -> String {
        let (mut previous, level) = (None, self.target_level());
        let token = |&id: &usize| {
            let token = self.token(id, source)?;
            Some(level.detokenize(previous.replace(token), token))
        };
        generated.iter().filter_map(token).collect()
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
        let encoder = spec.stack(settings.embedding_size);
        let decoder = StackShape { architecture: encoder.architecture.forward(), ..encoder.clone() };
        EncoderDecoderShape {
            source_vocabulary: self.source.size(),
            target_vocabulary: self.target.size() + 1,
            encoder,
            decoder,
            attention: settings.attention,
            copy: self.copy,
            dropout: spec.dropout.output,
            embedding_dropout: spec.dropout.embedding,
        }
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
