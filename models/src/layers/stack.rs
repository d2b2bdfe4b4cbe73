//! Stacked recurrent layers with skip connections.

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use seqzoo_kernels::{Execution, Lengths, Stream};
use seqzoo_random::Key;
use serde::{Deserialize, Serialize};

use super::{Architecture, LayerOptions, LayerState, Linear, Recurrent, Regularization, dropout};
use crate::cell::zero_padding;
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::names::{FieldNames, names};

/// Skip connection around each layer, from its input x and its output h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Skip {
    /// No skip connection: h.
    #[default]
    None,
    /// Residual connection: h + x (He et al. 2016).
    Residual,
    /// Highway connection: g ⊙ h + (1 − g) ⊙ x with the gate g = σ(x W_g + b_g); b_g is initialized to −1 (Srivastava et al. 2015).
    Highway,
    /// Dense connection: [x ; h], so that each layer's input is the concatenation of the stack's input and the outputs of all lower layers
    /// (Huang et al. 2017).
    Dense,
}

/// The sizes and dropout rates of a [`Stack`].
#[derive(Debug, Clone, PartialEq)]
pub struct StackShape {
    /// Cell and directions.
    pub architecture: Architecture,
    /// Number of input features.
    pub input_size: usize,
    /// Hidden size of each layer, per direction, first layer first.
    pub hidden_sizes: Vec<usize>,
    /// Skip connections.
    pub skip: Skip,
    /// Whether residual and highway connections between different sizes use a linear projection.
    pub projection: bool,
    /// Regularization rates.
    pub rates: RegularizationRates,
}

/// Regularization rates of a stack, each in [0, 1).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RegularizationRates {
    /// Variational (locked) dropout rate of the stack's input, with the same mask at each time step.
    pub input_dropout: f64,
    /// Dropout rate between layers, with a new mask at each time step.
    pub dropout: f64,
    /// Variational (locked) dropout rate between layers, with the same mask at each time step.
    pub locked_dropout: f64,
    /// Dropout rate of the recurrent weights (DropConnect).
    pub recurrent_dropout: f64,
    /// Zoneout rate of the state.
    pub zoneout: f64,
}

/// Stack of recurrent layers with optional skip connections around every layer, the first included.
///
/// ```text
/// none      x_{l+1} = h_l                               residual  x_{l+1} = h_l + x_l
/// highway   x_{l+1} = g ⊙ h_l + (1 − g) ⊙ x_l           g = σ(x_l W_g + b_g)
/// dense     x_{l+1} = [x_l ; h_l]; the stack's output is the last h
/// ```
///
/// x_1 is the input, `[batch, time, input_size]`; h_l is `[batch, time, directions · hidden_sizes[l]]`. If the sizes of
/// x_l and h_l differ, residual and highway connections first project x_l linearly, which `projection` must allow.
///
/// Differences from PyTorch's multilayer RNNs: hidden sizes may differ between layers; skip connections, variational
/// dropout, DropConnect and zoneout are available.
///
/// Residual: He et al., CVPR 2016; highway: Srivastava et al., "Training very deep networks", NIPS 2015; dense: Huang
/// et al., CVPR 2017.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::layers::{Skip, Stack, StackShape};
/// use seqzoo_models::{Architecture, Key, Purpose};
///
/// let device = Device::flex();
/// let shape = StackShape { skip: Skip::Residual, ..StackShape::plain(Architecture::BiGru, 8, vec![4, 4]) };
/// let stack = Stack::new(shape, Key::new(1, Purpose::Weights), &device);
/// let output = stack.forward(Tensor::ones([2, 5, 8], &device), &[5, 2], None, None);
/// assert_eq!((output.outputs.dims(), output.states.len()), ([2, 5, 8], 2));
/// ```
#[derive(Module, Debug)]
pub struct Stack {
    layers: Vec<Recurrent>,
    projections: Vec<Option<Linear>>,
    gates: Vec<Linear>,
    #[module(skip)]
    shape: StackShape,
    #[module(skip)]
    execution: Execution,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] =
    &[names!(Stack { layers: "layers", projections: "projections", gates: "gates" })];

