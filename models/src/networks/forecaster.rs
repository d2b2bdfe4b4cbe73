//! The next values of a series, with their uncertainty.

use burn::module::Module;
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::Network;
use crate::invalid_shape::{InvalidShape, expect_fit, positive, rate};
use crate::layers::dropout::dropout;
use crate::layers::{Linear, Perceptron, PerceptronShape, Pooling, Stack, StackShape, Summary};

/// What is said of each value to come.
#[derive(Debug, Clone, PartialEq)]
pub enum ForecastHead {
    /// One value; loss: mean squared error.
    Point,
    /// Mean and standard deviation; loss: mean negative log-likelihood in nats.
    Gaussian,
    /// The value at each of these probabilities; loss: mean pinball loss (Koenker and Bassett 1978).
    Quantiles(Vec<f64>),
}

/// Forecaster: recurrent stack over the past (or, to compare with, a perceptron), linear layer to all steps of the horizon
/// at once.
///
/// ```text
/// s = last(stack(x_1 … x_length))  or  perceptron(x_1 … x_window)        y = dropout(s) W + b, reshaped to [horizon, k]
/// point: ŷ = y_1      Gaussian: μ = y_1, σ = softplus(y_2) + 10⁻³      quantiles: q_k = y_k
/// ```
///
/// The past is `[batch, time, features]`, a forecast `[batch, horizon, k]` with k = 1, 2 or the number of quantiles.
#[derive(Module, Debug)]
pub struct Forecaster {
    past: Past,
    output: Linear,
    horizon: usize,
    dropout: f64,
    #[module(skip)]
    head: ForecastHead,
}

/// What reads the past.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a network has one, and modules are not boxed")]
enum Past {
    Recurrent(Reader),
    Perceptron(Perceptron),
}

#[derive(Module, Debug)]
struct Reader {
    stack: Stack,
    summary: Summary,
}

/// Keeps a likelihood from growing without bound where a series is constant; our choice, small beside the unit variance of
/// a normalized series.
const LEAST_DEVIATION: f64 = 1e-3;

impl ForecastHead {
    /// Numbers that are told of each value.
    pub fn width(&self) -> usize {
        match self {
            ForecastHead::Point => 1,
            ForecastHead::Gaussian => 2,
            ForecastHead::Quantiles(probabilities) => probabilities.len(),
        }
    }

    /// The probabilities of the quantiles that are told where nobody asks for others, in their order.
    pub fn quantiles(&self) -> Vec<f64> {
        match self {
            ForecastHead::Point => Vec::new(),
            ForecastHead::Gaussian => vec![0.05, 0.95],
            ForecastHead::Quantiles(known) => known.clone(),
        }
    }

    /// The value below which what comes lies with this probability, of the numbers that are told of a value; `None` where nothing
    /// is told of it.
    pub fn quantile(&self, told: &[f64], probability: f64) -> Option<f64> {
        match self {
            ForecastHead::Point => None,
            ForecastHead::Gaussian => Some(told[0] + told[1] * standard_normal(probability)),
            ForecastHead::Quantiles(known) => Some(told[known.iter().position(|&other| other == probability)?]),
        }
    }

    /// A forecast `[batch, horizon, k]` as it is validated and reported: quantiles that cross are put in increasing order, which
    /// brings them nearer to the truth; Chernozhukov, Fernández-Val and Galichon, "Quantile and probability curves without
    /// crossing", Econometrica 78, 2010.
    pub fn ordered(&self, forecast: Tensor<3>) -> Tensor<3> {
        let ForecastHead::Quantiles(probabilities) = self else { return forecast };
        let (shape, options) = (forecast.dims(), (forecast.device(), forecast.dtype()));
        // On the host, where values that are not a number have an order too.
        let mut values = forecast.try_into_vec_as::<f32>().expect("a computed tensor can be read");
        values.chunks_exact_mut(probabilities.len()).for_each(|quantiles| quantiles.sort_by(f32::total_cmp));
        Tensor::from_data(TensorData::new(values, shape), (&options.0, options.1))
    }

