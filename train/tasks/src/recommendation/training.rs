//! Training of recommenders.

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::batch;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::interactions::{Interactions, Outcome};
use seqzoo_datasets::scores::Scores;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{RankingLoss, Recommender};
use seqzoo_random::{Key, Purpose, RngExt};

use super::predict::outcomes;
use super::{Codec, Settings, select};
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask, pad_rows};

/// Training of a recommender: at each item of a history, the next one is predicted.
#[derive(Debug, Clone)]
pub struct RecommendationTraining {
    codec: Codec,
    spec: ModelSpec,
    /// The most recent items of each user with at least two, in the training split.
    train: Vec<Vec<u32>>,
    data: Interactions,
    sampler: Sampler,
}

impl RecommendationTraining {
    /// Training of a model on the items of the training split.
    ///
    /// # Errors
    /// If the sizes of the model are invalid.
    pub fn new(spec: &ModelSpec, data: &Interactions) -> Result<Self, InvalidShape> {
        let Settings { max_history, negatives_power, .. } = spec.settings();
        let codec = Codec { items: data.names[..data.items].to_vec() };
        codec.check(spec)?;
        // The last item is only predicted.
        let recent = |items: &[u32]| items[items.len().saturating_sub(max_history + 1)..].to_vec();
        let histories = data.users.iter().map(|user| recent(user.train()));
        let train = histories.filter(|items| items.len() > 1).collect();
        let mut counts = vec![0; data.items];
        data.users.iter().flat_map(|user| user.train()).for_each(|&item| counts[item as usize - 1] += 1);
        let sampler = Sampler::new(&counts, negatives_power);
        Ok(Self { codec, spec: spec.clone(), train, data: data.clone(), sampler })
    }

    /// The loss over random items.
    fn sampled_loss(
        &self,
        network: &Recommender,
        loss: RankingLoss,
        states: Tensor<2>,
        targets: &[u32],
        key: Key,
    ) -> Tensor<1> {
        let Settings { negatives, .. } = self.spec.settings();
        let device = states.device();
        let drawn = self.sampler.draw(negatives, key);
        let mut actual = network.target_scores(states.clone(), targets);
        let mut others = network.scores_of(states, &drawn);
        if loss == RankingLoss::Softmax {
            let log_counts = |items: &[u32]| -> Vec<f32> {
                items.iter().map(|&item| self.sampler.log_expected_count(item, negatives)).collect()
            };
            actual = actual - matrix(log_counts(targets), [targets.len(), 1], &device);
            others = others - matrix(log_counts(&drawn), [1, negatives], &device);
        }
        let is_kept =
            targets.iter().flat_map(|target| drawn.iter().map(move |item| f32::from(u8::from(item != target))));
        loss.mean(actual, others, matrix(is_kept.collect(), [targets.len(), negatives], &device))
    }
}

fn matrix(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

impl TrainingTask for RecommendationTraining {
    type Network = Recommender;

    fn network(&self, device: &Device) -> Recommender {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        self.train.iter().map(|items| items.len() - 1).collect()
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let lengths = TrainingTask::lengths(self);
        batch::shuffled(&lengths, &lengths, self.spec.batch, self.spec.order(epoch))
    }

    fn loss(
        &self,
        network: &Recommender,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let Settings { loss, .. } = self.spec.settings();
        let histories = || batch.iter().map(|&index| self.train[index].as_slice());
        let (items, lengths) = pad_rows(histories().map(|items| &items[..items.len() - 1]), device);
        let states = network.states(items, &lengths, keys.dropout(batch));
        let time = states.dims()[1];
        let of_row = |(row, &length): (usize, &usize)| (row * time)..(row * time + length);
        let steps: Vec<usize> = lengths.iter().enumerate().flat_map(of_row).collect();
        let states = select(states, &steps);
        let targets: Vec<u32> = histories().flat_map(|items| &items[1..]).copied().collect();
        let loss = match loss.sampled() {
            None => network.mean_loss(states, &targets),
            Some(loss) => {
                let key = Key::new(self.spec.seed, Purpose::Negatives).with_first(keys.batch.first());
                self.sampled_loss(network, loss, states, &targets, key)
            }
        };
        BatchLoss { loss, weight: targets.len() as f64, tokens: targets.len(), recurrent_state: None }
    }

    fn validate(&self, network: &Recommender, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let cases = self.data.cases(Split::Validation);
        let found = outcomes(network, &self.spec.settings(), &self.data, &cases, device, stop)?;
        Some(Outcome::scores(found.iter()))
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// Random items, drawn with probabilities in proportion to a power of their popularity.
#[derive(Debug, Clone)]
struct Sampler {
    /// Sums of the weights of the first items.
    cumulative: Vec<f64>,
}

impl Sampler {
    /// A sampler of items with these numbers of interactions.
    fn new(counts: &[usize], power: f64) -> Self {
        let mut sum = 0.0;
        let cumulative = counts.iter().map(|&count| {
            sum += (count as f64).powf(power);
            sum
        });
        Self { cumulative: cumulative.collect() }
    }

    /// Draws the ids of items, with replacement.
    fn draw(&self, count: usize, key: Key) -> Vec<u32> {
        let (mut stream, all) = (key.stream(), self.total());
        let mut item = || {
            let drawn = stream.random::<f64>() * all;
            let index = self.cumulative.partition_point(|&sum| sum <= drawn);
            index.min(self.cumulative.len() - 1) as u32 + 1
        };
        (0..count).map(|_| item()).collect()
    }

    /// Logarithm of the expected number of times that an item is among `count` drawn ones.
    fn log_expected_count(&self, item: u32, count: usize) -> f32 {
        let index = item as usize - 1;
        let before = index.checked_sub(1).map_or(0.0, |before| self.cumulative[before]);
        (count as f64 * (self.cumulative[index] - before) / self.total()).ln() as f32
    }

    fn total(&self) -> f64 {
        self.cumulative.last().copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_drawn_in_proportion_to_a_power_of_their_popularity() {
        let key = Key::new(1, Purpose::Negatives);
        for (power, shares) in
            [(0.0, [0.25; 4]), (0.5, [0.4, 0.2, 0.3, 0.1]), (1.0, [16.0 / 30.0, 4.0 / 30.0, 9.0 / 30.0, 1.0 / 30.0])]
        {
            let sampler = Sampler::new(&[16, 4, 9, 1], power);
            let drawn = sampler.draw(20_000, key);
            for (item, share) in (1..).zip(shares) {
                let found = drawn.iter().filter(|&&other| other == item).count() as f64 / 20_000.0;
                assert!((found - share).abs() < 0.015, "{power}: {item} {found}");
                assert!((f64::from(sampler.log_expected_count(item, 20)).exp() - 20.0 * share).abs() < 1e-4);
            }
            assert_eq!(drawn, sampler.draw(20_000, key));
            assert_ne!(drawn, sampler.draw(20_000, key.with_first(1)));
        }
    }
}