/// Output of a stack.
#[derive(Debug, Clone)]
pub struct StackOutput {
    /// Outputs of the last layer, `[batch, time, output_size]`; zero at padding.
    pub outputs: Tensor<3>,
    /// Final state of each layer, first layer first.
    pub states: Vec<LayerState>,
}

impl StackShape {
    /// Layers without skip connections or regularization.
    pub fn plain(architecture: Architecture, input_size: usize, hidden_sizes: Vec<usize>) -> Self {
        let rates = RegularizationRates::default();
        Self { architecture, input_size, hidden_sizes, skip: Skip::None, projection: false, rates }
    }

    /// Number of output features.
    ///
    /// # Panics
    /// If there is no layer.
    pub fn output_size(&self) -> usize {
        self.architecture.directions() * self.hidden_sizes.last().expect("a stack has a layer")
    }

    /// Number of parameters of all cells, without skip connections; `u128`, so that no size overflows.
    pub fn parameters(&self) -> u128 {
        let directions = self.architecture.directions() as u128;
        let (mut below, mut total) = (self.input_size as u128, 0);
        for &hidden_size in &self.hidden_sizes {
            let width = hidden_size as u128 * directions;
            let info = self.architecture.info();
            total += width * (info.gates as u128 * (below + hidden_size as u128 + 1) + info.other_parameters as u128);
            below = if self.skip == Skip::Dense { below + width } else { width };
        }
        total
    }

    /// Checks sizes, rates, and that the sizes match the skip connections.
    ///
    /// # Errors
    /// The first invalid field: `input_size`, `hidden_sizes`, or a dropout or zoneout rate.
    pub fn check(&self) -> Result<(), InvalidShape> {
        positive("input_size", self.input_size)?;
        if self.hidden_sizes.is_empty() {
            return Err(InvalidShape::new("hidden_sizes", "a stack needs at least one layer"));
        }
        self.hidden_sizes.iter().try_for_each(|&size| positive("hidden_sizes", size))?;
        let RegularizationRates { input_dropout, dropout, locked_dropout, recurrent_dropout, zoneout } = self.rates;
        let rates = [
            ("input_dropout", input_dropout),
            ("dropout", dropout),
            ("locked_dropout", locked_dropout),
            ("recurrent_dropout", recurrent_dropout),
            ("zoneout", zoneout),
        ];
        rates.into_iter().try_for_each(|(field, value)| probability(field, value))?;
        let adds = matches!(self.skip, Skip::Residual | Skip::Highway);
        let mut below = self.input_size;
        for (layer, &hidden_size) in (1..).zip(&self.hidden_sizes) {
            let width = hidden_size * self.architecture.directions();
            if adds && width != below && !self.projection {
                let reason = format!(
                    "the skip connection around layer {layer} joins {below} features to {width}; \
                     use equal sizes or enable `projection`"
                );
                return Err(InvalidShape::new("hidden_sizes", reason));
            }
            below = width;
        }
        Ok(())
    }

    /// As [`StackShape::check`], for a network that must be unidirectional.
    ///
    /// # Errors
    /// Also the field `architecture`, if it is bidirectional; `purpose` names what it would see, such as "the tokens
    /// that a language model predicts".
    pub fn check_unidirectional(&self, purpose: &str) -> Result<(), InvalidShape> {
        self.check()?;
        let reason = || {
            let name = self.architecture.name();
            format!("{name} is bidirectional and would see {purpose}; use a unidirectional architecture")
        };
        if self.architecture.directions() == 1 { Ok(()) } else { Err(InvalidShape::new("architecture", reason())) }
    }
}

