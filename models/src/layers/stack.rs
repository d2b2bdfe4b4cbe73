//! Recurrent layers on top of each other, with skip connections.

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{Execution, Lengths, Stream};
use seqzoo_random::Key;
use serde::{Deserialize, Serialize};

use super::{LayerState, Linear, Noise, Passage, dropout};
use crate::architecture::{Architecture, Recurrent};
use crate::cell::without_padding;
use crate::invalid_shape::{InvalidShape, expect_fit, positive, rate};

/// What a layer hands on beside its own reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Skip {
    /// h: its reading alone.
    #[default]
    None,
    /// h + x.
    Residual,
    /// g ⊙ h + (1 − g) ⊙ x with g = σ(x W_g + b_g), b_g = −1 at first.
    Highway,
    /// h; but every layer reads the input and the readings of all lower layers side by side.
    Dense,
}

/// The sizes and rates of a [`Stack`].
#[derive(Debug, Clone, PartialEq)]
pub struct StackShape {
    /// Which cell reads, and in which directions.
    pub architecture: Architecture,
    /// Features of the input.
    pub input_size: usize,
    /// Features of each layer's hidden state, per direction, the lowest layer first.
    pub hidden_sizes: Vec<usize>,
    /// What layers hand on.
    pub skip: Skip,
    /// Whether a linear map is put in where residual or highway connections meet differing widths.
    pub projection: bool,
    /// What disturbs training.
    pub rates: StackRates,
}

/// Rates in [0, 1) of what disturbs the training of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StackRates {
    /// Dropout between layers, a new mask at each step.
    pub dropout: f64,
    /// Dropout between layers, the same mask at each step.
    pub locked: f64,
    /// Dropout of recurrent weights.
    pub recurrent: f64,
    /// Zoneout of states.
    pub zoneout: f64,
}

/// Layer l reads what layer l − 1 hands on; skip connections lead around every layer, the lowest included.
///
/// ```text
/// none      x_{l+1} = h_l                               residual  x_{l+1} = h_l + x_l
/// highway   x_{l+1} = g ⊙ h_l + (1 − g) ⊙ x_l           g = σ(x_l W_g + b_g)
/// dense     x_{l+1} = [x_l ; h_l], the stack's output is the top h
/// ```
///
/// Where residual and highway connections meet differing widths, x_l is first mapped linearly, if `projection` allows it.
/// Residual: He et al., CVPR 2016; highway: Srivastava et al., "Training very deep networks", NIPS 2015; dense: Huang et
/// al., CVPR 2017.
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

/// What a stack makes of a sequence.
#[derive(Debug, Clone)]
pub struct StackReading {
    /// `[batch, time, output_size]`; zero at padding.
    pub outputs: Tensor<3>,
    /// The state of each layer after the whole sequence, the lowest first.
    pub states: Vec<LayerState>,
}

impl StackShape {
    /// Layers of one width without skip connections or noise.
    pub fn plain(architecture: Architecture, input_size: usize, hidden_sizes: Vec<usize>) -> Self {
        let rates = StackRates::default();
        Self { architecture, input_size, hidden_sizes, skip: Skip::None, projection: false, rates }
    }

    /// Features that the stack hands on.
    ///
    /// # Panics
    /// If there is no layer.
    pub fn output_size(&self) -> usize {
        self.architecture.directions() * self.hidden_sizes.last().expect("a stack has a layer")
    }

    /// Parameters of all cells, skip connections not counted; exact however large.
    pub fn parameters(&self) -> u128 {
        let directions = self.architecture.directions() as u128;
        let (mut below, mut total) = (self.input_size as u128, 0);
        for &hidden_size in &self.hidden_sizes {
            let width = hidden_size as u128 * directions;
            let card = self.architecture.card();
            total += width * (card.gates as u128 * (below + hidden_size as u128 + 1) + card.own as u128);
            below = if self.skip == Skip::Dense { below + width } else { width };
        }
        total
    }

