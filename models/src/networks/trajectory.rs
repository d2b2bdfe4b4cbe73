//! Trajectories of a pen: mixture density networks.

use burn::module::Module;
use burn::tensor::activation::{log_softmax, softplus};
use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_kernels::{self as kernels, Execution, Lengths, OutputLayer};
use seqzoo_random::{Key, Purpose};

use super::Network;
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{LayerState, Linear, Stack, StackShape, StackStream};
use crate::names::{FieldNames, names};

/// Number of pen states: down, lifted, end.
pub const PEN_STATES: usize = 3;

/// Features of a point: its offset (dx, dy) from the previous point, and the one-hot pen state after it.
pub const POINT_FEATURES: usize = 2 + PEN_STATES;

/// Minimum standard deviation, in the unit of the offsets: bounds the density of offsets that repeat exactly, such as those on a grid.
const MIN_DEVIATION: f64 = 1e-2;

/// Maximum magnitude of a correlation, so that 1 - ρ² stays far from 0 in f32.
const MAX_CORRELATION: f64 = 0.99;

/// Model of pen trajectories: recurrent stack, dropout, and a linear layer to a mixture of M bivariate normal distributions of the next
/// offset and to the probabilities of the next pen state.
///
/// ```text
/// [π̂ ; μ̂_x ; μ̂_y ; σ̂_x ; σ̂_y ; ρ̂ ; q̂]_t = dropout(stack(p_0 … p_t-1)) W + b
///
/// π = softmax(π̂)    μ = μ̂    σ = softplus(σ̂) + 10⁻²    ρ = 0.99 tanh(ρ̂)    q = softmax(q̂)
///
/// z_x = (dx - μ_x) / σ_x      z_y = (dy - μ_y) / σ_y
/// N   = exp(-((z_x - ρ z_y)² / (1 - ρ²) + z_y²) / 2) / (2π σ_x σ_y √(1 - ρ²))
///
/// loss = - mean over t of log Σ_m π_m N_m(dx_t, dy_t) + log q_t[pen_t]
/// ```
///
/// A point p is [dx, dy, down, lifted, end]: its offset from the previous point and the one-hot pen state after it; points are
/// `[batch, time, 5]`. Each is predicted from those before it; p_0 is given. `W` is `[output_size, 6 M + 3]`. With M = 1 the density is one
/// normal distribution.
///
/// Differences from the papers: σ is a softplus with a minimum instead of an exponential, and |ρ| has a maximum, so that densities and
/// gradients are finite in f32.
///
/// Mixture density output (equations 18 to 25): Graves, "Generating sequences with recurrent neural networks", arXiv 1308.0850, 2013; pen
/// states: Ha and Eck, "A neural representation of sketch drawings", ICLR 2018.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::StackShape;
/// use seqzoo_models::networks::{POINT_FEATURES, Trajectory, TrajectoryShape};
///
/// let stack = StackShape::plain(Architecture::Lstm, POINT_FEATURES, vec![16]);
/// let network = Trajectory::new(TrajectoryShape { stack, mixtures: 4, dropout: 0.0 }, 1, &Device::flex());
/// let points = Tensor::<3>::from_data(
///     [[[0.0f32, 0.0, 1.0, 0.0, 0.0], [0.4, 0.1, 1.0, 0.0, 0.0], [0.2, -0.3, 0.0, 0.0, 1.0]]],
///     &Device::flex(),
/// );
/// let outputs = network.forward(points.clone().narrow(1, 0, 2), &[2], None);
/// assert_eq!(outputs.dims(), [1, 2, 6 * 4 + 3]);
/// let likelihoods = network.log_likelihoods(outputs, points.narrow(1, 1, 2));
/// assert_eq!((likelihoods.offsets.dims(), likelihoods.pens.dims()), ([1, 2], [1, 2]));
/// ```
#[derive(Module, Debug)]
pub struct Trajectory {
    stack: Stack,
    output: Linear,
    mixtures: usize,
    dropout: f64,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[names!(Trajectory { stack: "stack", output: "output" })];

/// The sizes of a [`Trajectory`].
#[derive(Debug, Clone, PartialEq)]
pub struct TrajectoryShape {
    /// The recurrent layers; their input are the [`POINT_FEATURES`].
    pub stack: StackShape,
    /// Number of components of the mixture, M.
    pub mixtures: usize,
    /// Dropout rate of the stack's outputs.
    pub dropout: f64,
}

/// Log-likelihoods of points, each `[batch, time]`; 0 at padding.
#[derive(Debug, Clone)]
pub struct PointLikelihoods {
    /// Log-densities of the offsets.
    pub offsets: Tensor<2>,
    /// Log-probabilities of the pen states.
    pub pens: Tensor<2>,
}

impl TrajectoryShape {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first invalid field: `mixtures`, `dropout`, or a field of the stack, whose `architecture` must be unidirectional and whose
    /// `input_size` must be [`POINT_FEATURES`].
    pub fn check(&self) -> Result<(), InvalidShape> {
        self.stack.check_unidirectional("the points that it predicts").map_err(|error| error.within("stack"))?;
        if self.stack.input_size != POINT_FEATURES {
            let reason = format!("a point has {POINT_FEATURES} features, not {}", self.stack.input_size);
            return Err(InvalidShape::new("input_size", reason).within("stack"));
        }
        positive("mixtures", self.mixtures)?;
        probability("dropout", self.dropout)
    }
}

impl Trajectory {
    /// A network with initial weights drawn from `seed`.
    ///
    /// # Panics
    /// If [`TrajectoryShape::check`] fails.
    pub fn new(shape: TrajectoryShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let (features, mixtures) = (shape.stack.output_size(), shape.mixtures);
        Self {
            stack: Stack::new(shape.stack, key.with_first(1), device),
            output: Linear::new(features, 6 * mixtures + PEN_STATES, 0.0, key.with_first(2), device),
            mixtures,
            dropout: shape.dropout,
        }
    }

