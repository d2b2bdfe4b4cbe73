//! Linear-chain conditional random field (CRF).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_kernels::Lengths;
use seqzoo_random::Key;

use crate::init;
use crate::invalid_shape::{InvalidShape, expect_valid};
use crate::names::{FieldNames, names};

/// Linear-chain conditional random field (CRF): a probability distribution over label sequences.
///
/// ```text
/// score(y) = start_{y_1} + Σ_t emission_{t, y_t} + Σ_t transition_{y_{t−1}, y_t} + end_{y_length}
/// log p(y) = score(y) − log Σ_{y'} exp(score(y'))
/// ```
///
/// Emissions are `[batch, time, labels]`, `transition` is `[labels, labels]` from row to column, `start` and `end` are
/// `[labels]`. Padding is ignored. `transition` is initialized uniformly in ±0.1, as in pytorch-crf 0.7, `start` and
/// `end` to 0. PyTorch has no CRF.
///
/// Lafferty, McCallum and Pereira, "Conditional random fields", ICML 2001; on a BiLSTM: Lample et al., NAACL 2016.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, layers::Crf};
///
/// let device = Device::flex();
/// let crf = Crf::new(3, Key::new(1, Purpose::Weights), &device);
/// let emissions = Tensor::<3>::ones([2, 4, 3], &device);
/// assert_eq!(crf.log_likelihood(emissions.clone(), &[vec![0, 1, 2, 0], vec![1, 1]]).dims(), [2]);
/// assert_eq!(crf.decode(emissions, &[4, 2]).iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
/// ```
#[derive(Module, Debug)]
pub struct Crf {
    transition: Param<Tensor<2>>,
    start: Param<Tensor<1>>,
    end: Param<Tensor<1>>,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[names!(Crf { transition: "transition", start: "start", end: "end" })];

impl Crf {
    /// Checks the number of labels.
    ///
    /// # Errors
    /// The field `labels`, if there are fewer than two.
    pub fn check(labels: usize) -> Result<(), InvalidShape> {
        let reason = || format!("a CRF needs at least two labels, got {labels}; use a softmax output instead");
        if labels >= 2 { Ok(()) } else { Err(InvalidShape::new("labels", reason())) }
    }

    /// A CRF over `labels` labels with initial weights drawn from `key`.
    ///
    /// # Panics
    /// If [`Crf::check`] fails.
    pub fn new(labels: usize, key: Key, device: &Device) -> Self {
        expect_valid(Self::check(labels));
        Self {
            transition: init::uniform([labels, labels], 0.1, key, device),
            start: init::constant(&vec![0.0; labels], device),
            end: init::constant(&vec![0.0; labels], device),
        }
    }

    /// Log-likelihood of the given label sequences in nats, `[batch]`; `labels` is `[batch][length]`.
    ///
    /// # Panics
    /// If rows, lengths or labels do not match the emissions.
    pub fn log_likelihood(&self, emissions: Tensor<3>, labels: &[Vec<usize>]) -> Tensor<1> {
        let [batch, time, count] = emissions.dims();
        assert_eq!(
            labels.len(),
            batch,
            "emissions are [{batch}, {time}, {count}]: expected one label sequence per row"
        );
        assert!(
            labels.iter().all(|row| (1..=time).contains(&row.len()) && row.iter().all(|&label| label < count)),
            "labels do not match emissions of [{batch}, {time}, {count}]"
        );
        let lengths: Vec<usize> = labels.iter().map(Vec::len).collect();
        self.score(emissions.clone(), labels) - self.log_partition(emissions, &lengths)
    }

