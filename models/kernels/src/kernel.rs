//! The contract of kernels.
//!
//! A [`KernelFamily`] computes fused operations on one kind of device. It declares which requests it supports; for any other
//! request, the caller gets `None` and computes with Burn's own operations, so kernels change speed and nothing else.
//!
//! For recurrent cells:
//!
//! - *Inputs* ([`Inputs`]): `[batch, time, input_size]` with [`Lengths`], the cell's weights, an initial state, a direction.
//! - *Packed weights* ([`PackedWeights`]): a value that the layer keeps, so that a family packs weights once for many calls.
//! - *Outputs* ([`Outputs`]): hidden states `[batch, time, hidden_size]`, zero at padding, and the state after each row's last valid
//!   step. Padding is never read.
//! - *Saved buffers*: whatever the family's backward pass needs besides inputs and outputs belongs to the family, lives in the autodiff
//!   graph and is released with it. [`Activations`](crate::Activations) bounds it.
//! - *Accuracy*: outputs within 1e-5 and gradients within 1e-4 of the largest magnitude of the readable loop's. The same inputs give
//!   the same bits for a given number of threads.
//! - *Supports*: a cell by its name in [`Request`], with the element type, the device and the sizes.

use std::fmt::Debug;

use burn::tensor::{DType, Device, Tensor};

use crate::execution::Execution;
use crate::lengths::Lengths;
use crate::packed::PackedWeights;
use crate::stream::{OutputLayer, Stream};
use crate::update::{Rule, Step};

/// A recurrent layer to compute.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Name of the cell, as in the list of architectures.
    pub cell: &'static str,
    /// Where the input is.
    pub device: &'a Device,
    /// Element type of input and weights.
    pub dtype: DType,
    /// Batch, time, input size, hidden size.
    pub sizes: [usize; 4],
}

/// Parameters of the last gate of a GRU.
#[derive(Debug, Clone)]
pub enum Extra {
    /// None: all other cells.
    None,
    /// The bias of the recurrent product, inside the reset gate's reach, `[hidden_size]`.
    Bias(Tensor<1>),
    /// Recurrent weights of the candidate, `[hidden_size, hidden_size]`.
    Weights(Tensor<2>),
}

/// Inputs of a cell over whole sequences.
#[derive(Debug)]
pub struct Inputs {
    /// `[batch, time, input_size]`; padding is never read.
    pub input: Tensor<3>,
    /// `[input_size, gates · hidden_size]`.
    pub weight_ih: Tensor<2>,
    /// `[gates · hidden_size]`.
    pub bias: Tensor<1>,
    /// `[hidden_size, gates · hidden_size]`; one gate less if the cell's [`Extra`] holds its weights.
    pub weight_hh: Tensor<2>,
    /// Parameters that only some cells have.
    pub extra: Extra,
    /// The hidden state before the first step, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// The cell state before the first step, if there is one.
    pub cell: Option<Tensor<2>>,
    /// Packed weights that the layer keeps from call to call.
    pub packed: PackedWeights,
}

/// Outputs of a cell over whole sequences.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Hidden states after each step, `[batch, time, hidden_size]`; zero at padding.
    pub outputs: Tensor<3>,
    /// After each row's last valid step in the direction of processing, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// The same for the cell state, if there is one.
    pub cell: Option<Tensor<2>>,
}

/// The kernels for one kind of device.
///
/// Methods that return an option return `None` for tensors that the family does not support.
pub trait KernelFamily: Debug + Sync {
    /// The name in reports.
    fn name(&self) -> &'static str;

    /// Whether tensors of this type on this device are supported at all.
    fn supports(&self, device: &Device, dtype: DType) -> bool;

    /// Names of the cells that have a kernel.
    fn cells(&self) -> Vec<&'static str>;

    /// Whether there is a kernel for a recurrent cell.
    fn supports_sequence(&self, request: &Request) -> bool;

