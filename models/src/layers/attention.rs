//! Attention of a decoder over the outputs of an encoder.

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use seqzoo_kernels::{Execution, Lengths, PackedWeights};
use seqzoo_random::Key;
use serde::{Deserialize, Serialize};

use super::product;
use crate::cell::zero_padding;
use crate::init;
use crate::names::{FieldNames, names};

/// Score function of a query q (decoder state) and a memory m (encoder output).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttentionScore {
    /// q · m; requires queries and memories of equal size (Luong et al. 2015).
    Dot,
    /// q W · m (Luong et al. 2015).
    #[default]
    General,
    /// v · tanh(q W_q + m W_m) (Bahdanau et al. 2015).
    Additive,
}

/// Attention: for each query, a weighted mean of the memories; padding has weight zero.
///
/// ```text
/// a_ut = softmax_t(score(q_u, m_t))        context_u = Σ_t a_ut m_t
/// ```
///
/// Queries are `[batch, queries, query_size]`, memories `[batch, time, memory_size]`. Scores are not scaled by 1/√size,
/// unlike in PyTorch's `scaled_dot_product_attention`.
///
/// Luong, Pham and Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015; Bahdanau,
/// Cho and Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::layers::{Attention, AttentionScore};
/// use seqzoo_models::{Key, Purpose};
///
/// let device = Device::flex();
/// let attention = Attention::new(AttentionScore::General, 4, 6, Key::new(1, Purpose::Weights), &device);
/// let (queries, memory) = (Tensor::ones([2, 3, 4], &device), Tensor::ones([2, 5, 6], &device));
/// let output = attention.forward(queries, memory, &[5, 2]);
/// assert_eq!((output.context.dims(), output.weights.dims()), ([2, 3, 6], [2, 3, 5]));
/// ```
#[derive(Module, Debug)]
pub struct Attention {
    /// general: `[query_size, memory_size]`; additive: `[query_size, memory_size]` as W_q.
    weight_query: Option<Param<Tensor<2>>>,
    /// additive: `[memory_size, memory_size]`.
    weight_memory: Option<Param<Tensor<2>>>,
    /// additive: `[memory_size, 1]`.
    vector: Option<Param<Tensor<2>>>,
    #[module(skip)]
    score: AttentionScore,
    /// Packed weights of the query, memory and vector products.
    #[module(skip)]
    packed: [PackedWeights; 3],
    #[module(skip)]
    execution: Execution,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] =
    &[names!(Attention { weight_query: "weight_query", weight_memory: "weight_memory", vector: "vector" })];

/// Output of [`Attention`].
#[derive(Debug, Clone)]
pub struct AttentionOutput {
    /// Context vectors, `[batch, queries, memory_size]`.
    pub context: Tensor<3>,
    /// Attention weights, `[batch, queries, time]`; they sum to 1 over time and are zero at padding.
    pub weights: Tensor<3>,
}

impl Attention {
    /// Attention with initial weights drawn from `key`.
    ///
    /// # Panics
    /// If `score` is [`AttentionScore::Dot`] and the sizes differ.
    pub fn new(score: AttentionScore, query_size: usize, memory_size: usize, key: Key, device: &Device) -> Self {
        assert!(
            score != AttentionScore::Dot || query_size == memory_size,
            "dot attention needs equal sizes, got query {query_size}, memory {memory_size}; use general or additive"
        );
        let matrix = |shape: [usize; 2], index| init::glorot_uniform(shape, 1, key.offset(index), device);
        let additive = score == AttentionScore::Additive;
        Self {
            weight_query: (score != AttentionScore::Dot).then(|| matrix([query_size, memory_size], 0)),
            weight_memory: additive.then(|| matrix([memory_size, memory_size], 1)),
            vector: additive.then(|| matrix([memory_size, 1], 2)),
            score,
            packed: Default::default(),
            execution: Execution::default(),
        }
    }

    /// Sets how the products are computed.
    pub fn set_execution(&mut self, execution: Execution) {
        self.execution = execution;
    }

    /// Attends from `queries`, `[batch, queries, query_size]`, to `memory`, `[batch, time, memory_size]`, with
    /// `lengths` valid time steps per row.
    ///
    /// # Panics
    /// If a length is 0 or exceeds `time`.
    pub fn forward(&self, queries: Tensor<3>, memory: Tensor<3>, lengths: impl Into<Lengths>) -> AttentionOutput {
        let lengths = lengths.into();
        let [batch, time, _] = memory.dims();
        let [_, count, _] = queries.dims();
        assert!(
            lengths.iter().all(|&length| (1..=time).contains(&length)),
            "lengths {lengths:?} must be in 1..={time}"
        );
        let memory = zero_padding(memory, &lengths);
        let scores = match self.score {
            AttentionScore::Dot => queries.matmul(memory.clone().swap_dims(1, 2)),
            AttentionScore::General => self.product(queries, 0).matmul(memory.clone().swap_dims(1, 2)),
            AttentionScore::Additive => {
                let queries = self.product(queries, 0).unsqueeze_dim::<4>(2);
                let memory = self.product(memory.clone(), 1).unsqueeze_dim::<4>(1);
                let hidden = (queries + memory).tanh();
                let width = hidden.dims()[3];
                let hidden = hidden.reshape([batch, count * time, width]);
                self.product(hidden, 2).reshape([batch, count, time])
            }
        };
        let scores = match lengths.padding(time, &scores.device()) {
            None => scores,
            Some(padding) => scores.mask_fill(padding.unsqueeze_dim::<3>(1).expand([batch, count, time]), f32::MIN),
        };
        let weights = softmax(scores, 2);
        AttentionOutput { context: weights.clone().matmul(memory), weights }
    }

    /// `[batch, steps, features]` times the weights of one of the products.
    fn product(&self, input: Tensor<3>, index: usize) -> Tensor<3> {
        let weight = [&self.weight_query, &self.weight_memory, &self.vector][index];
        let weight = weight.as_ref().expect("the weights of this score exist").val();
        product(input, weight, None, &self.packed[index], self.execution)
    }
}
