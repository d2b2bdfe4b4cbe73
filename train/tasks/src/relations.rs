//! Relation classification: the relation between two marked entities of a text.

mod predict;
mod settings;
mod training;

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::cleaning::Cleaning;
use seqzoo_datasets::relations::{self, Marked, Relations};
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::text::{Tokenization, Vocabulary};
use seqzoo_models::InvalidShape;
use seqzoo_models::dropout_key::DropoutKey;
use seqzoo_models::networks::{Ensemble, RelationClassifier, RelationShape};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::classes;
use crate::skipped::{joined, truncated, unseen};
use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, Item, ModelSpec, Prepared, Task, fields, open, pad_rows, resolve,
    vocabularies,
};
pub use predict::RelationPredictor;
pub use settings::Settings;
pub use training::RelationTraining;

/// Relation classification: the relation between two marked entities of a text.
pub static TASK: Task = Task {
    data: &relations::DATA,
    summary: "the relation between two marked entities of a text",
    metrics: &[relations::RELATION_F1, Metric::ACCURACY, Metric::MACRO_F1, Metric::LOSS],
    command: Command::Predict,
    shared: &["level", "min_count", "max_vocabulary", "max_tokens"],
    averages: true,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    let settings: Settings = spec.settings();
    // Entities are whole tokens.
    let usable = [Tokenization::Words, Tokenization::Characters, Tokenization::Tokens];
    crate::spec::expect_level("task.level", settings.level, &usable)?;
    spec.check_recurrent(Some(settings.embedding_size)).map(drop)
}

fn prepare(data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
    let Settings { level, max_tokens, .. } = crate::spec::settings(settings);
    let (data, left_out) = Relations::usable(data, level)?;
    let data = Relations::from_records(&data)?;
    let Relations(texts) = &data;
    let lengths = texts.train.iter().map(|example| level.tokens(&example.text).take(max_tokens + 1).count());
    let truncated = truncated(lengths, max_tokens);
    let unseen = unseen(&texts.labels, texts.train.iter().map(|example| example.label));
    Ok(Prepared { examples: Box::new(data), note: joined([left_out, unseen, truncated]) })
}

impl Examples for Relations {
    fn digest(&self) -> String {
        self.0.digest()
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.0.split(split).len(), "texts")
    }

    fn items(&self, split: Split, settings: &Table) -> Vec<Item> {
        Examples::items(&self.0, split, settings)
    }

    fn training_note(&self, settings: &Table) -> Option<String> {
        let Settings { class_weights, .. } = crate::spec::settings(settings);
        let Self(texts) = self;
        classes::imbalance(&texts.labels, class_weights, texts.train.iter().map(|example| example.label))
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(RelationTraining::new(spec, self)?))
    }
}

/// Vocabulary of the texts and names of the relations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Cleaning of each text before encoding.
    pub cleaning: Cleaning,
    /// Unit of tokenization.
    pub level: Tokenization,
    /// Vocabulary, markers included.
    pub vocabulary: Vocabulary,
    /// Maximum number of tokens; of longer texts, those around the entities are kept.
    pub max_tokens: usize,
    /// Names of the relations.
    pub labels: Vec<String>,
}

/// An encoded text and the tokens of both entities.
#[derive(Debug, Clone)]
struct Encoded {
    tokens: Vec<u32>,
    entities: [Range<usize>; 2],
    /// Whether tokens of the text are left out.
    is_truncated: bool,
}

impl Codec {
    fn encode(&self, text: &str) -> Result<Encoded, String> {
        let Marked { tokens, entities } = Marked::parse(&self.cleaning.apply(text), self.level)?;
        let tokens: Vec<u32> = tokens.iter().map(|token| self.vocabulary.id(token)).collect();
        let (first, last) = (entities[0].start.min(entities[1].start), entities[0].end.max(entities[1].end));
        // The window of `max_tokens` around the middle of the entities; it always contains both.
        let size = self.max_tokens.max(last - first);
        let start = ((first + last) / 2).saturating_sub(size / 2).min(tokens.len().saturating_sub(size)).min(first);
        let end = (start + size).max(last).min(tokens.len());
        let entities = entities.map(|entity| entity.start - start..entity.end - start);
        Ok(Encoded { tokens: tokens[start..end].to_vec(), entities, is_truncated: end - start < tokens.len() })
    }

    fn shape(&self, spec: &ModelSpec) -> RelationShape {
        let settings: Settings = spec.settings();
        RelationShape {
            vocabulary: self.vocabulary.size(),
            stack: spec.stack(settings.embedding_size),
            labels: self.labels.len(),
            dropout: spec.dropout.output,
            embedding_dropout: spec.dropout.embedding,
        }
    }
}

impl crate::Codec for Codec {
    type Network = Ensemble<RelationClassifier>;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn vocabularies(&self) -> Vec<(&'static str, &Vocabulary)> {
        vec![("embedding.weight", &self.vocabulary)]
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Ensemble<RelationClassifier> {
        spec.ensemble(|seed| RelationClassifier::new(self.shape(spec), seed, device))
    }
}

/// A batch of encoded texts.
struct Batch {
    tokens: Tensor<2, Int>,
    lengths: Vec<usize>,
    entities: Vec<[Range<usize>; 2]>,
}

impl Batch {
    fn new<'a>(rows: impl Iterator<Item = &'a Encoded> + Clone, device: &Device) -> Self {
        let (tokens, lengths) = pad_rows(rows.clone().map(|row| row.tokens.as_slice()), device);
        Self { tokens, lengths, entities: rows.map(|row| row.entities.clone()).collect() }
    }

    /// Logits, `[batch, labels]`.
    fn logits(&self, network: &RelationClassifier, dropout_key: impl Into<DropoutKey>) -> Tensor<2> {
        network.forward(self.tokens.clone(), &self.lengths, &self.entities, dropout_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_around_the_entities() {
        let words = |from: usize, to: usize| (from..to).map(|word| format!("w{word}")).collect::<Vec<_>>();
        let text = format!("{} <e1>a</e1> x <e2>b c</e2> {}", words(0, 50).join(" "), words(50, 100).join(" "));
        let vocabulary = Vocabulary::from([words(0, 100), ["a", "b", "c", "x"].map(str::to_owned).to_vec()].concat());
        for max_tokens in [1, 8, 9, 30, 200] {
            let codec = Codec {
                cleaning: Cleaning::none(),
                level: Tokenization::Words,
                vocabulary: vocabulary.clone(),
                max_tokens,
                labels: Vec::new(),
            };
            let Encoded { tokens, entities, .. } = codec.encode(&text).unwrap();
            let named = |range: &Range<usize>| {
                tokens[range.clone()].iter().filter_map(|&id| codec.vocabulary.token(id)).collect::<Vec<_>>().join(" ")
            };
            assert_eq!([named(&entities[0]), named(&entities[1])], ["a", "b c"], "{max_tokens}");
            assert!(tokens.len() <= max_tokens.max(7), "{max_tokens}");
        }
    }
}