    /// Computes a cell over whole sequences, differentiable in all inputs. With `reversed`, each sequence is processed from its last
    /// valid step to its first.
    ///
    /// # Panics
    /// If the request is not [supported](KernelFamily::supports_sequence), or a tensor that the cell needs is missing.
    fn sequence(&self, cell: &str, inputs: Inputs, lengths: &Lengths, reversed: bool, execution: Execution) -> Outputs;

    /// Processes one sequence step by step, starting from the state in `inputs`, whose `input` only gives the number of features:
    /// `[1, 0.., input_size]`.
    fn stream(&self, _cell: &str, _inputs: Inputs, _execution: Execution) -> Option<Stream> {
        None
    }

    /// The output layer of a stream, with `weight` `[features, classes]` and `bias` `[classes]`.
    fn output_layer(&self, _weight: &Tensor<2>, _bias: &Tensor<1>, _execution: Execution) -> Option<OutputLayer> {
        None
    }

    /// See [`linear`](crate::linear).
    fn linear(&self, _inputs: LinearInputs, _packed: &PackedWeights, _execution: Execution) -> Option<Tensor<2>> {
        None
    }

    /// See [`mean_cross_entropy`](crate::mean_cross_entropy).
    fn mean_cross_entropy(&self, _inputs: &OutputInputs, _execution: Execution) -> Option<Tensor<1>> {
        None
    }

    /// See [`evaluate_cross_entropy`](crate::evaluate_cross_entropy).
    fn evaluate_cross_entropy(&self, _inputs: &OutputInputs, _execution: Execution) -> Option<(f64, usize)> {
        None
    }

    /// See [`sum_of_squares`](crate::sum_of_squares).
    fn sum_of_squares(&self, _tensor: &Tensor<1>, _execution: Execution) -> Option<f64> {
        None
    }

    /// See [`is_finite`](crate::is_finite).
    fn is_finite(&self, _tensor: &Tensor<1>, _execution: Execution) -> Option<bool> {
        None
    }

    /// See [`update`](crate::update()).
    fn update(&self, _rule: Rule, _step: Step, _parameter: Parameter, _execution: Execution) -> Option<Updated> {
        None
    }
}

/// Inputs of a linear layer.
#[derive(Debug, Clone, Copy)]
pub struct LinearInputs<'a> {
    /// `[rows, features]`
    pub input: &'a Tensor<2>,
    /// `[features, classes]`
    pub weight: &'a Tensor<2>,
    /// `[classes]`
    pub bias: &'a Tensor<1>,
}

/// Inputs of an output layer with cross-entropy.
#[derive(Debug)]
pub struct OutputInputs {
    /// `[rows, features]`
    pub hidden: Tensor<2>,
    /// `[features, classes]`
    pub weight: Tensor<2>,
    /// `[classes]`
    pub bias: Tensor<1>,
    /// The target class of each row.
    pub targets: Vec<u32>,
}

impl OutputInputs {
    /// # Panics
    /// If shapes do not match, or a target is out of range.
    pub(crate) fn check(&self) {
        let Self { hidden, weight, bias, targets } = self;
        let ([rows, features], [inputs, classes]) = (hidden.dims(), weight.dims());
        let valid = rows == targets.len() && features == inputs && bias.dims() == [classes] && rows > 0;
        assert!(valid, "[{rows}, {features}] times [{inputs}, {classes}] for {} targets", targets.len());
        assert!(targets.iter().all(|&target| (target as usize) < classes), "targets are less than {classes}");
    }
}

/// A parameter that an optimizer updates.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'a> {
    /// Its value.
    pub value: &'a Tensor<1>,
    /// Its gradient.
    pub gradient: &'a Tensor<1>,
    /// The optimizer's state variables for it.
    pub state: &'a [Tensor<1>],
}

/// A parameter after an update.
#[derive(Debug)]
pub struct Updated {
    /// Its value.
    pub value: Tensor<1>,
    /// The optimizer's state variables for it.
    pub state: Vec<Tensor<1>>,
}
