//! Time-series forecasting, with uncertainty.

use burn::module::Module;
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::Network;
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{Linear, Perceptron, PerceptronShape, Pooling, SequencePooling, Stack, StackShape};
use crate::names::{FieldNames, names};

/// Forecast distribution of each future value, and its loss.
///
/// ```
/// use seqzoo_models::networks::ForecastHead;
///
/// let head = ForecastHead::Quantiles(vec![0.1, 0.5, 0.9]);
/// assert_eq!((head.output_size(), head.point_index()), (3, 1));
/// assert_eq!(head.quantile(&[-1.0, 0.0, 2.0], 0.9), Some(2.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum ForecastHead {
    /// One value; loss: mean squared error.
    Point,
    /// Mean and standard deviation of a normal distribution; loss: mean negative log-likelihood in nats.
    Gaussian,
    /// Quantiles at these probabilities; loss: mean pinball loss (Koenker and Bassett 1978).
    Quantiles(Vec<f64>),
}

/// Forecaster: recurrent stack (or, as a baseline, a perceptron) over the past values, dropout, one linear layer to the
/// whole horizon (direct multi-step forecast).
///
/// ```text
/// s = last(stack(x_1 … x_length))  or  perceptron(x_1 … x_window)        y = dropout(s) W + b, reshaped to [horizon, k]
/// point: ŷ = y_1      Gaussian: μ = y_1, σ = softplus(y_2) + 10⁻³      quantiles: q_k = y_k
/// ```
///
/// The past is `[batch, time, features]`, a forecast is `[batch, horizon, k]` with k = 1, 2 or the number of quantiles.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::StackShape;
/// use seqzoo_models::networks::{BackboneShape, ForecastHead, Forecaster, ForecasterShape};
///
/// let backbone = BackboneShape::Recurrent(StackShape::plain(Architecture::Lstm, 2, vec![16]));
/// let shape = ForecasterShape { backbone, horizon: 7, head: ForecastHead::Gaussian, dropout: 0.1 };
/// let forecaster = Forecaster::new(shape, 1, &Device::flex());
/// let past = Tensor::ones([3, 30, 2], &Device::flex());
/// assert_eq!(forecaster.forecast(past, &[30, 30, 12]).dims(), [3, 7, 2]);
/// ```
#[derive(Module, Debug)]
pub struct Forecaster {
    backbone: Backbone,
    output: Linear,
    horizon: usize,
    dropout: f64,
    #[module(skip)]
    head: ForecastHead,
}

/// Backbone over the past values.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a network has one, and modules are not boxed")]
enum Backbone {
    Recurrent(Encoder),
    Perceptron(Perceptron),
}

#[derive(Module, Debug)]
struct Encoder {
    stack: Stack,
    pooling: SequencePooling,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[
    names!(enum Backbone { Recurrent: "Recurrent", Perceptron: "Perceptron" }),
    names!(Encoder { stack: "stack", pooling: "summary" }),
    names!(Forecaster { backbone: "past", output: "output" }),
];

/// Minimum standard deviation: bounds the likelihood of a constant series. Chosen to be small relative to the unit
/// variance of a standardized series.
const MIN_DEVIATION: f64 = 1e-3;

impl ForecastHead {
    /// Number of outputs per forecast value.
    pub fn output_size(&self) -> usize {
        match self {
            ForecastHead::Point => 1,
            ForecastHead::Gaussian => 2,
            ForecastHead::Quantiles(probabilities) => probabilities.len(),
        }
    }

    /// Probabilities of the quantiles reported by default, in increasing order.
    pub fn quantiles(&self) -> Vec<f64> {
        match self {
            ForecastHead::Point => Vec::new(),
            ForecastHead::Gaussian => vec![0.05, 0.95],
            ForecastHead::Quantiles(probabilities) => probabilities.clone(),
        }
    }

    /// The quantile at `probability`, from the `outputs` for one value; `None` if the head does not provide it.
    pub fn quantile(&self, outputs: &[f64], probability: f64) -> Option<f64> {
        match self {
            ForecastHead::Point => None,
            ForecastHead::Gaussian => Some(outputs[0] + outputs[1] * standard_normal(probability)),
            ForecastHead::Quantiles(known) => Some(outputs[known.iter().position(|&other| other == probability)?]),
        }
    }

