//! The linear-chain conditional random field: labels that depend on their neighbors.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_kernels::Lengths;
use seqzoo_random::Key;

use crate::init;
use crate::invalid_shape::{InvalidShape, expect_fit};

/// A score for every sequence of labels, and their probabilities.
///
/// ```text
/// score(y) = start_{y_1} + Σ_t emission_{t, y_t} + Σ_t transition_{y_{t−1}, y_t} + end_{y_length}
/// log p(y) = score(y) − log Σ_{y'} exp(score(y'))
/// ```
///
/// Emissions are `[batch, time, labels]`, `transition` `[labels, labels]` from row to column, `start` and `end` `[labels]`. `transition` starts
/// uniform in ±0.1 (as in pytorch-crf 0.7), `start` and `end` at 0, since nothing is known of them. Only true steps count.
///
/// Lafferty, McCallum and Pereira, "Conditional random fields", ICML 2001; on a BiLSTM: Lample et al., NAACL 2016.
#[derive(Module, Debug)]
pub struct Crf {
    transition: Param<Tensor<2>>,
    start: Param<Tensor<1>>,
    end: Param<Tensor<1>>,
}

impl Crf {
    /// Whether a field over so many labels makes sense.
    ///
    /// # Errors
    /// The field `labels`, if there are fewer than two.
    pub fn check(labels: usize) -> Result<(), InvalidShape> {
        let reason =
            || format!("a conditional random field needs at least two labels, not {labels}; use softmax for one");
        if labels >= 2 { Ok(()) } else { Err(InvalidShape::new("labels", reason())) }
    }

    /// A field over `labels` with initial weights drawn from `key`.
    ///
    /// # Panics
    /// If [`Crf::check`] refuses their number.
    pub fn new(labels: usize, key: Key, device: &Device) -> Self {
        expect_fit(Self::check(labels));
        Self {
            transition: init::uniform([labels, labels], 0.1, key, device),
            start: init::constant(&vec![0.0; labels], device),
            end: init::constant(&vec![0.0; labels], device),
        }
    }

    /// log p of the given labels for each row, `[batch]`; `labels` is `[batch][length]`.
    ///
    /// # Panics
    /// If rows, lengths or labels do not fit the emissions.
    pub fn log_likelihood(&self, emissions: Tensor<3>, labels: &[Vec<usize>]) -> Tensor<1> {
        let [batch, time, count] = emissions.dims();
        assert_eq!(
            labels.len(),
            batch,
            "emissions are [{batch}, {time}, {count}]: one row of labels per row is needed"
        );
        assert!(
            labels.iter().all(|row| (1..=time).contains(&row.len()) && row.iter().all(|&label| label < count)),
            "labels do not fit emissions of [{batch}, {time}, {count}]"
        );
        let lengths: Vec<usize> = labels.iter().map(Vec::len).collect();
        self.score(emissions.clone(), labels) - self.log_partition(emissions, &lengths)
    }

    /// score(y) as a sum over the parts that y picks, counted on the host: `[batch]`.
    fn score(&self, emissions: Tensor<3>, labels: &[Vec<usize>]) -> Tensor<1> {
        let [batch, time, count] = emissions.dims();
        let (device, dtype) = (emissions.device(), emissions.dtype());
        // One-hot marks, so that each term is a masked sum and its gradient needs no scatter.
        let mut emitted = vec![0.0f32; batch * time * count];
        let mut followed = vec![0.0f32; batch * count * count];
        let (mut first, mut last) = (vec![0.0f32; batch * count], vec![0.0f32; batch * count]);
        for (row, labels) in labels.iter().enumerate() {
            labels.iter().enumerate().for_each(|(step, label)| emitted[(row * time + step) * count + label] = 1.0);
            labels.windows(2).for_each(|pair| followed[(row * count + pair[0]) * count + pair[1]] += 1.0);
            first[row * count + labels[0]] = 1.0;
            last[row * count + labels[labels.len() - 1]] = 1.0;
        }
        let emitted = Tensor::<3>::from_data(TensorData::new(emitted, [batch, time, count]), (&device, dtype));
        let followed = Tensor::<3>::from_data(TensorData::new(followed, [batch, count, count]), (&device, dtype));
        let [first, last] =
            [first, last].map(|m| Tensor::<2>::from_data(TensorData::new(m, [batch, count]), (&device, dtype)));
        let rows = |tensor: Tensor<3>| tensor.reshape([batch as i32, -1]).sum_dim(1);
        let total = rows(emissions * emitted)
            + rows(self.transition.val().unsqueeze::<3>() * followed)
            + (self.start.val().unsqueeze::<2>() * first).sum_dim(1)
            + (self.end.val().unsqueeze::<2>() * last).sum_dim(1);
        total.reshape([batch])
    }

    /// log Σ exp(score) over all sequences of labels of each row's length, by the forward recursion: `[batch]`.
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

    /// The most probable labels of each row (Viterbi 1967), computed on the host; of equal ones those of lower number.
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

/// The best path through one row's emissions `[length · labels]`.
fn viterbi(emissions: &[f32], transition: &[f32], start: &[f32], end: &[f32]) -> Vec<usize> {
    let count = start.len();
    let mut steps = emissions.chunks_exact(count);
    let Some(first) = steps.next() else { return Vec::new() };
    let mut best: Vec<f32> = start.iter().zip(first).map(|(start, emission)| start + emission).collect();
    let mut came_from: Vec<Vec<usize>> = Vec::new();
    for emission in steps {
        let reach = |to: usize| {
            let value = |from: usize| best[from] + transition[from * count + to];
            let from = (1..count).fold(0, |most, from| if value(from) > value(most) { from } else { most });
            (from, value(from) + emission[to])
        };
        let reached: Vec<(usize, f32)> = (0..count).map(reach).collect();
        came_from.push(reached.iter().map(|&(from, _)| from).collect());
        best = reached.into_iter().map(|(_, value)| value).collect();
    }
    let value = |label: usize| best[label] + end[label];
    let mut path = vec![(1..count).fold(0, |most, label| if value(label) > value(most) { label } else { most })];
    for from in came_from.iter().rev() {
        path.push(from[path[path.len() - 1]]);
    }
    path.reverse();
    path
}

fn log_sum_exp<const D: usize>(values: Tensor<D>, dim: usize) -> Tensor<D> {
    let largest = values.clone().max_dim(dim).detach();
    (values - largest.clone()).exp().sum_dim(dim).log() + largest
}
