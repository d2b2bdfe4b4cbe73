//! Attention of a decoder over what an encoder has read.

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::Lengths;
use seqzoo_random::Key;
use serde::{Deserialize, Serialize};

use crate::cell::without_padding;
use crate::init;

/// How well a query fits a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttentionScore {
    /// q · m, for queries and memories of one width.
    Dot,
    /// q W · m (Luong et al. 2015).
    #[default]
    General,
    /// v · tanh(q W_q + m W_m) (Bahdanau et al. 2015).
    Additive,
}

/// A weighted mean of memories for each query; padding gets no weight.
///
/// ```text
/// a_ut = softmax_t(score(q_u, m_t))        context_u = Σ_t a_ut m_t
/// ```
///
/// Luong, Pham and Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015; Bahdanau,
/// Cho and Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015. Scores are not scaled.
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
}

/// What attention gives for each query.
#[derive(Debug, Clone)]
pub struct Attended {
    /// `[batch, queries, memory_size]`.
    pub context: Tensor<3>,
    /// `[batch, queries, time]`; each row sums to 1, with zeros at padding.
    pub weights: Tensor<3>,
}

impl Attention {
    /// Attention with initial weights drawn from `key`.
    ///
    /// # Panics
    /// If dot scores are asked for between differing widths.
    pub fn new(score: AttentionScore, query_size: usize, memory_size: usize, key: Key, device: &Device) -> Self {
        assert!(
            score != AttentionScore::Dot || query_size == memory_size,
            "dot attention joins queries of {query_size} features to memories of {memory_size}; use general or additive"
        );
        let matrix = |shape: [usize; 2], place| init::glorot_uniform(shape, 1, key.place(place), device);
        let additive = score == AttentionScore::Additive;
        Self {
            weight_query: (score != AttentionScore::Dot).then(|| matrix([query_size, memory_size], 0)),
            weight_memory: additive.then(|| matrix([memory_size, memory_size], 1)),
            vector: additive.then(|| matrix([memory_size, 1], 2)),
            score,
        }
    }

    /// Attends from `queries`, `[batch, queries, query_size]`, to `memory`, `[batch, time, memory_size]`, whose rows have
    /// `lengths` valid steps.
    ///
    /// # Panics
    /// If a row of the memory has no true step: there is nothing to attend to.
    pub fn forward(&self, queries: Tensor<3>, memory: Tensor<3>, lengths: impl Into<Lengths>) -> Attended {
        let lengths = lengths.into();
        let [batch, time, _] = memory.dims();
        let [_, asked, _] = queries.dims();
        assert!(lengths.iter().all(|&length| (1..=time).contains(&length)), "lengths {lengths:?} of {time} steps");
        let memory = without_padding(memory, &lengths);
        let scores = match self.score {
            AttentionScore::Dot => queries.matmul(memory.clone().swap_dims(1, 2)),
            AttentionScore::General => product(queries, &self.weight_query).matmul(memory.clone().swap_dims(1, 2)),
            AttentionScore::Additive => {
                let queries = product(queries, &self.weight_query).unsqueeze_dim::<4>(2);
                let memory = product(memory.clone(), &self.weight_memory).unsqueeze_dim::<4>(1);
                let hidden = (queries + memory).tanh();
                let width = hidden.dims()[3];
                let hidden = hidden.reshape([batch, asked * time, width]);
                product(hidden, &self.vector).reshape([batch, asked, time])
            }
        };
        let scores = match lengths.padding(time, &scores.device()) {
            None => scores,
            Some(padding) => scores.mask_fill(padding.unsqueeze_dim::<3>(1).expand([batch, asked, time]), f32::MIN),
        };
        let weights = softmax(scores, 2);
        Attended { context: weights.clone().matmul(memory), weights }
    }
}

/// `[batch, steps, features]` times `[features, columns]`.
fn product(input: Tensor<3>, weight: &Option<Param<Tensor<2>>>) -> Tensor<3> {
    let weight = weight.as_ref().expect("made together with the kind of score").val();
    let ([batch, steps, features], [_, columns]) = (input.dims(), weight.dims());
    input.reshape([batch * steps, features]).matmul(weight).reshape([batch, steps, columns])
}
