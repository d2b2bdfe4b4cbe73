//! The CPU's kernels behind the contract.

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Tensor};

use super::cells::{self, SequenceKernel};
use super::cross_entropy::{self, CrossEntropyOps};
use super::elementwise::SeparateGate;
use super::linear::{LinearCall, LinearOps};
use super::operation::{Call, SequenceOps};
use super::output_layer::PackedOutputLayer;
use super::packed_weights::{PackedLinear, PackedRecurrent, WeightSources};
use super::schedule::Shape;
use super::sequence::Inputs as Slices;
use super::slices::CpuSlice;
use super::update;
use crate::backend::is_cpu;
use crate::execution::Execution;
use crate::kernel::{Extra, Inputs, KernelFamily, LinearInputs, OutputInputs, Outputs, Parameter, Request, Updated};
use crate::lengths::Lengths;
use crate::packed::PackedWeights;
use crate::stream::{OutputLayer, Stream};
use crate::update::{Rule, Step};

/// Kernels for f32 tensors of Burn's CPU backends, of any size.
#[derive(Debug)]
pub(crate) struct Cpu;

/// The kernel of a cell.
///
/// # Panics
/// If there is none.
fn kernel(cell: &str) -> &'static dyn SequenceKernel {
    cells::find(cell).unwrap_or_else(|| panic!("there is no CPU kernel for {cell}"))
}

/// The elements of a tensor, with or without gradients.
fn on_cpu<const D: usize>(tensor: Tensor<D>) -> Option<CpuSlice> {
    CpuSlice::of(&tensor.without_autodiff())
}

fn check_cell_state(kernel: &dyn SequenceKernel, cell: Option<&Tensor<2>>) {
    let name = kernel.cell();
    assert!(cell.is_some() == kernel.has_cell_state(), "{name} takes a cell state if and only if it has one");
}