    /// A forecast, `[batch, horizon, k]`, with crossing quantiles sorted, as used for validation and reports. Sorting
    /// never increases the distance to the true quantiles: Chernozhukov, Fernández-Val and Galichon, "Quantile and
    /// probability curves without crossing", Econometrica 78, 2010.
    pub fn sort_quantiles(&self, forecast: Tensor<3>) -> Tensor<3> {
        let ForecastHead::Quantiles(probabilities) = self else { return forecast };
        let (shape, options) = (forecast.dims(), (forecast.device(), forecast.dtype()));
        // On the host, where `total_cmp` also orders NaN.
        let mut values = forecast.try_into_vec_as::<f32>().expect("a computed tensor can be read");
        values.chunks_exact_mut(probabilities.len()).for_each(|quantiles| quantiles.sort_by(f32::total_cmp));
        Tensor::from_data(TensorData::new(values, shape), (&options.0, options.1))
    }

    /// Index of the output that is the point forecast: the mean, or the quantile whose probability is nearest to 0.5.
    pub fn point_index(&self) -> usize {
        match self {
            ForecastHead::Point | ForecastHead::Gaussian => 0,
            ForecastHead::Quantiles(probabilities) => {
                let from_half = |&index: &usize| (probabilities[index] - 0.5).abs();
                (0..probabilities.len()).min_by(|a, b| from_half(a).total_cmp(&from_half(b))).unwrap_or(0)
            }
        }
    }