    /// Whether sizes and rates make sense and the widths fit the skip connections.
    ///
    /// # Errors
    /// The field that does not: `input_size`, `hidden_sizes`, or a rate.
    pub fn check(&self) -> Result<(), InvalidShape> {
        positive("input_size", self.input_size)?;
        if self.hidden_sizes.is_empty() {
            return Err(InvalidShape::new("hidden_sizes", "a stack needs at least one layer"));
        }
        self.hidden_sizes.iter().try_for_each(|&size| positive("hidden_sizes", size))?;
        let StackRates { dropout, locked, recurrent, zoneout } = self.rates;
        let rates = [("dropout", dropout), ("locked", locked), ("recurrent", recurrent), ("zoneout", zoneout)];
        rates.into_iter().try_for_each(|(field, value)| rate(field, value))?;
        let meets = matches!(self.skip, Skip::Residual | Skip::Highway);
        let mut below = self.input_size;
        for (layer, &hidden_size) in (1..).zip(&self.hidden_sizes) {
            let width = hidden_size * self.architecture.directions();
            if meets && width != below && !self.projection {
                let reason = format!(
                    "the skip connection around layer {layer} joins {below} features to {width}; \
                     make them equal, or allow a projection"
                );
                return Err(InvalidShape::new("hidden_sizes", reason));
            }
            below = width;
        }
        Ok(())
    }

    /// As [`StackShape::check`], for a network that must not see what comes later.
    ///
    /// # Errors
    /// Also the field `architecture`, if it reads both ways; `purpose` says what it would see, such as "the tokens that a
    /// language model is to predict".
    pub fn check_forward(&self, purpose: &str) -> Result<(), InvalidShape> {
        self.check()?;
        let reason = || {
            let name = self.architecture.name();
            format!("{name} reads backward too, and so sees {purpose}; name an architecture that reads forward alone")
        };
        if self.architecture.directions() == 1 { Ok(()) } else { Err(InvalidShape::new("architecture", reason())) }
    }
}

impl Stack {
    /// A stack with initial weights drawn from `key`.
    ///
    /// # Panics
    /// If [`StackShape::check`] refuses the shape.
    pub fn new(shape: StackShape, key: Key, device: &Device) -> Self {
        expect_fit(shape.check());
        let directions = shape.architecture.directions();
        let (layers, projections, gates, execution) = (Vec::new(), Vec::new(), Vec::new(), Execution::default());
        let mut stack = Self { layers, projections, gates, shape: shape.clone(), execution };
        let mut below = shape.input_size;
        for (layer, &hidden_size) in (0..).zip(&shape.hidden_sizes) {
            let key = key.at(key.first() + (layer << 8));
            stack.layers.push(shape.architecture.build(below, hidden_size, key, device));
            let width = hidden_size * directions;
            let joins = matches!(shape.skip, Skip::Residual | Skip::Highway);
            let projected = joins && below != width;
            stack.projections.push(projected.then(|| Linear::new(below, width, 0.0, key.place(100), device)));
            if shape.skip == Skip::Highway {
                stack.gates.push(Linear::new(width, width, HIGHWAY_BIAS, key.place(101), device));
            }
            below = if shape.skip == Skip::Dense { below + width } else { width };
        }
        stack
    }

    /// Its sizes and rates.
    pub fn shape(&self) -> &StackShape {
        &self.shape
    }

    /// How its layers are computed; the default is [`Execution::default`].
    pub fn execution(&self) -> Execution {
        self.execution
    }

    /// Sets how its layers are computed.
    pub fn set_execution(&mut self, execution: Execution) {
        self.execution = execution;
        let linear = self.projections.iter_mut().flatten().chain(&mut self.gates);
        linear.for_each(|linear| linear.set_execution(execution));
    }

    /// The same stack, computed another way.
    pub fn with_execution(mut self, execution: Execution) -> Self {
        self.set_execution(execution);
        self
    }

    /// Reads `[batch, time, input_size]`, whose rows have `lengths` valid steps, from `initial` states (one a layer) or from
    /// zeros; `noise` is the key of this step's masks, `None` at inference.
    ///
    /// # Panics
    /// If `initial` has not one state a layer.
    pub fn read(
        &self,
        input: Tensor<3>,
        lengths: impl Into<Lengths>,
        initial: Option<Vec<LayerState>>,
        noise: Option<Key>,
    ) -> StackReading {
        self.read_disturbed(input, lengths, initial, noise, None)
    }

