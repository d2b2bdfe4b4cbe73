//! Recommendation: the next item after the items that a user interacted with.

use burn::module::{Module, Param};
use burn::nn::Embedding;
use burn::tensor::activation::{log_sigmoid, log_softmax, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_kernels::{Execution, Lengths, PackedWeights};
use seqzoo_random::{Key, Purpose};

use super::{Network, embed, mean_cross_entropy};
use crate::dropout_key::DropoutKey;
use crate::init;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{Linear, Stack, StackShape, product};
use crate::names::{FieldNames, names};

/// Recommender: item embedding, recurrent stack, dropout, product with the embedding of each item.
///
/// ```text
/// s_t = dropout(stack(E[item_1] … E[item_t])) P        score_t(i) = s_t · V[i] + b[i]        tied: V = E
/// ```
///
/// Ids of items start at 1; id 0 is padding, or an unknown item. `E` is `[items + 1, embedding_size]`, `V` is `[items, embedding_size]`;
/// `s` is `[batch, time, embedding_size]`, scores are `[rows, items]`, that of item `i` in column `i − 1`. The projection `P`,
/// `[output_size, embedding_size]`, with a bias, is there only if these sizes differ.
///
/// Hidasi et al., "Session-based recommendations with recurrent neural networks", ICLR 2016 (GRU4Rec); tied embeddings as in Kang and
/// McAuley, "Self-attentive sequential recommendation", ICDM 2018.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::StackShape;
/// use seqzoo_models::networks::{Recommender, RecommenderShape};
///
/// let stack = StackShape::plain(Architecture::Gru, 8, vec![16]);
/// let shape = RecommenderShape { items: 50, stack, tied: true, dropout: 0.2, embedding_dropout: 0.0 };
/// let recommender = Recommender::new(shape, 1, &Device::flex());
/// let items = Tensor::<2, Int>::from_data([[5, 50, 2], [7, 1, 0]], &Device::flex());
/// let states = recommender.states(items, &[3, 2], None);
/// assert_eq!(states.dims(), [2, 3, 8]);
/// assert_eq!(recommender.scores(states.reshape([6, 8])).dims(), [6, 50]);
/// ```
#[derive(Module, Debug)]
pub struct Recommender {
    embedding: Embedding,
    stack: Stack,
    projection: Option<Linear>,
    output: Option<Embedding>,
    bias: Param<Tensor<1>>,
    dropout: f64,
    embedding_dropout: f64,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[names!(Recommender {
    embedding: "embedding",
    stack: "stack",
    projection: "projection",
    output: "output",
    bias: "bias",
})];

/// The sizes of a [`Recommender`].
#[derive(Debug, Clone, PartialEq)]
pub struct RecommenderShape {
    /// Number of items.
    pub items: usize,
    /// The recurrent layers; their input is the embedding.
    pub stack: StackShape,
    /// Whether scores are products with the input embedding, rather than with an output embedding.
    pub tied: bool,
    /// Dropout rate of the stack's outputs.
    pub dropout: f64,
    /// Embedding dropout rate: share of the items dropped in training.
    pub embedding_dropout: f64,
}

impl RecommenderShape {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first invalid field: `items`, a dropout rate, or a field of the stack, whose `architecture` must be unidirectional.
    pub fn check(&self) -> Result<(), InvalidShape> {
        let predicted = "the items that a recommender predicts";
        self.stack.check_unidirectional(predicted).map_err(|error| error.within("stack"))?;
        positive("items", self.items)?;
        probability("dropout", self.dropout)?;
        probability("embedding_dropout", self.embedding_dropout)
    }
}

/// An embedding table whose rows have a length of about 1.
fn embedding(rows: usize, size: usize, key: Key, device: &Device) -> Embedding {
    Embedding { weight: init::uniform([rows, size], (3.0 / size as f32).sqrt(), key, device) }
}

impl Recommender {
    /// A recommender with initial weights drawn from `seed`.
    ///
    /// # Panics
    /// If [`RecommenderShape::check`] fails.
    pub fn new(shape: RecommenderShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let (items, size, features) = (shape.items, shape.stack.input_size, shape.stack.output_size());
        Self {
            embedding: embedding(items + 1, size, key.with_first(0), device),
            stack: Stack::new(shape.stack, key.with_first(1), device),
            projection: (features != size).then(|| Linear::new(features, size, 0.0, key.with_first(2), device)),
            output: (!shape.tied).then(|| embedding(items, size, key.with_first(3), device)),
            bias: init::constant(&vec![0.0; items], device),
            dropout: shape.dropout,
            embedding_dropout: shape.embedding_dropout,
        }
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        self.bias.val().dims()[0]
    }

    /// The states after each item, `[batch, time, embedding_size]`.
    ///
    /// `items` is `[batch, time]`, with `lengths` valid steps per row. `dropout_key` is the key of this step's dropout masks; `None` at
    /// inference.
    ///
    /// # Panics
    /// If there is not one length per row, or a length is 0 or exceeds `time`.
    pub fn states(
        &self,
        items: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<3> {
        let dropout_key = dropout_key.into();
        let input = embed(&self.embedding, items, self.embedding_dropout, &dropout_key);
        let outputs = self.stack.forward(input, lengths, None, &dropout_key).outputs;
        let outputs = dropout(outputs, self.dropout, dropout_key);
        match &self.projection {
            Some(projection) => projection.forward(outputs),
            None => outputs,
        }
    }

    /// The scores of all items, `[rows, items]`, given states `[rows, embedding_size]`.
    pub fn scores(&self, states: Tensor<2>) -> Tensor<2> {
        let weight = self.item_weights().transpose();
        product(states, weight, Some(self.bias.val()), &PackedWeights::default(), self.stack.execution())
    }

    /// The scores of some items, `[rows, candidates]`, given states `[rows, embedding_size]` and the ids of the candidates.
    pub fn scores_of(&self, states: Tensor<2>, candidates: &[u32]) -> Tensor<2> {
        let (weight, bias) = self.select(candidates, &states.device());
        states.matmul(weight.transpose()) + bias.unsqueeze()
    }

    /// The score of one item per row, `[rows, 1]`, given states `[rows, embedding_size]` and the id of each row's item.
    pub fn target_scores(&self, states: Tensor<2>, targets: &[u32]) -> Tensor<2> {
        let (weight, bias) = self.select(targets, &states.device());
        (states * weight).sum_dim(1) + bias.reshape([targets.len(), 1])
    }

    /// Mean cross-entropy in nats over all items, `[1]`, given states `[rows, embedding_size]` and the id of each row's next item.
    ///
    /// # Panics
    /// If there is not one target per row, or a target is not an item.
    pub fn mean_loss(&self, states: Tensor<2>, targets: &[u32]) -> Tensor<1> {
        let weight = self.item_weights().transpose();
        let classes = targets.iter().map(|&target| target - 1).collect();
        mean_cross_entropy(states, weight, self.bias.val(), classes, self.stack.execution())
    }

    /// `V`, `[items, embedding_size]`.
    fn item_weights(&self) -> Tensor<2> {
        match &self.output {
            Some(output) => output.weight.val(),
            None => self.embedding.weight.val().narrow(0, 1, self.items()),
        }
    }

    /// The rows of `V`, `[items, embedding_size]`, and the biases, `[items]`, of some items.
    fn select(&self, items: &[u32], device: &Device) -> (Tensor<2>, Tensor<1>) {
        let columns: Vec<i32> = items.iter().map(|&item| item as i32 - 1).collect();
        let columns = Tensor::<1, Int>::from_data(TensorData::new(columns, [items.len()]), device);
        (self.item_weights().select(0, columns.clone()), self.bias.val().select(0, columns))
    }
}

/// Losses that compare the score of the actual item p with those of sampled items n.
///
/// All are means over rows, `[1]`, of `targets`, `[rows, 1]`, the scores of the actual items, and `negatives`, `[rows, samples]`. `kept`,
/// `[rows, samples]`, is 1, or 0 where the sampled item is the actual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankingLoss {
    /// Sampled softmax: −log (exp p / (exp p + Σ exp n)) (Bengio and Senécal 2008; Jean et al. 2015).
    Softmax,
    /// Bayesian personalized ranking: −mean log σ(p − n) (Rendle et al. 2009; Hidasi et al. 2016).
    Bpr,
    /// TOP1: mean σ(n − p) + σ(n²) (Hidasi et al. 2016).
    Top1,
}

impl RankingLoss {
    /// The mean loss.
    pub fn mean(self, targets: Tensor<2>, negatives: Tensor<2>, kept: Tensor<2>) -> Tensor<1> {
        let [rows, samples] = negatives.dims();
        if self == Self::Softmax {
            let dropped = kept.equal_elem(0.0);
            let all = Tensor::cat(vec![targets, negatives.mask_fill(dropped, f32::MIN)], 1);
            return log_softmax(all, 1).narrow(1, 0, 1).mean().neg();
        }
        let targets = targets.expand([rows, samples]);
        let losses = match self {
            Self::Top1 => sigmoid(negatives.clone() - targets) + sigmoid(negatives.clone() * negatives),
            _ => log_sigmoid(targets - negatives).neg(),
        };
        let count = kept.clone().sum_dim(1).clamp_min(1.0);
        ((losses * kept).sum_dim(1) / count).mean()
    }

    /// The loss of one actual item, on the host.
    pub fn of_scores(self, target: f32, negatives: impl Iterator<Item = f32>) -> f64 {
        let target = f64::from(target);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let negatives = negatives.map(f64::from);
        if self == Self::Softmax {
            // Relative to the largest score, so that no power overflows.
            let all: Vec<f64> = std::iter::once(target).chain(negatives).collect();
            let most = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            return most + all.iter().map(|score| (score - most).exp()).sum::<f64>().ln() - target;
        }
        let loss = |negative: f64| match self {
            Self::Top1 => sigmoid(negative - target) + sigmoid(negative * negative),
            // −log σ(x) = log(1 + exp(−x)), without overflow.
            _ => (negative - target).max(0.0) + (-(negative - target).abs()).exp().ln_1p(),
        };
        let (count, sum) = negatives.fold((0.0, 0.0), |(count, sum), negative| (count + 1.0, sum + loss(negative)));
        sum / f64::max(count, 1.0)
    }
}

impl Network for Recommender {
    fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        if let Some(projection) = &mut self.projection {
            projection.set_execution(execution);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Architecture;
    use seqzoo_kernels::devices;

    fn recommender(hidden: usize, tied: bool, device: &Device) -> Recommender {
        let stack = StackShape::plain(Architecture::Gru, 4, vec![hidden]);
        Recommender::new(RecommenderShape { items: 9, stack, tied, dropout: 0.0, embedding_dropout: 0.0 }, 3, device)
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.try_into_vec_as::<f32>().unwrap()
    }

    #[test]
    fn scores_of_some_items_are_those_of_all() {
        for (_, device) in devices() {
            for (hidden, tied) in [(4, true), (6, true), (4, false), (6, false)] {
                let network = recommender(hidden, tied, &device);
                let items = Tensor::<2, Int>::from_data([[5, 9, 2], [7, 1, 0]], &device);
                let states = network.states(items, &[3, 2], None).reshape([6, 4]);
                let all = values(network.scores(states.clone()));
                let some = values(network.scores_of(states.clone(), &[9, 1]));
                let targets = values(network.target_scores(states, &[1, 2, 3, 4, 5, 9]));
                for (row, target) in [1, 2, 3, 4, 5, 9].into_iter().enumerate() {
                    let of = |item: usize| all[row * 9 + item - 1];
                    let pairs = [(some[row * 2], of(9)), (some[row * 2 + 1], of(1)), (targets[row], of(target))];
                    assert!(pairs.iter().all(|(one, other)| (one - other).abs() < 1e-5), "{pairs:?}");
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_in_a_batch() {
        let (_, device) = devices().remove(0);
        let network = recommender(6, true, &device);
        let states = |items: Tensor<2, Int>, lengths: &[usize]| network.states(items, lengths, None);
        let batch = states(Tensor::from_data([[5, 9, 2], [7, 1, 0]], &device), &[3, 2]);
        let alone = states(Tensor::from_data([[7, 1]], &device), &[2]);
        let batch = network.scores(batch.narrow(1, 1, 1).reshape([2, 4]));
        let alone = network.scores(alone.narrow(1, 1, 1).reshape([1, 4]));
        assert_eq!(values(batch.narrow(0, 1, 1)), values(alone));
    }

    #[test]
    fn ranking_losses_match_hand_computed_values() {
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        // Two rows; the first negative of the second row is the actual item.
        let expected = |loss: RankingLoss| match loss {
            RankingLoss::Softmax => {
                let first = (2f32.exp() + 1f32.exp() + 0f32.exp()).ln() - 2.0;
                (first + ((-1f32).exp() + 3f32.exp()).ln() + 1.0) / 2.0
            }
            RankingLoss::Bpr => (-(sigmoid(1.0).ln() + sigmoid(2.0).ln()) / 2.0 - sigmoid(-4.0).ln()) / 2.0,
            RankingLoss::Top1 => {
                let first = (sigmoid(-1.0) + sigmoid(1.0) + sigmoid(-2.0) + sigmoid(0.0)) / 2.0;
                (first + sigmoid(4.0) + sigmoid(9.0)) / 2.0
            }
        };
        for (_, device) in devices() {
            for loss in [RankingLoss::Softmax, RankingLoss::Bpr, RankingLoss::Top1] {
                let targets = Tensor::from_floats([[2.0], [-1.0]], &device);
                let negatives = Tensor::from_floats([[1.0, 0.0], [-1.0, 3.0]], &device);
                let kept = Tensor::from_floats([[1.0, 1.0], [0.0, 1.0]], &device);
                let found = values(loss.mean(targets, negatives, kept))[0];
                assert!((found - expected(loss)).abs() < 1e-5, "{loss:?}: {found}");
                let host =
                    (loss.of_scores(2.0, [1.0, 0.0].into_iter()) + loss.of_scores(-1.0, [3.0].into_iter())) / 2.0;
                assert!((host as f32 - expected(loss)).abs() < 1e-5, "{loss:?}: {host}");
            }
        }
        assert_eq!(RankingLoss::Bpr.of_scores(-1e4, [1e4].into_iter()), 2e4);
        assert!(RankingLoss::Softmax.of_scores(-1e4, [1e4].into_iter()).is_finite());
    }

    #[test]
    fn a_bidirectional_stack_is_refused() {
        let stack = StackShape::plain(Architecture::BiGru, 4, vec![4]);
        let shape = RecommenderShape { items: 9, stack, tied: true, dropout: 0.0, embedding_dropout: 0.0 };
        assert!(shape.check().unwrap_err().to_string().contains("would see the items"));
    }
}
