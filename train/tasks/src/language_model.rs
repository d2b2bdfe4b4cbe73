//! Language modeling with truncated backpropagation through time (TBPTT).

mod predict;
mod rows;
mod settings;
mod training;
mod windows;

use burn::tensor::Device;
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::cleaning::Cleaning;
use seqzoo_datasets::corpus::{self, Corpus};
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::text::{Tokenization, Vocabulary};
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{LanguageModel, LanguageModelShape};
pub use seqzoo_models::networks::{LanguageModelStream, TextState};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, Item, ModelSpec, Prepared, Task, fields, open, resolve,
    vocabularies,
};
pub use predict::TextModel;
pub use settings::Settings;
pub use training::LanguageModelTraining;
pub use windows::{Window, windows};

/// Language modeling: the next token of a text.
pub static TASK: Task = Task {
    data: &corpus::DATA,
    summary: "the next token of a text",
    metrics: &[Metric::LOSS, Metric::ACCURACY, corpus::PERPLEXITY, corpus::BITS_PER_CHARACTER],
    command: Command::Generate,
    shared: &["level", "min_count", "max_vocabulary", "coverage"],
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
    settings.check()?;
    let stack = spec.check_recurrent(Some(settings.embedding_size))?;
    let shape = LanguageModelShape {
        vocabulary: 1,
        stack,
        tied: settings.tied,
        dropout: spec.dropout.output,
        embedding_dropout: spec.dropout.embedding,
    };
    shape.check().map_err(|invalid| {
        let (field, value) = match invalid.field.as_str() {
            "stack.architecture" => ("models", spec.name.clone()),
            "tied" => ("task.tied", "true".to_owned()),
            _ => ("network.hidden_sizes", format!("{:?}", spec.network.hidden_sizes)),
        };
        InvalidValue::new(field, value, invalid.reason)
    })
}

fn prepare(data: &Splits, _: &Table) -> Result<Prepared, DataError> {
    let corpus = Corpus::from_records(data)?;
    Ok(Prepared { examples: Box::new(corpus), note: None })
}

impl Examples for Corpus {
    fn digest(&self) -> String {
        Corpus::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).chars().count(), "characters")
    }

    /// One item per line.
    fn items(&self, split: Split, settings: &Table) -> Vec<Item> {
        let Settings { level, .. } = crate::spec::settings(settings);
        let lines = self.split(split).lines().filter(|line| !line.trim().is_empty());
        let tokens = |line: &str| level.tokens(line).collect();
        lines.map(|line| Item { text: line.to_owned(), tokens: tokens(line), ..Item::default() }).collect()
    }

    fn check(&self, split: Split, settings: &Table) -> Result<(), String> {
        let Settings { level, .. } = crate::spec::settings(settings);
        let text = self.split(split);
        match text.is_empty() || level.tokens(text).nth(1).is_some() {
            true => Ok(()),
            false => Err(format!(
                "the {} split has fewer than two tokens, so there is nothing to predict; use a longer text or change task.level",
                split.name()
            )),
        }
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(LanguageModelTraining::new(spec, self)?))
    }

    fn prompt_source(&self) -> Option<&str> {
        Some(&self.train)
    }
}

/// Cleaning, tokenization and vocabulary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Cleaning of texts before encoding; none in codecs saved by older versions.
    #[serde(default = "Cleaning::none")]
    pub cleaning: Cleaning,
    /// Unit of tokenization.
    pub level: Tokenization,
    /// Vocabulary of tokens.
    pub vocabulary: Vocabulary,
}

impl Codec {
    fn shape(&self, spec: &ModelSpec) -> LanguageModelShape {
        let Settings { embedding_size, tied, .. } = spec.settings();
        LanguageModelShape {
            vocabulary: self.vocabulary.size(),
            stack: spec.stack(embedding_size),
            tied,
            dropout: spec.dropout.output,
            embedding_dropout: spec.dropout.embedding,
        }
    }
}

impl crate::Codec for Codec {
    type Network = LanguageModel;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn vocabularies(&self) -> Vec<(&'static str, &Vocabulary)> {
        vec![("embedding.weight", &self.vocabulary)]
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> LanguageModel {
        LanguageModel::new(self.shape(spec), spec.seed, device)
    }
}

impl Codec {
    /// Tokens of a text.
    pub fn tokens(&self, text: &str) -> Vec<String> {
        self.vocabulary.divide(self.level, &self.cleaning.apply(text))
    }

    /// Token ids of a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.vocabulary.encode(self.level, &self.cleaning.apply(text))
    }
}
