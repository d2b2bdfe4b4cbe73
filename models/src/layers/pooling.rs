//! Pooling of a sequence into one vector.

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use schemars::JsonSchema;
use seqzoo_kernels::{Execution, Lengths, PackedWeights};
use seqzoo_random::Key;
use serde::{Deserialize, Serialize};

use super::product;
use crate::cell::zero_padding;
use crate::init;
use crate::names::{FieldNames, names};

/// Pooling method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Final hidden state of each direction.
    #[default]
    Last,
    /// Mean over valid time steps.
    Mean,
    /// Maximum over valid time steps, per feature.
    Max,
    /// Attention: weighted mean over valid time steps, with learned weights (Yang et al. 2016).
    Attention,
}

/// Pooling over time: `[batch, time, features]` to `[batch, features]`; padding is ignored.
///
/// ```text
/// last:       [h→_length ; h←_1]
/// mean:       Σ_t h_t / length                max:  max_t h_t
/// attention:  Σ_t a_t h_t,   a = softmax_t(v · tanh(h_t W))
/// ```
///
/// `W` is `[features, features]`, `v` is `[features, 1]`.
///
/// Attention after Yang et al., "Hierarchical attention networks for
/// document classification", NAACL 2016, without its bias.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::layers::{Pooling, SequencePooling};
/// use seqzoo_models::{Key, Purpose};
///
/// let pooling = SequencePooling::new(Pooling::Attention, 4, Key::new(1, Purpose::Weights), &Device::flex());
/// let outputs = Tensor::ones([2, 5, 4], &Device::flex());
/// assert_eq!(pooling.forward(outputs, &[5, 2], 1).dims(), [2, 4]);
/// ```
#[derive(Module, Debug)]
pub struct SequencePooling {
    attention: Option<Scorer>,
    #[module(skip)]
    pooling: Pooling,
}

#[derive(Module, Debug)]
struct Scorer {
    weight: Param<Tensor<2>>,
    vector: Param<Tensor<2>>,
    /// Packed weights of both products.
    #[module(skip)]
    packed: [PackedWeights; 2],
    #[module(skip)]
    execution: Execution,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] =
    &[names!(SequencePooling { attention: "attention" }), names!(Scorer { weight: "weight", vector: "vector" })];

impl SequencePooling {
    /// A pooling layer over `features` features; only [`Pooling::Attention`] has weights.
    pub fn new(pooling: Pooling, features: usize, key: Key, device: &Device) -> Self {
        let attention = (pooling == Pooling::Attention).then(|| Scorer {
            weight: init::glorot_uniform([features, features], 1, key.offset(0), device),
            vector: init::glorot_uniform([features, 1], 1, key.offset(1), device),
            packed: Default::default(),
            execution: Execution::default(),
        });
        Self { attention, pooling }
    }

    /// Sets how the products are computed.
    pub fn set_execution(&mut self, execution: Execution) {
        if let Some(scorer) = &mut self.attention {
            scorer.execution = execution;
        }
    }

    /// Pools `outputs`, `[batch, time, features]`, into `[batch, features]`.
    ///
    /// If `directions` is 2, the first half of the features belongs to the forward direction, the second half to the
    /// backward one.
    ///
    /// # Panics
    /// If there is not one length per row, or a length is 0 or exceeds `time`.
    pub fn forward(&self, outputs: Tensor<3>, lengths: impl Into<Lengths>, directions: usize) -> Tensor<2> {
        let lengths = &lengths.into();
        let [batch, time, features] = outputs.dims();
        assert!(
            lengths.len() == batch && lengths.iter().all(|length| (1..=time).contains(length)),
            "outputs are [{batch}, {time}, {features}]: expected {batch} lengths from 1 to {time}, got {lengths:?}"
        );
        let device = outputs.device();
        match &self.attention {
            Some(scorer) => scorer.forward(outputs, lengths),
            None if self.pooling == Pooling::Last => last(outputs, lengths, directions),
            None if self.pooling == Pooling::Mean => {
                let counts = lengths.iter().map(|&length| length as f32).collect();
                let counts = TensorData::new::<f32, _>(counts, [batch, 1]);
                let counts = Tensor::<2>::from_data(counts, (&device, outputs.dtype()));
                zero_padding(outputs, lengths).sum_dim(1).reshape([batch, features]) / counts
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
        let hidden = product(outputs.clone(), self.weight.val(), None, &self.packed[0], self.execution).tanh();
        let scores = product(hidden, self.vector.val(), None, &self.packed[1], self.execution);
        let scores = scores.reshape([batch, time]);
        let scores = match lengths.padding(time, &scores.device()) {
            None => scores,
            Some(padding) => scores.mask_fill(padding, f32::MIN),
        };
        let weights = softmax(scores, 1).unsqueeze_dim::<3>(1);
        weights.matmul(zero_padding(outputs, lengths)).reshape([batch, features])
    }
}

/// Concatenates the forward half at each row's last valid time step with the backward half at the first.
fn last(outputs: Tensor<3>, lengths: &Lengths, directions: usize) -> Tensor<2> {
    let [batch, _, features] = outputs.dims();
    let width = features / directions;
    let ends: Vec<i32> = lengths.iter().map(|&length| length as i32 - 1).collect();
    let ends = Tensor::<3, Int>::from_data(TensorData::new(ends, [batch, 1, 1]), &outputs.device());
    let forward = outputs.clone().narrow(2, 0, width).gather(1, ends.expand([batch, 1, width])).reshape([batch, width]);
    if directions == 1 {
        return forward;
    }
    let backward = outputs.narrow(2, width, width).narrow(1, 0, 1).reshape([batch, width]);
    Tensor::cat(vec![forward, backward], 1)
}