    /// Which of the numbers that are told of a value stands for it: the mean, or the quantile whose probability is nearest to
    /// a half.
    pub fn middle(&self) -> usize {
        match self {
            ForecastHead::Point | ForecastHead::Gaussian => 0,
            ForecastHead::Quantiles(probabilities) => {
                let from_half = |&place: &usize| (probabilities[place] - 0.5).abs();
                (0..probabilities.len()).min_by(|a, b| from_half(a).total_cmp(&from_half(b))).unwrap_or(0)
            }
        }
    }

    /// The mean loss of a forecast `[batch, horizon, k]` against what came, `[batch, horizon]`.
    pub fn loss(&self, forecast: Tensor<3>, came: Tensor<2>) -> Tensor<1> {
        let came = came.unsqueeze_dim::<3>(2);
        match self {
            ForecastHead::Point => (forecast - came).square().mean(),
            ForecastHead::Gaussian => {
                let (mean, deviation) = (forecast.clone().narrow(2, 0, 1), forecast.narrow(2, 1, 1));
                let error = (came - mean) / deviation.clone();
                (error.square() * 0.5 + deviation.log()).mean() + 0.5 * std::f64::consts::TAU.ln()
            }
            ForecastHead::Quantiles(probabilities) => {
                let count = probabilities.len();
                let shares = TensorData::new(probabilities.clone(), [1, 1, count]);
                let shares = Tensor::<3>::from_data(shares, (&forecast.device(), forecast.dtype()));
                let missed = came.expand(forecast.dims()) - forecast;
                (missed.clone() * shares.clone()).max_pair(missed * (shares - 1.0)).mean()
            }
        }
    }
}