    /// score(y), `[batch]`.
    fn score(&self, emissions: Tensor<3>, labels: &[Vec<usize>]) -> Tensor<1> {
        let [batch, time, count] = emissions.dims();
        let (device, dtype) = (emissions.device(), emissions.dtype());
        // One-hot masks built on the host: each term is a masked sum, whose gradient needs no scatter.
        let mut unary = vec![0.0f32; batch * time * count];
        let mut pairwise = vec![0.0f32; batch * count * count];
        let (mut first, mut last) = (vec![0.0f32; batch * count], vec![0.0f32; batch * count]);
        for (row, labels) in labels.iter().enumerate() {
            labels.iter().enumerate().for_each(|(step, label)| unary[(row * time + step) * count + label] = 1.0);
            labels.windows(2).for_each(|pair| pairwise[(row * count + pair[0]) * count + pair[1]] += 1.0);
            first[row * count + labels[0]] = 1.0;
            last[row * count + labels[labels.len() - 1]] = 1.0;
        }
        let unary = Tensor::<3>::from_data(TensorData::new(unary, [batch, time, count]), (&device, dtype));
        let pairwise = Tensor::<3>::from_data(TensorData::new(pairwise, [batch, count, count]), (&device, dtype));
        let [first, last] =
            [first, last].map(|m| Tensor::<2>::from_data(TensorData::new(m, [batch, count]), (&device, dtype)));
        let rows = |tensor: Tensor<3>| tensor.reshape([batch as i32, -1]).sum_dim(1);
        let total = rows(emissions * unary)
            + rows(self.transition.val().unsqueeze::<3>() * pairwise)
            + (self.start.val().unsqueeze::<2>() * first).sum_dim(1)
            + (self.end.val().unsqueeze::<2>() * last).sum_dim(1);
        total.reshape([batch])
    }

    /// Log partition function, log Σ exp(score) over all label sequences of each row's length, by the forward
    /// algorithm: `[batch]`.
    pub fn log_partition(&self, emissions: Tensor<3>, lengths: impl Into<Lengths>) -> Tensor<1> {
        let lengths = lengths.into();
        let [batch, time, count] = emissions.dims();
        let at = |step: usize| emissions.clone().narrow(1, step, 1).reshape([batch, count]);
        let transition = self.transition.val().unsqueeze::<3>();
        let mut alpha = self.start.val().unsqueeze::<2>() + at(0);
        for step in 1..time {
            let from = alpha.clone().unsqueeze_dim::<3>(2) + transition.clone();
            let next = log_sum_exp(from, 1).reshape([batch, count]) + at(step);
            alpha = match lengths.finished(step, time, &alpha.device()) {
                None => next,
                Some(finished) => next.mask_where(finished.expand([batch, count]), alpha),
            };
        }
        log_sum_exp(alpha + self.end.val().unsqueeze::<2>(), 1).reshape([batch])
    }

    /// The most probable label sequence of each row, by the Viterbi algorithm (Viterbi 1967) on the host; ties go to
    /// the lower label.
    pub fn decode(&self, emissions: Tensor<3>, lengths: impl Into<Lengths>) -> Vec<Vec<usize>> {
        let lengths = lengths.into();
        let [_, time, count] = emissions.dims();
        let host = |tensor: Tensor<1>| tensor.try_into_vec_as::<f32>().expect("a computed tensor can be read");
        let transition = host(self.transition.val().reshape([count * count]));
        let (start, end) = (host(self.start.val()), host(self.end.val()));
        let emissions = emissions.try_into_vec_as::<f32>().expect("a computed tensor can be read");
        let rows = emissions.chunks_exact(time * count).zip(lengths.iter());
        rows.map(|(row, &length)| viterbi(&row[..length * count], &transition, &start, &end)).collect()
    }
}

/// The best label sequence for one row's emissions, `[length · labels]`.
fn viterbi(emissions: &[f32], transition: &[f32], start: &[f32], end: &[f32]) -> Vec<usize> {
    let count = start.len();
    let mut steps = emissions.chunks_exact(count);
    let Some(first) = steps.next() else { return Vec::new() };
    let mut best: Vec<f32> = start.iter().zip(first).map(|(start, emission)| start + emission).collect();
    let mut backpointers: Vec<Vec<usize>> = Vec::new();
    for emission in steps {
        let transition_to = |to: usize| {
            let value = |from: usize| best[from] + transition[from * count + to];
            let from = (1..count).fold(0, |best, from| if value(from) > value(best) { from } else { best });
            (from, value(from) + emission[to])
        };
        let reached: Vec<(usize, f32)> = (0..count).map(transition_to).collect();
        backpointers.push(reached.iter().map(|&(from, _)| from).collect());
        best = reached.into_iter().map(|(_, value)| value).collect();
    }
    let value = |label: usize| best[label] + end[label];
    let mut path = vec![(1..count).fold(0, |best, label| if value(label) > value(best) { label } else { best })];
    for from in backpointers.iter().rev() {
        path.push(from[path[path.len() - 1]]);
    }
    path.reverse();
    path
}

fn log_sum_exp<const D: usize>(values: Tensor<D>, dim: usize) -> Tensor<D> {
    let largest = values.clone().max_dim(dim).detach();
    (values - largest.clone()).exp().sum_dim(dim).log() + largest
}
