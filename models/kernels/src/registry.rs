//! The list of kernel families, and the functions that callers use.
//!
//! A later family is one more line here. Each function tries the families in order and returns `None` where none supports the
//! request or [`Engine::Reference`] rules kernels out; the caller then computes it with Burn's operations.

use burn::tensor::{DType, Device, Tensor};

use crate::cpu::Cpu;
use crate::execution::{Engine, Execution};
use crate::kernel::{Inputs, KernelFamily, LinearInputs, OutputInputs, Parameter, Request, Updated};
use crate::packed::PackedWeights;
use crate::stream::{OutputLayer, Stream};
use crate::update::{Rule, Step};

/// All families, the preferred one first.
static FAMILIES: [&dyn KernelFamily; 1] = [&Cpu];

/// The family of tensors of this type on this device.
fn family(device: &Device, dtype: DType, execution: Execution) -> Option<&'static dyn KernelFamily> {
    let mut families = FAMILIES.into_iter().filter(|_| execution.engine != Engine::Reference);
    families.find(|family| family.supports(device, dtype))
}

/// Whether there are kernels for tensors of this type on this device.
pub fn supports(device: &Device, dtype: DType) -> bool {
    family(device, dtype, Execution::default()).is_some()
}

/// Names of the cells that have a kernel in some family.
pub fn cells() -> Vec<&'static str> {
    FAMILIES.into_iter().flat_map(KernelFamily::cells).collect()
}

/// The family that has a kernel for a recurrent layer.
pub fn find(request: &Request, execution: Execution) -> Option<&'static dyn KernelFamily> {
    family(request.device, request.dtype, execution).filter(|family| family.supports_sequence(request))
}

/// Processes one sequence step by step; see [`KernelFamily::stream`].
///
/// # Panics
/// If a tensor that the cell needs is missing.
pub fn stream(cell: &'static str, inputs: Inputs, execution: Execution) -> Option<Stream> {
    let ([_, _, input_size], [_, hidden_size]) = (inputs.input.dims(), inputs.hidden.dims());
    let (device, dtype) = (inputs.weight_hh.device(), inputs.weight_hh.dtype());
    let request = Request { cell, device: &device, dtype, sizes: [1, 1, input_size, hidden_size] };
    find(&request, execution)?.stream(cell, inputs, execution)
}

/// The output layer y = x W + b of a stream, with `weight` `[features, classes]` and `bias` `[classes]`.
pub fn output_layer(weight: &Tensor<2>, bias: &Tensor<1>, execution: Execution) -> Option<OutputLayer> {
    family(&weight.device(), weight.dtype(), execution)?.output_layer(weight, bias, execution)
}

/// The linear layer y = x W + b, `[rows, classes]`, differentiable. One row gives the same bits alone and among others.
///
/// # Panics
/// If shapes do not match.
pub fn linear(inputs: LinearInputs, packed: &PackedWeights, execution: Execution) -> Option<Tensor<2>> {
    let LinearInputs { input, weight, bias } = inputs;
    let ([_, features], [rows, classes]) = (input.dims(), weight.dims());
    assert!(features == rows && bias.dims() == [classes], "[_, {features}] times [{rows}, {classes}]");
    family(&input.device(), input.dtype(), execution)?.linear(inputs, packed, execution)
}

/// Mean cross-entropy in nats, `[1]`, of the scores `hidden · weight + bias`, differentiable. If any input contains NaN or an
/// infinity, the loss is not finite.
///
/// # Panics
/// If shapes do not match, or a target is out of range.
pub fn mean_cross_entropy(inputs: &OutputInputs, execution: Execution) -> Option<Tensor<1>> {
    inputs.check();
    family(&inputs.hidden.device(), inputs.hidden.dtype(), execution)?.mean_cross_entropy(inputs, execution)
}

/// The mean of [`mean_cross_entropy`], and the number of rows whose target has the largest score. Not differentiable; keeps the
/// scores of a few rows at a time.
///
/// # Panics
/// As for [`mean_cross_entropy`].
pub fn evaluate_cross_entropy(inputs: &OutputInputs, execution: Execution) -> Option<(f64, usize)> {
    inputs.check();
    family(&inputs.hidden.device(), inputs.hidden.dtype(), execution)?.evaluate_cross_entropy(inputs, execution)
}

/// Σ x² in f64, which finite f32 values cannot overflow: finite if and only if all elements are.
pub fn sum_of_squares(tensor: &Tensor<1>, execution: Execution) -> Option<f64> {
    family(&tensor.device(), tensor.dtype(), execution)?.sum_of_squares(tensor, execution)
}

/// Whether all elements are finite.
pub fn is_finite(tensor: &Tensor<1>, execution: Execution) -> Option<bool> {
    family(&tensor.device(), tensor.dtype(), execution)?.is_finite(tensor, execution)
}

/// Computes a parameter and its state variables after an update, in one pass.
///
/// # Panics
/// If there is not one tensor for each state variable.
pub fn update(rule: Rule, step: Step, parameter: Parameter, execution: Execution) -> Option<Updated> {
    assert_eq!(parameter.state.len(), rule.state_variables(), "{rule:?} has other state variables");
    let (device, dtype) = (parameter.value.device(), parameter.value.dtype());
    family(&device, dtype, execution)?.update(rule, step, parameter, execution)
}