/// The quantile of a standard normal variable, by bisection of its distribution function.
fn standard_normal(probability: f64) -> f64 {
    let below = |value: f64| 0.5 * libm::erfc(-value / std::f64::consts::SQRT_2);
    // Φ(−40) is the smallest number above 0 that 64 bits hold, or less.
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if below(middle) < probability { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The sizes of a [`Forecaster`].
#[derive(Debug, Clone, PartialEq)]
pub struct ForecasterShape {
    /// What reads the past.
    pub past: PastShape,
    /// Steps to come.
    pub horizon: usize,
    /// What is said of each.
    pub head: ForecastHead,
    /// Share of what the output layer reads that is dropped in training.
    pub dropout: f64,
}

/// The sizes of what reads the past.
#[derive(Debug, Clone, PartialEq)]
pub enum PastShape {
    /// Recurrent layers; their input is the series.
    Recurrent(StackShape),
    /// A perceptron over a window of fixed length.
    Perceptron(PerceptronShape),
}

impl PastShape {
    fn output_size(&self) -> usize {
        match self {
            PastShape::Recurrent(stack) => stack.output_size(),
            PastShape::Perceptron(perceptron) => perceptron.output_size(),
        }
    }
}

impl ForecasterShape {
    /// Whether a forecaster of this shape makes sense.
    ///
    /// # Errors
    /// The field that does not: `horizon`, `dropout`, `head`, or one of the stack's or perceptron's.
    pub fn check(&self) -> Result<(), InvalidShape> {
        match &self.past {
            PastShape::Recurrent(stack) => stack.check().map_err(|invalid_shape| invalid_shape.within("stack"))?,
            PastShape::Perceptron(shape) => {
                shape.check().map_err(|invalid_shape| invalid_shape.within("perceptron"))?
            }
        }
        positive("horizon", self.horizon)?;
        rate("dropout", self.dropout)?;
        let ForecastHead::Quantiles(probabilities) = &self.head else { return Ok(()) };
        let inside = probabilities.iter().all(|&probability| probability > 0.0 && probability < 1.0);
        let rising = probabilities.windows(2).all(|pair| pair[0] < pair[1]);
        if probabilities.is_empty() || !inside || !rising {
            let needed = "at least one probability between 0 and 1 is needed, each larger than the one before";
            return Err(InvalidShape::new("head", format!("quantiles {probabilities:?}: {needed}")));
        }
        Ok(())
    }
}

impl Forecaster {
    /// A forecaster with weights drawn from the run's seed.
    ///
    /// # Panics
    /// If [`ForecasterShape::check`] refuses the shape.
    pub fn new(shape: ForecasterShape, seed: u64, device: &Device) -> Self {
        expect_fit(shape.check());
        let ForecasterShape { past, horizon, head, dropout } = shape;
        let key = Key::new(seed, Purpose::Weights);
        let features = past.output_size();
        let past = match past {
            PastShape::Recurrent(stack) => Past::Recurrent(Reader {
                stack: Stack::new(stack, key.at(1), device),
                summary: Summary::new(Pooling::Last, features, key.at(3), device),
            }),
            PastShape::Perceptron(shape) => Past::Perceptron(Perceptron::new(&shape, key.at(1), device)),
        };
        let output = Linear::new(features, horizon * head.width(), 0.0, key.at(2), device);
        Self { past, output, horizon, dropout, head }
    }

    /// What is said of each value.
    pub fn head(&self) -> &ForecastHead {
        &self.head
    }

    /// What comes after `[batch, time, features]`, of which `lengths` steps are valid; a perceptron reads all of them.
    pub fn forward(&self, past: Tensor<3>, lengths: impl Into<Lengths>, noise: Option<Key>) -> Tensor<3> {
        let lengths = lengths.into();
        let batch = lengths.len();
        let read = match &self.past {
            Past::Recurrent(Reader { stack, summary }) => {
                let outputs = stack.read(past, &lengths, None, noise).outputs;
                summary.forward(outputs, lengths, stack.shape().architecture.directions())
            }
            Past::Perceptron(perceptron) => perceptron.forward(past),
        };
        let numbers = self.output.forward(dropout(read, self.dropout, noise));
        let numbers = numbers.reshape([batch, self.horizon, self.head.width()]);
        match self.head {
            ForecastHead::Gaussian => {
                let deviation = softplus(numbers.clone().narrow(2, 1, 1), 1.0) + LEAST_DEVIATION;
                Tensor::cat(vec![numbers.narrow(2, 0, 1), deviation], 2)
            }
            ForecastHead::Point | ForecastHead::Quantiles(_) => numbers,
        }
    }

    /// What comes after `past`, nothing dropped, as it is validated and reported; see [`ForecastHead::ordered`].
    pub fn forecast(&self, past: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
        self.head.ordered(self.forward(past, lengths, None))
    }

    /// The mean loss of the forecasts after `past` against what came, `[batch, horizon]`.
    pub fn loss(&self, past: Tensor<3>, lengths: impl Into<Lengths>, came: Tensor<2>, noise: Option<Key>) -> Tensor<1> {
        self.head.loss(self.forward(past, lengths, noise), came)
    }
}

impl Network for Forecaster {
    fn set_execution(&mut self, execution: Execution) {
        match &mut self.past {
            Past::Recurrent(reader) => reader.stack.set_execution(execution),
            Past::Perceptron(perceptron) => perceptron.set_execution(execution),
        }
        self.output.set_execution(execution);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_normal_variable_are_those_of_tables() {
        for (probability, value) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.05, -1.644_853_627), (1e-6, -4.753_424_309)]
        {
            assert!((standard_normal(probability) - value).abs() < 1e-8, "{probability}");
        }
    }

    #[test]
    fn quantiles_are_told_where_they_are_known() {
        let quantiles = ForecastHead::Quantiles(vec![0.1, 0.9]);
        assert_eq!(quantiles.quantile(&[3.0, 7.0], 0.9), Some(7.0));
        assert_eq!((quantiles.quantile(&[3.0, 7.0], 0.5), ForecastHead::Point.quantile(&[3.0], 0.5)), (None, None));
        let upper = ForecastHead::Gaussian.quantile(&[10.0, 2.0], 0.975).unwrap();
        assert!((upper - 13.919_927_97).abs() < 1e-6);
    }
}
