//! One vector for a whole sequence.

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_random::Key;
use serde::{Deserialize, Serialize};

use seqzoo_kernels::Lengths;

use crate::cell::without_padding;
use crate::init;

/// How a sequence of outputs becomes one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// What each direction has when it has read everything.
    #[default]
    Last,
    /// The mean over true steps.
    Mean,
    /// The largest value over true steps, feature by feature.
    Max,
    /// A weighted mean whose weights are learned.
    Attention,
}

/// Turns `[batch, time, features]` into `[batch, features]`; padding counts for nothing.
///
/// ```text
/// last:       [h→_length ; h←_1]
/// mean:       Σ_t h_t / length                max:  max_t h_t
/// attention:  Σ_t a_t h_t,   a = softmax_t(v · tanh(h_t W))
/// ```
///
/// `W` is `[features, features]`, `v` `[features, 1]`. Attention after Yang et al., "Hierarchical attention networks for
/// document classification", NAACL 2016, without its bias.
#[derive(Module, Debug)]
pub struct Summary {
    attention: Option<Scorer>,
    #[module(skip)]
    pooling: Pooling,
}

#[derive(Module, Debug)]
struct Scorer {
    weight: Param<Tensor<2>>,
    vector: Param<Tensor<2>>,
}

impl Summary {
    /// A summary of `features`; only attention has weights.
    pub fn new(pooling: Pooling, features: usize, key: Key, device: &Device) -> Self {
        let attention = (pooling == Pooling::Attention).then(|| Scorer {
            weight: init::glorot_uniform([features, features], 1, key.place(0), device),
            vector: init::glorot_uniform([features, 1], 1, key.place(1), device),
        });
        Self { attention, pooling }
    }

    /// The summary of `outputs`, `[batch, time, features]`, of which the first half of the features was read forward and the
    /// other backward where `directions` is 2.
    ///
    /// # Panics
    /// If there is not one length per row, or a row has no true step.
    pub fn forward(&self, outputs: Tensor<3>, lengths: impl Into<Lengths>, directions: usize) -> Tensor<2> {
        let lengths = &lengths.into();
        let [batch, time, features] = outputs.dims();
        assert!(
            lengths.len() == batch && lengths.iter().all(|length| (1..=time).contains(length)),
            "outputs are [{batch}, {time}, {features}], which needs {batch} lengths from 1 to {time}, not {lengths:?}"
        );
        let device = outputs.device();
        match &self.attention {
            Some(scorer) => scorer.forward(outputs, lengths),
            None if self.pooling == Pooling::Last => last(outputs, lengths, directions),
            None if self.pooling == Pooling::Mean => {
                let counts = lengths.iter().map(|&length| length as f32).collect();
                let counts = TensorData::new::<f32, _>(counts, [batch, 1]);
                let counts = Tensor::<2>::from_data(counts, (&device, outputs.dtype()));
                without_padding(outputs, lengths).sum_dim(1).reshape([batch, features]) / counts
            }
            None => {
                let outputs = match lengths.padding(time, &device) {
                    None => outputs,
                    Some(padding) => {
                        let padding = padding.unsqueeze_dim::<3>(2).expand([batch, time, features]);
                        outputs.mask_fill(padding, f32::MIN)
                    }
                };
                outputs.max_dim(1).reshape([batch, features])
            }
        }
    }
}

impl Scorer {
    fn forward(&self, outputs: Tensor<3>, lengths: &Lengths) -> Tensor<2> {
        let [batch, time, features] = outputs.dims();
        let rows = outputs.clone().reshape([batch * time, features]);
        let scores = rows.matmul(self.weight.val()).tanh().matmul(self.vector.val()).reshape([batch, time]);
        let scores = match lengths.padding(time, &scores.device()) {
            None => scores,
            Some(padding) => scores.mask_fill(padding, f32::MIN),
        };
        let weights = softmax(scores, 1).unsqueeze_dim::<3>(1);
        weights.matmul(without_padding(outputs, lengths)).reshape([batch, features])
    }
}

/// The forward half at each row's last true step beside the backward half at the first.
fn last(outputs: Tensor<3>, lengths: &Lengths, directions: usize) -> Tensor<2> {
    let [batch, _, features] = outputs.dims();
    let width = features / directions;
    let ends: Vec<i32> = lengths.iter().map(|&length| length as i32 - 1).collect();
    let ends = Tensor::<3, Int>::from_data(TensorData::new(ends, [batch, 1, 1]), &outputs.device());
    let ahead = outputs.clone().narrow(2, 0, width).gather(1, ends.expand([batch, 1, width])).reshape([batch, width]);
    if directions == 1 {
        return ahead;
    }
    let behind = outputs.narrow(2, width, width).narrow(1, 0, 1).reshape([batch, width]);
    Tensor::cat(vec![ahead, behind], 1)
}