    /// Outputs of the linear layer, `[batch, time, 6 M + 3]`: at each step, what predicts the next point.
    ///
    /// `points` is `[batch, time, 5]`, with `lengths` valid steps per row. `dropout_key` is the key of this step's dropout masks; `None`
    /// at inference.
    ///
    /// # Panics
    /// If there is not one length per row, or a length is 0 or exceeds `time`.
    pub fn forward(
        &self,
        points: Tensor<3>,
        lengths: impl Into<Lengths>,
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<3> {
        let dropout_key = dropout_key.into();
        let outputs = self.stack.forward(points, lengths, None, &dropout_key).outputs;
        self.output.forward(dropout(outputs, self.dropout, dropout_key))
    }

    /// Log-likelihoods of the `next` points, `[batch, time, 5]`, whose rows are zero at padding, under `outputs`, `[batch, time, 6 M + 3]`.
    pub fn log_likelihoods(&self, outputs: Tensor<3>, next: Tensor<3>) -> PointLikelihoods {
        let (part, pen_states) = (|index: usize| self.part(&outputs, index), next.clone().narrow(2, 2, PEN_STATES));
        let standardized = |axis: usize| {
            let deviation = softplus(part(3 + axis), 1.0) + MIN_DEVIATION;
            let z = (next.clone().narrow(2, axis, 1) - part(1 + axis)) / deviation.clone();
            (z, deviation.log())
        };
        let ((x, log_x), (y, log_y)) = (standardized(0), standardized(1));
        let correlation = part(5).tanh() * MAX_CORRELATION;
        let uncorrelated = correlation.clone().square().neg() + 1.0;
        // A sum of squares, unlike the usual form x² + y² - 2ρxy, whose terms cancel.
        let distance = (x - correlation * y.clone()).square() / uncorrelated.clone() + y.square();
        let log_volume = log_x + log_y + uncorrelated.log() * 0.5 + std::f64::consts::TAU.ln();
        let densities = log_softmax(part(0), 2) - distance * 0.5 - log_volume;
        let pens = log_softmax(outputs.clone().narrow(2, 6 * self.mixtures, PEN_STATES), 2);
        let valid = pen_states.clone().sum_dim(2);
        PointLikelihoods {
            offsets: (log_sum_exp(densities) * valid).squeeze_dim::<2>(2),
            pens: (pens * pen_states).sum_dim(2).squeeze_dim::<2>(2),
        }
    }

    /// Mean negative log-likelihood of the `next` points, in nats per point; `points` and `next` are `[batch, time, 5]`, and rows of
    /// `next` are zero at padding.
    ///
    /// # Panics
    /// As [`Trajectory::forward`].
    pub fn loss(
        &self,
        points: Tensor<3>,
        lengths: impl Into<Lengths>,
        next: Tensor<3>,
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<1> {
        let lengths = lengths.into();
        let count = lengths.iter().sum::<usize>() as f64;
        let PointLikelihoods { offsets, pens } =
            self.log_likelihoods(self.forward(points, &lengths, dropout_key), next);
        (offsets + pens).sum().neg() / count
    }

    /// A group of M outputs: π̂, μ̂_x, μ̂_y, σ̂_x, σ̂_y or ρ̂.
    fn part(&self, outputs: &Tensor<3>, index: usize) -> Tensor<3> {
        outputs.clone().narrow(2, index * self.mixtures, self.mixtures)
    }
}

/// The logarithm of the sum of exponentials over the last dimension, which becomes 1; finite wherever its largest element is.
fn log_sum_exp(values: Tensor<3>) -> Tensor<3> {
    let largest = values.clone().detach().max_dim(2);
    (values - largest.clone()).exp().sum_dim(2).log() + largest
}

/// Distribution of the next point.
#[derive(Debug, Clone, PartialEq)]
pub struct PointDistribution {
    /// The components of the mixture.
    pub components: Vec<Component>,
    /// Log-probabilities of the pen states: down, lifted, end.
    pub log_pens: [f64; PEN_STATES],
}

/// A component of a mixture: a bivariate normal distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Component {
    /// Logarithm of its weight.
    pub log_weight: f64,
    /// Means of dx and dy.
    pub mean: [f64; 2],
    /// Standard deviations of dx and dy.
    pub deviation: [f64; 2],
    /// Correlation of dx and dy.
    pub correlation: f64,
}

impl PointDistribution {
    /// The distribution from the outputs of the linear layer, `[6 M + 3]`.
    ///
    /// # Panics
    /// If their number is another.
    pub fn of_outputs(outputs: &[f32]) -> Self {
        let outputs: Vec<f64> = outputs.iter().map(|&output| output.into()).collect();
        let mixtures = outputs.len().saturating_sub(PEN_STATES) / 6;
        assert_eq!(outputs.len(), 6 * mixtures + PEN_STATES, "six outputs per component and {PEN_STATES}");
        let (parameters, pens) = outputs.split_at(6 * mixtures);
        let log_weights = log_probabilities(&parameters[..mixtures]);
        let component = |index: usize| {
            let parameter = |part: usize| parameters[part * mixtures + index];
            Component {
                log_weight: log_weights[index],
                mean: [parameter(1), parameter(2)],
                deviation: [3, 4].map(|part| soft_plus(parameter(part)) + MIN_DEVIATION),
                correlation: MAX_CORRELATION * parameter(5).tanh(),
            }
        };
        let log_pens = log_probabilities(pens).try_into().expect("as many as pen states");
        Self { components: (0..mixtures).map(component).collect(), log_pens }
    }
}

/// log(1 + exp(x)), without overflow.
fn soft_plus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Logarithms of the softmax.
fn log_probabilities(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = largest + scores.iter().map(|score| (score - largest).exp()).sum::<f64>().ln();
    scores.iter().map(|score| score - total).collect()
}

/// A trajectory that is processed point by point.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::StackShape;
/// use seqzoo_models::networks::{POINT_FEATURES, Trajectory, TrajectoryShape};
///
/// let stack = StackShape::plain(Architecture::Gru, POINT_FEATURES, vec![16]);
/// let network = Trajectory::new(TrajectoryShape { stack, mixtures: 4, dropout: 0.0 }, 1, &Device::flex());
/// let next = network.stream(&Device::flex()).step([0.0, 0.0, 1.0, 0.0, 0.0]);
/// assert_eq!(next.components.len(), 4);
/// assert!((next.log_pens.map(f64::exp).iter().sum::<f64>() - 1.0).abs() < 1e-9);
/// ```
#[derive(Debug)]
pub struct TrajectoryStream<'a> {
    network: &'a Trajectory,
    device: Device,
    mode: Mode,
}

/// How a [`TrajectoryStream`] computes a step.
#[derive(Debug)]
enum Mode {
    /// With kernels, from weights copied out of the tensors once.
    Stream { stack: StackStream, output: OutputLayer },
    /// With tensors; the state of each layer.
    Tensors(Option<Vec<LayerState>>),
}

impl Trajectory {
    /// Starts a trajectory, with zero states.
    pub fn stream(&self, device: &Device) -> TrajectoryStream<'_> {
        let (weight, bias) = (self.output.weight(), self.output.bias());
        let stream = self.stack.stream(None).zip(kernels::output_layer(&weight, &bias, self.stack.execution()));
        let mode = match stream {
            Some((stack, output)) => Mode::Stream { stack, output },
            None => Mode::Tensors(None),
        };
        TrajectoryStream { network: self, device: device.clone(), mode }
    }
}

impl TrajectoryStream<'_> {
    /// Processes a point and returns the distribution of the next one.
    pub fn step(&mut self, point: [f32; POINT_FEATURES]) -> PointDistribution {
        match &mut self.mode {
            Mode::Stream { stack, output } => PointDistribution::of_outputs(output.scores(stack.step(&point))),
            Mode::Tensors(states) => {
                let dtype = self.network.output.weight().dtype();
                let point = TensorData::new(point.to_vec(), [1, 1, POINT_FEATURES]);
                let point = Tensor::<3>::from_data(point, (&self.device, dtype));
                let read = self.network.stack.forward(point, &[1], states.take(), None);
                *states = Some(read.states);
                let outputs = self.network.output.forward(read.outputs);
                PointDistribution::of_outputs(&outputs.try_into_vec_as::<f32>().expect("a computed tensor can be read"))
            }
        }
    }
}

impl Network for Trajectory {
    fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        self.output.set_execution(execution);
    }
}
