//! Sequence tagging: one label per token of a sentence, and possibly one of the whole sentence.

mod examples;
mod predict;
mod settings;
mod training;

use std::borrow::Cow;

use burn::tensor::Device;
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::cleaning::Cleaning;
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::spans;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::tagging::{self, Tagging};
use seqzoo_datasets::text::{UNKNOWN, Vocabulary};
use seqzoo_models::InvalidShape;
use seqzoo_models::layers::{CharacterEncoderShape, StackShape};
use seqzoo_models::networks::{Tagger, TaggerShape};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, Item, ModelSpec, Prepared, Task, fields, open, resolve,
    vocabularies,
};
pub use predict::{SentenceTagger, TaggedSentence, output};
pub use settings::Settings;
pub use training::TaggingTraining;

/// Sequence tagging: one label per token of a sentence, and possibly one of the whole sentence.
pub static TASK: Task = Task {
    data: &tagging::DATA,
    summary: "one label per token of a sentence",
    metrics: &[
        Metric::ACCURACY,
        Metric::MACRO_F1,
        spans::F1,
        spans::PRECISION,
        spans::RECALL,
        tagging::LABEL_ACCURACY,
        tagging::EXACT_MATCH,
        Metric::LOSS,
    ],
    command: Command::Predict,
    shared: &["min_count", "max_vocabulary", "max_tokens"],
    averages: false,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    // The input size depends on the vocabulary of characters.
    spec.check_recurrent(None).map(drop)
}

fn prepare(data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
    Ok(examples::prepare(Tagging::from_records(data)?, data, &crate::spec::settings(settings)))
}

impl Examples for Tagging {
    fn digest(&self) -> String {
        Tagging::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "sentences")
    }

    fn items(&self, split: Split, _: &Table) -> Vec<Item> {
        let labels =
            |sentence: &tagging::Sentence| sentence.labels.iter().map(|&label| self.labels[label].clone()).collect();
        let item = |sentence: &tagging::Sentence| Item {
            text: sentence.tokens.join(" "),
            tokens: sentence.tokens.clone(),
            labels: labels(sentence),
        };
        self.split(split).iter().map(item).collect()
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(TaggingTraining::new(spec, self)?))
    }
}

/// Maximum number of characters per word; longer words, such as web addresses, are truncated.
const MAX_CHARACTERS: usize = 64;

/// Vocabularies of words and characters, and names of the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Cleaning of each token before encoding; none in codecs saved by older versions.
    #[serde(default = "Cleaning::none")]
    pub cleaning: Cleaning,
    /// Vocabulary of lowercased words.
    pub words: Vocabulary,
    /// Vocabulary of characters, in their original case.
    pub characters: Vocabulary,
    /// Names of the labels.
    pub labels: Vec<String>,
    /// Names of the labels of sentences; none if sentences have no label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sentence_labels: Vec<String>,
}

/// A sentence encoded as ids.
#[derive(Debug, Clone)]
struct Encoded {
    words: Vec<u32>,
    /// Character ids of each word.
    characters: Vec<Vec<u32>>,
    labels: Vec<usize>,
    /// Label of the sentence, if sentences have one.
    label: Option<usize>,
}

impl Codec {
    fn of(spec: &ModelSpec, data: &Tagging) -> Self {
        let Settings { min_count, max_vocabulary, .. } = spec.settings();
        let cleaning = data.cleaning.clone();
        let tokens = data.train.iter().flat_map(|sentence| &sentence.tokens);
        let tokens: Vec<_> = tokens.map(|token| cleaning.apply_to_token(token)).collect();
        let words = tokens.iter().map(|token| token.to_lowercase());
        let characters = tokens.iter().flat_map(|token| token.chars().map(String::from));
        Self {
            cleaning: cleaning.clone(),
            words: Vocabulary::build(words, min_count, max_vocabulary),
            characters: Vocabulary::build(characters, 1, max_vocabulary),
            labels: data.labels.clone(),
            sentence_labels: data.sentence_labels.clone(),
        }
    }

    fn encode(&self, tokens: &[String], labels: &[usize], label: Option<usize>) -> Encoded {
        let tokens: Vec<_> = tokens.iter().map(|token| self.cleaning.apply_to_token(token)).collect();
        let characters = |token: &Cow<str>| {
            let known = token.chars().take(MAX_CHARACTERS).map(|c| self.characters.id(c.encode_utf8(&mut [0; 4])));
            let known: Vec<u32> = known.collect();
            // The character encoder needs at least one character.
            if known.is_empty() { vec![UNKNOWN] } else { known }
        };
        Encoded {
            words: tokens.iter().map(|token| self.words.id(&token.to_lowercase())).collect(),
            characters: tokens.iter().map(characters).collect(),
            labels: labels.to_vec(),
            label,
        }
    }

    /// Whether a token is in the vocabulary of words.
    fn knows(&self, token: &str) -> bool {
        self.words.id(&self.cleaning.apply_to_token(token).to_lowercase()) != UNKNOWN
    }

    fn shape(&self, spec: &ModelSpec) -> TaggerShape {
        let settings: Settings = spec.settings();
        let Settings { embedding_size, character_embedding_size, character_hidden_size, .. } = settings;
        let character_encoder = (character_hidden_size > 0).then(|| CharacterEncoderShape {
            characters: self.characters.size(),
            stack: StackShape::plain(
                spec.stack(embedding_size).architecture,
                character_embedding_size,
                vec![character_hidden_size],
            ),
        });
        let characters =
            character_encoder.as_ref().map_or(0, |character_encoder| character_encoder.stack.output_size());
        TaggerShape {
            vocabulary: self.words.size(),
            embedding_size,
            character_encoder,
            stack: spec.stack(embedding_size + characters),
            labels: self.labels.len(),
            crf: settings.crf,
            sentence: Some((self.sentence_labels.len(), settings.pooling)).filter(|(labels, _)| *labels > 0),
            dropout: spec.dropout.output,
            embedding_dropout: spec.dropout.embedding,
        }
    }
}

impl crate::Codec for Codec {
    type Network = Tagger;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn vocabularies(&self) -> Vec<(&'static str, &Vocabulary)> {
        vec![("embedding.weight", &self.words), ("character_encoder.table.weight", &self.characters)]
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Tagger {
        Tagger::new(self.shape(spec), spec.seed, device)
    }
}