impl Stack {
    /// A stack with initial weights drawn from `key`.
    ///
    /// # Panics
    /// If [`StackShape::check`] fails.
    pub fn new(shape: StackShape, key: Key, device: &Device) -> Self {
        expect_valid(shape.check());
        let directions = shape.architecture.directions();
        let (layers, projections, gates, execution) = (Vec::new(), Vec::new(), Vec::new(), Execution::default());
        let mut stack = Self { layers, projections, gates, shape: shape.clone(), execution };
        let mut below = shape.input_size;
        for (layer, &hidden_size) in (0..).zip(&shape.hidden_sizes) {
            let key = key.with_first(key.first() + (layer << 8));
            stack.layers.push(shape.architecture.build(below, hidden_size, key, device));
            let width = hidden_size * directions;
            let joins = matches!(shape.skip, Skip::Residual | Skip::Highway);
            let projected = joins && below != width;
            stack.projections.push(projected.then(|| Linear::new(below, width, 0.0, key.offset(100), device)));
            if shape.skip == Skip::Highway {
                stack.gates.push(Linear::new(width, width, HIGHWAY_BIAS, key.offset(101), device));
            }
            below = if shape.skip == Skip::Dense { below + width } else { width };
        }
        stack
    }

    /// Sizes and rates.
    pub fn shape(&self) -> &StackShape {
        &self.shape
    }

    /// How the layers are computed; [`Execution::default`] unless set.
    pub fn execution(&self) -> Execution {
        self.execution
    }

    /// Sets how the layers are computed.
    pub fn set_execution(&mut self, execution: Execution) {
        self.execution = execution;
        let linear = self.projections.iter_mut().flatten().chain(&mut self.gates);
        linear.for_each(|linear| linear.set_execution(execution));
    }

    /// The same stack with another [`Execution`].
    pub fn with_execution(mut self, execution: Execution) -> Self {
        self.set_execution(execution);
        self
    }

    /// Applies the stack to `input`, `[batch, time, input_size]`, with `lengths` valid time steps per row.
    ///
    /// `initial` has one state per layer; `None` means zeros. `dropout_key` is the key of this step's dropout masks;
    /// `None` at inference.
    ///
    /// # Panics
    /// If `initial` does not have one state per layer, or as [`unroll`](crate::cell::unroll) does.
    pub fn forward(
        &self,
        input: Tensor<3>,
        lengths: impl Into<Lengths>,
        initial: Option<Vec<LayerState>>,
        dropout_key: impl Into<DropoutKey>,
    ) -> StackOutput {
        self.forward_with_hidden_offset(input, lengths, initial, dropout_key, None)
    }

    /// As [`Stack::forward`], with a tensor added to the hidden states of the first layer, see
    /// [`UnrollOptions::hidden_offset`](crate::cell::UnrollOptions::hidden_offset).
    ///
    /// # Panics
    /// As [`Stack::forward`].
    pub fn forward_with_hidden_offset(
        &self,
        input: Tensor<3>,
        lengths: impl Into<Lengths>,
        initial: Option<Vec<LayerState>>,
        dropout_key: impl Into<DropoutKey>,
        mut hidden_offset: Option<Tensor<3>>,
    ) -> StackOutput {
        let (rates, lengths, dropout_key) = (self.shape.rates, lengths.into(), dropout_key.into());
        let mut initial = initial.map(|states| {
            assert_eq!(states.len(), self.layers.len(), "initial states must match the number of layers");
            states.into_iter()
        });
        let (mut x, mut top, mut states) = (zero_padding(input, &lengths), None, Vec::new());
        for (index, layer) in self.layers.iter().enumerate() {
            let dropout_key = dropout_key.part((1 + index as u64) << 40);
            // Dropout applies to the layer's input, not to the skip connection.
            let dropped = match index {
                0 => dropout::locked_dropout(x.clone(), rates.input_dropout, dropout_key.offset(1 << 22)),
                _ => {
                    let dropped = dropout::dropout(x.clone(), rates.dropout, dropout_key.offset(1 << 20));
                    dropout::locked_dropout(dropped, rates.locked_dropout, dropout_key.offset(1 << 21))
                }
            };
            let RegularizationRates { recurrent_dropout, zoneout, .. } = rates;
            let regularization = Regularization { recurrent_dropout, zoneout, dropout_key };
            let state = initial.as_mut().and_then(Iterator::next);
            let (lengths, execution) = (lengths.clone(), self.execution);
            let options = LayerOptions {
                lengths: lengths.clone(),
                initial_state: state,
                regularization,
                hidden_offset: hidden_offset.take(),
                execution,
            };
            let output = layer.forward(dropped, options);
            states.push(output.state);
            top = Some(output.outputs.clone());
            x = self.connect(index, x, output.outputs, &lengths);
        }
        let outputs = if self.shape.skip == Skip::Dense { top.expect("a stack has a layer") } else { x };
        StackOutput { outputs, states }
    }

