//! Ensembles: networks of the same shape, whose predictions are averaged.

use burn::module::Module;
use seqzoo_kernels::Execution;

use super::{Classifier, Network};
use crate::dropout_key::DropoutKey;
use crate::names::{FieldNames, names};

/// One or several networks of the same shape with different initial weights and dropout masks, whose predictions are averaged
/// (Lakshminarayanan, Pritzel and Blundell, "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS 2017).
///
/// ```text
/// loss = mean over members of their losses      P(y | x) = mean over members of P_m(y | x)
/// ```
///
/// Each member learns from its own loss only; its gradient is divided by the number of members, which matters for SGD and for clipping by
/// norm, but not for Adam. Parameters of the first member have the names that they have in a network of its own; those
/// of the next ones start with `others.0.`, `others.1.` and so on.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::{Pooling, StackShape};
/// use seqzoo_models::networks::{Classifier, ClassifierShape, Ensemble};
///
/// let stack = StackShape::plain(Architecture::Gru, 8, vec![16]);
/// let (pooling, dropout, embedding_dropout) = (Pooling::Max, 0.0, 0.0);
/// let shape = ClassifierShape { vocabulary: 100, stack, pooling, labels: 3, dropout, embedding_dropout };
/// let ensemble = Ensemble::new(2, 1, |seed| Classifier::new(shape.clone(), seed, &Device::flex()));
/// let tokens = Tensor::<2, Int>::from_data([[5, 9, 2]], &Device::flex());
/// let logits = ensemble.each(None, |member, key| member.forward(tokens.clone(), &[3], key));
/// assert_eq!(logits.len(), 2);
/// assert_ne!(logits[0].to_data(), logits[1].to_data());
/// ```
#[derive(Module, Debug)]
pub struct Ensemble<N: Module> {
    first: N,
    others: Vec<N>,
}

/// The part of parameter names that leads to the members after the first.
const OTHERS: &str = "others";

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[names!(Ensemble<Classifier> { first: "", others: "others" })];

impl<N: Network> Ensemble<N> {
    /// An ensemble of `members` networks, at least one. `create` creates a network from a seed, which is `seed` for the first.
    pub fn new(members: usize, seed: u64, create: impl Fn(u64) -> N) -> Self {
        // Far from the seeds of other runs.
        let others = (1..members as u64).map(|member| create(seed.wrapping_add(member << 32)));
        Self { first: create(seed), others: others.collect() }
    }

    /// The first member.
    pub fn first(&self) -> &N {
        &self.first
    }

    /// The results of a function of each member and its dropout key.
    pub fn each<T>(&self, dropout_key: impl Into<DropoutKey>, function: impl Fn(&N, DropoutKey) -> T) -> Vec<T> {
        let dropout_key = dropout_key.into();
        let members = std::iter::once(&self.first).chain(&self.others);
        (0..).zip(members).map(|(member, network)| function(network, dropout_key.part(member << 56))).collect()
    }
}

impl<N: Network> Network for Ensemble<N> {
    fn set_execution(&mut self, execution: Execution) {
        self.first.set_execution(execution);
        self.others.iter_mut().for_each(|member| member.set_execution(execution));
    }
}

/// The name of a parameter within its member: without `others.0.` and the like.
///
/// ```
/// use seqzoo_models::networks::name_in_member;
///
/// assert_eq!(name_in_member("embedding.weight"), "embedding.weight");
/// assert_eq!(name_in_member("others.3.embedding.weight"), "embedding.weight");
/// ```
pub fn name_in_member(name: &str) -> &str {
    let inner = name.strip_prefix(OTHERS).and_then(|rest| rest.strip_prefix('.'));
    inner.and_then(|rest| rest.split_once('.')).map_or(name, |(_, name)| name)
}