impl KernelFamily for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn supports(&self, device: &Device, dtype: DType) -> bool {
        dtype == DType::F32 && is_cpu(device)
    }

    fn cells(&self) -> Vec<&'static str> {
        cells::names()
    }

    fn supports_sequence(&self, request: &Request) -> bool {
        self.supports(request.device, request.dtype) && cells::find(request.cell).is_some()
    }

    fn sequence(&self, cell: &str, inputs: Inputs, lengths: &Lengths, reversed: bool, execution: Execution) -> Outputs {
        let kernel = kernel(cell);
        let Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell, packed } = inputs;
        let ([batch, time, features], [_, h]) = (input.dims(), hidden.dims());
        let lengths = lengths.clone();
        let shape = Shape { batch, time, input: features, hidden: h, lengths, reversed };
        check_cell_state(kernel, cell.as_ref());
        let none = Tensor::<1>::zeros([1], &input.device());
        let extra = match (kernel.separate_gate(), extra) {
            (SeparateGate::None, Extra::None) => none.clone().into_dispatch(),
            (SeparateGate::Product, Extra::Bias(bias)) => bias.into_dispatch(),
            (SeparateGate::Factor, Extra::Weights(weights)) => weights.into_dispatch(),
            (_, extra) => panic!("{} does not take {extra:?}", kernel.cell()),
        };
        let (outputs, hidden, cell) = Dispatch::sequence(
            input.into_dispatch(),
            weight_ih.into_dispatch(),
            bias.into_dispatch(),
            weight_hh.into_dispatch(),
            extra,
            hidden.into_dispatch(),
            cell.map_or_else(|| none.into_dispatch(), Tensor::into_dispatch),
            Call { kernel, shape, execution, packed: packed.get::<PackedRecurrent>() },
            None,
        );
        Outputs {
            outputs: Tensor::from_dispatch(outputs),
            hidden: Tensor::from_dispatch(hidden),
            cell: kernel.has_cell_state().then(|| Tensor::from_dispatch(cell)),
        }
    }

    fn stream(&self, cell: &str, inputs: Inputs, execution: Execution) -> Option<Stream> {
        let kernel = kernel(cell);
        let Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell, packed } = inputs;
        let ([batch, h], [.., features]) = (hidden.dims(), input.dims());
        assert_eq!(batch, 1, "a stream is one sequence");
        check_cell_state(kernel, cell.as_ref());
        let none = || Tensor::<1>::zeros([1], &hidden.device());
        let extra = match extra {
            Extra::None => on_cpu(none())?,
            Extra::Bias(bias) => on_cpu(bias)?,
            Extra::Weights(weights) => on_cpu(weights)?,
        };
        let cell = cell.map(on_cpu);
        let cell = match &cell {
            Some(cell) => cell.as_ref()?.slice(),
            None => &[],
        };
        let (weight_ih, bias, weight_hh, hidden) =
            (on_cpu(weight_ih)?, on_cpu(bias)?, on_cpu(weight_hh)?, on_cpu(hidden.clone())?);
        let inputs = Slices {
            input: &[],
            weight_ih: weight_ih.slice(),
            bias: bias.slice(),
            weight_hh: weight_hh.slice(),
            extra: extra.slice(),
            hidden: hidden.slice(),
            cell,
        };
        let lengths = Lengths::full(1, 1);
        let shape = Shape { batch, time: 1, input: features, hidden: h, lengths, reversed: false };
        let packed = packed.get::<PackedRecurrent>();
        let sources = WeightSources::new(kernel.separate_gate(), [&weight_ih, &weight_hh, &extra], &packed);
        Some(Stream::new(kernel.stepper(&shape, &inputs, sources, execution)))
    }

    fn output_layer(&self, weight: &Tensor<2>, bias: &Tensor<1>, execution: Execution) -> Option<OutputLayer> {
        let [features, _] = weight.dims();
        let (weight, bias) = (CpuSlice::of(weight)?, CpuSlice::of(bias)?);
        Some(OutputLayer::new(Box::new(PackedOutputLayer::new(&weight, &bias, features, execution))))
    }

    fn linear(&self, inputs: LinearInputs, packed: &PackedWeights, execution: Execution) -> Option<Tensor<2>> {
        let LinearInputs { input, weight, bias } = inputs;
        let ([count, features], [_, classes]) = (input.dims(), weight.dims());
        let call = LinearCall { execution, packed: packed.get::<PackedLinear>(), sizes: [count, features, classes] };
        let [input, weight] = [input, weight].map(|tensor| tensor.clone().into_dispatch());
        Some(Tensor::from_dispatch(Dispatch::linear_forward(input, weight, bias.clone().into_dispatch(), call)))
    }

    fn mean_cross_entropy(&self, inputs: &OutputInputs, execution: Execution) -> Option<Tensor<1>> {
        let OutputInputs { hidden, weight, bias, targets } = inputs;
        Some(Tensor::from_dispatch(Dispatch::cross_entropy(
            hidden.clone().into_dispatch(),
            weight.clone().into_dispatch(),
            bias.clone().into_dispatch(),
            targets.clone(),
            execution,
        )))
    }

    fn evaluate_cross_entropy(&self, inputs: &OutputInputs, execution: Execution) -> Option<(f64, usize)> {
        cross_entropy::evaluate(inputs, execution)
    }

    fn sum_of_squares(&self, tensor: &Tensor<1>, execution: Execution) -> Option<f64> {
        Some(update::sum_of_squares(CpuSlice::of(tensor)?.slice(), execution))
    }

    fn is_finite(&self, tensor: &Tensor<1>, execution: Execution) -> Option<bool> {
        Some(update::is_finite(CpuSlice::of(tensor)?.slice(), execution))
    }

    fn update(&self, rule: Rule, step: Step, parameter: Parameter, execution: Execution) -> Option<Updated> {
        update::update(rule, step, parameter, execution)
    }
}
