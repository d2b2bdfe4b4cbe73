//! Recommendation: the next item of a user.

mod predict;
mod settings;
mod training;

use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::interactions::{self, HIT_RATE, Interactions, MRR, NDCG, SAMPLED_HIT_RATE, SAMPLED_NDCG};
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{Recommender, RecommenderShape};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::skipped::joined;
use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, ModelSpec, Prepared, Task, fields, open, resolve, vocabularies,
};
pub use predict::{ItemRecommender, history, line};
pub use settings::{Loss, Settings};
pub use training::RecommendationTraining;

/// Recommendation: the next item of a user.
pub static TASK: Task = Task {
    data: &interactions::DATA,
    summary: "the next item of a user, from the items before it",
    metrics: &[NDCG, HIT_RATE, MRR, SAMPLED_NDCG, SAMPLED_HIT_RATE, Metric::LOSS],
    command: Command::Recommend,
    shared: &[],
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
    spec.check_recurrent(Some(settings.embedding_size))?;
    shape(spec, 1).check().map_err(|invalid| {
        let (field, value) = match invalid.field.as_str() {
            "stack.architecture" => ("models", spec.name.clone()),
            _ => ("network.hidden_sizes", format!("{:?}", spec.network.hidden_sizes)),
        };
        InvalidValue::new(field, value, invalid.reason)
    })
}

fn shape(spec: &ModelSpec, items: usize) -> RecommenderShape {
    let Settings { embedding_size, tied, .. } = spec.settings();
    RecommenderShape {
        items,
        stack: spec.stack(embedding_size),
        tied,
        dropout: spec.dropout.output,
        embedding_dropout: spec.dropout.embedding,
    }
}

fn prepare(data: &Splits, _: &Table) -> Result<Prepared, DataError> {
    let mut data = Interactions::from_records(data)?;
    let note = joined(std::mem::take(&mut data.notes).into_iter().map(Some));
    Ok(Prepared { examples: Box::new(data), note })
}

impl Examples for Interactions {
    fn digest(&self) -> String {
        Interactions::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.cases(split).len(), "users")
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut lengths: Vec<usize> = self.users.iter().map(|user| user.items.len()).collect();
        lengths.sort_unstable();
        let length = |share: f64| lengths.get((lengths.len() as f64 * share) as usize).copied().unwrap_or(0);
        vec![
            ("users", self.users.len().to_string()),
            ("items", format!("{}, {} of them in the training split", self.names.len(), self.items)),
            ("interactions", lengths.iter().sum::<usize>().to_string()),
            (
                "interactions per user",
                format!(
                    "median {}, 95 % at most {}, at most {}",
                    length(0.5),
                    length(0.95),
                    lengths.last().unwrap_or(&0)
                ),
            ),
        ]
    }

    fn check(&self, split: Split, _: &Table) -> Result<(), String> {
        match split == Split::Train && self.cases(split).is_empty() {
            true => Err("the training split has no user with two items, so that there is nothing to predict; use users with at least four \
                         interactions"
                .to_owned()),
            false => Ok(()),
        }
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(RecommendationTraining::new(spec, self)?))
    }
}

/// Names of the items that can be recommended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Names; that of item `id` is `items[id - 1]`.
    pub items: Vec<String>,
}

impl crate::Codec for Codec {
    type Network = Recommender;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        shape(spec, self.items.len()).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Recommender {
        Recommender::new(shape(spec, self.items.len()), spec.seed, device)
    }
}

/// The rows with these indices of `[batch, time, features]`, counted row by row: `[indices, features]`.
fn select(states: Tensor<3>, indices: &[usize]) -> Tensor<2> {
    let [batch, time, features] = states.dims();
    let selected: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
    let selected = Tensor::<1, Int>::from_data(TensorData::new(selected, [indices.len()]), &states.device());
    states.reshape([batch * time, features]).select(0, selected)
}