    /// As [`Stack::read`], with something added to the hidden states of the lowest layer, see
    /// [`Walk::added`](crate::cell::Walk::added).
    ///
    /// # Panics
    /// As [`Stack::read`].
    pub fn read_disturbed(
        &self,
        input: Tensor<3>,
        lengths: impl Into<Lengths>,
        initial: Option<Vec<LayerState>>,
        noise: Option<Key>,
        mut added: Option<Tensor<3>>,
    ) -> StackReading {
        let (rates, lengths) = (self.shape.rates, lengths.into());
        let mut initial = initial.map(|states| {
            assert_eq!(states.len(), self.layers.len(), "a stack starts from one state a layer");
            states.into_iter()
        });
        let (mut x, mut top, mut states) = (without_padding(input, &lengths), None, Vec::new());
        for (place, layer) in self.layers.iter().enumerate() {
            let key = noise.map(|key| key.at(key.first() ^ (1 + place as u64) << 40));
            // What skip connections carry is left whole.
            let read = match key {
                Some(key) if place > 0 => {
                    let some = dropout::dropout(x.clone(), rates.dropout, Some(key.place(1 << 20)));
                    dropout::locked(some, rates.locked, key.place(1 << 21))
                }
                _ => x.clone(),
            };
            let noise = Noise { recurrent_dropout: rates.recurrent, zoneout: rates.zoneout, key };
            let from = initial.as_mut().and_then(Iterator::next);
            let (lengths, execution) = (lengths.clone(), self.execution);
            let passage = Passage { lengths: lengths.clone(), initial: from, noise, added: added.take(), execution };
            let reading = layer.read(read, passage);
            states.push(reading.state);
            top = Some(reading.outputs.clone());
            x = self.hand_on(place, x, reading.outputs, &lengths);
        }
        let outputs = if self.shape.skip == Skip::Dense { top.expect("a stack has a layer") } else { x };
        StackReading { outputs, states }
    }

    /// Reads one sequence as its steps come, from `initial` states or from zeros, undisturbed; `None` if a layer cannot
    /// ([`SequenceLayer::stream`](super::SequenceLayer::stream)) or there are skip connections.
    ///
    /// # Panics
    /// If `initial` has not one state a layer.
    pub fn stream(&self, initial: Option<Vec<LayerState>>) -> Option<StackStream> {
        let states = match initial {
            Some(states) => states.into_iter().map(Some).collect(),
            None => vec![None; self.layers.len()],
        };
        assert_eq!(states.len(), self.layers.len(), "a stack starts from one state a layer");
        let layers = self.layers.iter().zip(states).map(|(layer, state)| layer.stream(state, self.execution));
        let layers: Option<Vec<_>> = if self.shape.skip == Skip::None { layers.collect() } else { None };
        layers.map(|layers| StackStream { layers })
    }

    fn hand_on(&self, layer: usize, x: Tensor<3>, h: Tensor<3>, lengths: &Lengths) -> Tensor<3> {
        let joined = |x: Tensor<3>| match &self.projections[layer] {
            Some(projection) => projection.forward(x),
            None => x,
        };
        let y = match self.shape.skip {
            Skip::None => return h,
            Skip::Residual => h + joined(x),
            Skip::Highway => {
                let x = joined(x);
                let g = sigmoid(self.gates[layer].forward(x.clone()));
                x.clone() + g * (h - x)
            }
            Skip::Dense => Tensor::cat(vec![x, h], 2),
        };
        without_padding(y, lengths)
    }
}

/// A stack that reads one sequence as its steps come.
#[derive(Debug)]
pub struct StackStream {
    layers: Vec<Stream>,
}

impl StackStream {
    /// Reads `[input_size]` and gives the top layer's hidden state, `[output_size]`.
    ///
    /// # Panics
    /// If `input` has another length.
    pub fn step(&mut self, input: &[f32]) -> &[f32] {
        let (first, above) = self.layers.split_first_mut().expect("a stack has a layer");
        above.iter_mut().fold(first.step(input), |below, layer| layer.step(below))
    }
}

/// Negative, so that a highway carries its input through at first (Srivastava et al. 2015).
const HIGHWAY_BIAS: f32 = -1.0;