    /// Starts a stream over one sequence, from `initial` states or from zeros, without regularization; `None` if a
    /// layer cannot stream ([`SequenceLayer::stream`](super::SequenceLayer::stream)) or the stack has skip connections.
    ///
    /// # Panics
    /// If `initial` does not have one state per layer.
    pub fn stream(&self, initial: Option<Vec<LayerState>>) -> Option<StackStream> {
        let states = match initial {
            Some(states) => states.into_iter().map(Some).collect(),
            None => vec![None; self.layers.len()],
        };
        assert_eq!(states.len(), self.layers.len(), "initial states must match the number of layers");
        let layers = self.layers.iter().zip(states).map(|(layer, state)| layer.stream(state, self.execution));
        let layers: Option<Vec<_>> = if self.shape.skip == Skip::None { layers.collect() } else { None };
        layers.map(|layers| StackStream { layers })
    }

    /// The next layer's input, from this layer's input `x` and output `h`.
    fn connect(&self, layer: usize, x: Tensor<3>, h: Tensor<3>, lengths: &Lengths) -> Tensor<3> {
        let projected = |x: Tensor<3>| match &self.projections[layer] {
            Some(projection) => projection.forward(x),
            None => x,
        };
        let y = match self.shape.skip {
            Skip::None => return h,
            Skip::Residual => h + projected(x),
            Skip::Highway => {
                let x = projected(x);
                let g = sigmoid(self.gates[layer].forward(x.clone()));
                x.clone() + g * (h - x)
            }
            Skip::Dense => Tensor::cat(vec![x, h], 2),
        };
        zero_padding(y, lengths)
    }
}

/// A stack that processes one sequence step by step, on a CPU without allocating.
#[derive(Debug)]
pub struct StackStream {
    layers: Vec<Stream>,
}

impl StackStream {
    /// Processes one time step, `[input_size]`, and returns the last layer's hidden state, `[output_size]`.
    ///
    /// # Panics
    /// If `input` has another length.
    pub fn step(&mut self, input: &[f32]) -> &[f32] {
        let (first, above) = self.layers.split_first_mut().expect("a stack has a layer");
        above.iter_mut().fold(first.step(input), |below, layer| layer.step(below))
    }

    /// A copy of the state of each layer, to continue from later.
    pub fn states(&self) -> Vec<StreamState> {
        let state = |layer: &Stream| StreamState { hidden: layer.hidden().to_vec(), cell: layer.cell().to_vec() };
        self.layers.iter().map(state).collect()
    }

    /// Continues from other states, one per layer.
    ///
    /// # Panics
    /// If their number or sizes differ.
    pub fn set_states(&mut self, states: &[StreamState]) {
        assert_eq!(states.len(), self.layers.len(), "states must match the number of layers");
        self.layers.iter_mut().zip(states).for_each(|(layer, state)| layer.set_state(&state.hidden, &state.cell));
    }
}

/// State of a layer of a [`StackStream`].
#[derive(Debug, Clone, PartialEq)]
pub struct StreamState {
    /// Hidden state, `[hidden_size]`.
    pub hidden: Vec<f32>,
    /// Cell state, `[hidden_size]`; empty if the cell has none.
    pub cell: Vec<f32>,
}

/// Initial bias of highway gates; negative, so that the layers initially pass their input through (Srivastava et al.
/// 2015).
const HIGHWAY_BIAS: f32 = -1.0;