    /// Mean loss of a forecast, `[batch, horizon, k]`, against the actual values, `[batch, horizon]`.
    pub fn loss(&self, forecast: Tensor<3>, actual: Tensor<2>) -> Tensor<1> {
        let actual = actual.unsqueeze_dim::<3>(2);
        match self {
            ForecastHead::Point => (forecast - actual).square().mean(),
            ForecastHead::Gaussian => {
                let (mean, deviation) = (forecast.clone().narrow(2, 0, 1), forecast.narrow(2, 1, 1));
                let error = (actual - mean) / deviation.clone();
                (error.square() * 0.5 + deviation.log()).mean() + 0.5 * std::f64::consts::TAU.ln()
            }
            ForecastHead::Quantiles(probabilities) => {
                let count = probabilities.len();
                let levels = TensorData::new(probabilities.clone(), [1, 1, count]);
                let levels = Tensor::<3>::from_data(levels, (&forecast.device(), forecast.dtype()));
                let error = actual.expand(forecast.dims()) - forecast;
                (error.clone() * levels.clone()).max_pair(error * (levels - 1.0)).mean()
            }
        }
    }
}

/// Quantile function of the standard normal distribution, by bisection of its CDF.
fn standard_normal(probability: f64) -> f64 {
    let cdf = |value: f64| 0.5 * libm::erfc(-value / std::f64::consts::SQRT_2);
    // Φ(−40) underflows f64, so the bracket contains every quantile.
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if cdf(middle) < probability { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The sizes of a [`Forecaster`].
#[derive(Debug, Clone, PartialEq)]
pub struct ForecasterShape {
    /// Backbone over the past values.
    pub backbone: BackboneShape,
    /// Number of time steps to forecast.
    pub horizon: usize,
    /// Forecast distribution of each value.
    pub head: ForecastHead,
    /// Dropout rate of the output layer's input.
    pub dropout: f64,
}

/// The sizes of the backbone.
#[derive(Debug, Clone, PartialEq)]
pub enum BackboneShape {
    /// Recurrent layers; their input is the series.
    Recurrent(StackShape),
    /// A perceptron over a window of fixed length.
    Perceptron(PerceptronShape),
}

impl BackboneShape {
    fn output_size(&self) -> usize {
        match self {
            BackboneShape::Recurrent(stack) => stack.output_size(),
            BackboneShape::Perceptron(perceptron) => perceptron.output_size(),
        }
    }
}

impl ForecasterShape {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first invalid field: `horizon`, `dropout`, `head`, or a field of the stack or perceptron.
    pub fn check(&self) -> Result<(), InvalidShape> {
        match &self.backbone {
            BackboneShape::Recurrent(stack) => stack.check().map_err(|error| error.within("stack"))?,
            BackboneShape::Perceptron(shape) => shape.check().map_err(|error| error.within("perceptron"))?,
        }
        positive("horizon", self.horizon)?;
        probability("dropout", self.dropout)?;
        let ForecastHead::Quantiles(probabilities) = &self.head else { return Ok(()) };
        let inside = probabilities.iter().all(|&probability| probability > 0.0 && probability < 1.0);
        let increasing = probabilities.windows(2).all(|pair| pair[0] < pair[1]);
        if probabilities.is_empty() || !inside || !increasing {
            let expected = "expected at least one probability between 0 and 1, in increasing order";
            return Err(InvalidShape::new("head", format!("quantiles {probabilities:?}: {expected}")));
        }
        Ok(())
    }
}

impl Forecaster {
    /// A forecaster with initial weights drawn from `seed`.
    ///
    /// # Panics
    /// If [`ForecasterShape::check`] fails.
    pub fn new(shape: ForecasterShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let ForecasterShape { backbone, horizon, head, dropout } = shape;
        let key = Key::new(seed, Purpose::Weights);
        let features = backbone.output_size();
        let backbone = match backbone {
            BackboneShape::Recurrent(stack) => Backbone::Recurrent(Encoder {
                stack: Stack::new(stack, key.with_first(1), device),
                pooling: SequencePooling::new(Pooling::Last, features, key.with_first(3), device),
            }),
            BackboneShape::Perceptron(shape) => {
                Backbone::Perceptron(Perceptron::new(&shape, key.with_first(1), device))
            }
        };
        let output = Linear::new(features, horizon * head.output_size(), 0.0, key.with_first(2), device);
        Self { backbone, output, horizon, dropout, head }
    }

    /// Forecast distribution of each value.
    pub fn head(&self) -> &ForecastHead {
        &self.head
    }

    /// Forecast, `[batch, horizon, k]`, from the past values, `[batch, time, features]`, with `lengths` valid steps per sequence;
    /// a perceptron uses all of them.
    ///
    /// `dropout_key` is the key of this step's dropout masks; `None` at inference.
    ///
    /// # Panics
    /// If the lengths or, for a perceptron, the window do not match `past`.
    pub fn forward(
        &self,
        past: Tensor<3>,
        lengths: impl Into<Lengths>,
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<3> {
        let (lengths, dropout_key) = (lengths.into(), dropout_key.into());
        let batch = lengths.len();
        let encoded = match &self.backbone {
            Backbone::Recurrent(Encoder { stack, pooling }) => {
                let outputs = stack.forward(past, &lengths, None, &dropout_key).outputs;
                pooling.forward(outputs, lengths, stack.shape().architecture.directions())
            }
            Backbone::Perceptron(perceptron) => perceptron.forward(past),
        };
        let outputs = self.output.forward(dropout(encoded, self.dropout, dropout_key));
        let outputs = outputs.reshape([batch, self.horizon, self.head.output_size()]);
        match self.head {
            ForecastHead::Gaussian => {
                let deviation = softplus(outputs.clone().narrow(2, 1, 1), 1.0) + MIN_DEVIATION;
                Tensor::cat(vec![outputs.narrow(2, 0, 1), deviation], 2)
            }
            ForecastHead::Point | ForecastHead::Quantiles(_) => outputs,
        }
    }

    /// Forecast without dropout and with sorted quantiles, as used for validation and reports; see
    /// [`ForecastHead::sort_quantiles`].
    pub fn forecast(&self, past: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
        self.head.sort_quantiles(self.forward(past, lengths, None))
    }

    /// Mean loss of the forecast from `past` against the actual values, `[batch, horizon]`.
    pub fn loss(
        &self,
        past: Tensor<3>,
        lengths: impl Into<Lengths>,
        actual: Tensor<2>,
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<1> {
        self.head.loss(self.forward(past, lengths, dropout_key), actual)
    }
}

impl Network for Forecaster {
    fn set_execution(&mut self, execution: Execution) {
        match &mut self.backbone {
            Backbone::Recurrent(encoder) => {
                encoder.stack.set_execution(execution);
                encoder.pooling.set_execution(execution);
            }
            Backbone::Perceptron(perceptron) => perceptron.set_execution(execution),
        }
        self.output.set_execution(execution);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_normal_quantiles_match_published_tables() {
        for (probability, value) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.05, -1.644_853_627), (1e-6, -4.753_424_309)]
        {
            assert!((standard_normal(probability) - value).abs() < 1e-8, "{probability}");
        }
    }

    #[test]
    fn quantile_is_none_unless_the_head_provides_it() {
        let quantiles = ForecastHead::Quantiles(vec![0.1, 0.9]);
        assert_eq!(quantiles.quantile(&[3.0, 7.0], 0.9), Some(7.0));
        assert_eq!((quantiles.quantile(&[3.0, 7.0], 0.5), ForecastHead::Point.quantile(&[3.0], 0.5)), (None, None));
        let upper = ForecastHead::Gaussian.quantile(&[10.0, 2.0], 0.975).unwrap();
        assert!((upper - 13.919_927_97).abs() < 1e-6);
    }
}
