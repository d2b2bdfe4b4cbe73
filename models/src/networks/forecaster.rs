//! The next values of a series, with their uncertainty.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_random::{Key, Purpose};

use crate::layers::{Pooling, Stack, StackShape, Summary, linear};
use crate::misfit::{Misfit, expect_fit, positive};

/// What is said of each value to come.
#[derive(Debug, Clone, PartialEq)]
pub enum Outlook {
    /// One value; loss: mean squared error.
    Point,
    /// Mean and standard deviation; loss: mean negative log-likelihood in nats.
    Gaussian,
    /// The value at each of these probabilities; loss: mean pinball loss (Koenker and Bassett 1978).
    Quantiles(Vec<f64>),
}

/// Forecaster: recurrent stack over the past, linear layer to all steps of the horizon at once.
///
/// ```text
/// s = last(stack(x_1 … x_length))      y = s W + b, reshaped to [horizon, k]
/// point: ŷ = y_1      Gaussian: μ = y_1, σ = softplus(y_2) + 10⁻³      quantiles: q_k = y_k
/// ```
///
/// The past is `[batch, time, features]`, a forecast `[batch, horizon, k]` with k = 1, 2 or the number of quantiles.
#[derive(Module, Debug)]
pub struct Forecaster {
    stack: Stack,
    summary: Summary,
    output: Linear,
    horizon: usize,
    #[module(skip)]
    outlook: Outlook,
}

/// Keeps a likelihood from growing without bound where a series is constant; our choice, small beside the unit variance of
/// a normalised series.
const LEAST_DEVIATION: f64 = 1e-3;

impl Outlook {
    /// Numbers that are told of each value.
    pub fn width(&self) -> usize {
        match self {
            Outlook::Point => 1,
            Outlook::Gaussian => 2,
            Outlook::Quantiles(probabilities) => probabilities.len(),
        }
    }

    /// The mean loss of a forecast `[batch, horizon, k]` against what came, `[batch, horizon]`.
    pub fn loss(&self, forecast: Tensor<3>, came: Tensor<2>) -> Tensor<1> {
        let came = came.unsqueeze_dim::<3>(2);
        match self {
            Outlook::Point => (forecast - came).square().mean(),
            Outlook::Gaussian => {
                let (mean, deviation) = (forecast.clone().narrow(2, 0, 1), forecast.narrow(2, 1, 1));
                let error = (came - mean) / deviation.clone();
                (error.square() * 0.5 + deviation.log()).mean() + 0.5 * std::f64::consts::TAU.ln()
            }
            Outlook::Quantiles(probabilities) => {
                let count = probabilities.len();
                let shares = TensorData::new(probabilities.clone(), [1, 1, count]);
                let shares = Tensor::<3>::from_data(shares, (&forecast.device(), forecast.dtype()));
                let missed = came.expand(forecast.dims()) - forecast;
                (missed.clone() * shares.clone()).max_pair(missed * (shares - 1.0)).mean()
            }
        }
    }
}

/// The sizes of a [`Forecaster`].
#[derive(Debug, Clone, PartialEq)]
pub struct ForecasterShape {
    /// The recurrent layers; their input is the series.
    pub stack: StackShape,
    /// Steps to come.
    pub horizon: usize,
    /// What is said of each.
    pub outlook: Outlook,
}

impl ForecasterShape {
    /// Whether a forecaster of this shape makes sense.
    ///
    /// # Errors
    /// The field that does not: `horizon`, `outlook`, or one of the stack's.
    pub fn check(&self) -> Result<(), Misfit> {
        self.stack.check().map_err(|misfit| misfit.within("stack"))?;
        positive("horizon", self.horizon)?;
        let Outlook::Quantiles(probabilities) = &self.outlook else { return Ok(()) };
        if probabilities.is_empty() || !probabilities.iter().all(|&probability| probability > 0.0 && probability < 1.0)
        {
            let reason = format!("quantiles {probabilities:?}: at least one probability between 0 and 1 is needed");
            return Err(Misfit::new("outlook", reason));
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
        let ForecasterShape { stack, horizon, outlook } = shape;
        let key = Key::new(seed, Purpose::Weights);
        let features = stack.output_size();
        Self {
            stack: Stack::new(stack, key.at(1), device),
            summary: Summary::new(Pooling::Last, features, key.at(3), device),
            output: linear(features, horizon * outlook.width(), 0.0, key.at(2), device),
            horizon,
            outlook,
        }
    }

    /// What comes after `[batch, time, features]`, of which `lengths` steps are true.
    pub fn forward(&self, past: Tensor<3>, lengths: &[usize], noise: Option<Key>) -> Tensor<3> {
        let directions = self.stack.shape().architecture.directions();
        let outputs = self.stack.read(past, lengths, None, noise).outputs;
        let batch = lengths.len();
        let numbers = self.output.forward(self.summary.forward(outputs, lengths, directions));
        let numbers = numbers.reshape([batch, self.horizon, self.outlook.width()]);
        match self.outlook {
            Outlook::Gaussian => {
                let deviation = softplus(numbers.clone().narrow(2, 1, 1), 1.0) + LEAST_DEVIATION;
                Tensor::cat(vec![numbers.narrow(2, 0, 1), deviation], 2)
            }
            Outlook::Point | Outlook::Quantiles(_) => numbers,
        }
    }

    /// The mean loss of the forecasts after `past` against what came, `[batch, horizon]`.
    pub fn loss(&self, past: Tensor<3>, lengths: &[usize], came: Tensor<2>, noise: Option<Key>) -> Tensor<1> {
        self.outlook.loss(self.forward(past, lengths, noise), came)
    }
}
