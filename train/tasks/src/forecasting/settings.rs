//! Settings of forecasting.

use schemars::JsonSchema;
use seqzoo_datasets::series::RollingOrigin;
use seqzoo_models::networks::ForecastHead;
use serde::{Deserialize, Serialize};

use crate::InvalidValue;

/// The `[task]` section of a forecasting recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Length of the input window: number of past rows from which each forecast is made.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub window: usize,
    /// Forecast horizon: number of rows predicted by each forecast.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub horizon: usize,
    /// Forecast distribution of each future value, which also determines the loss.
    pub distribution: DistributionKind,
    /// Probabilities of the quantiles predicted with `distribution = "quantiles"`, in increasing order; they must include 0.5, the point
    /// forecast.
    pub quantiles: Vec<f64>,
    /// Seasonal period in rows, for the seasonal naive baseline and `calendar`; 0: that of the dataset (`data.season`), else derived from the
    /// time step.
    #[schemars(range(max = MAX_STEPS))]
    pub season: usize,
    /// Whether the seasonal phase, as sine and cosine, is an input feature; no effect if the seasonal period is unknown.
    pub calendar: bool,
    /// Whether inputs and forecasts of the target are differences from its last known value, so that the model does not depend on the
    /// level of the series (Zeng et al., "Are transformers effective for time series forecasting?", AAAI 2023).
    pub difference: bool,
    /// Number of consecutive folds of the evaluated split, for which errors are also reported separately.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub folds: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: 30,
            horizon: 1,
            distribution: DistributionKind::Gaussian,
            quantiles: vec![0.05, 0.25, 0.5, 0.75, 0.95],
            season: 0,
            calendar: false,
            difference: false,
            folds: 4,
        }
    }
}

impl Settings {
    /// Window, horizon and folds.
    pub fn rolling_origin(&self) -> RollingOrigin {
        RollingOrigin { window: self.window, horizon: self.horizon, folds: self.folds }
    }

    /// The forecast head for the chosen distribution.
    pub fn head(&self) -> ForecastHead {
        match self.distribution {
            DistributionKind::Point => ForecastHead::Point,
            DistributionKind::Gaussian => ForecastHead::Gaussian,
            DistributionKind::Quantiles => ForecastHead::Quantiles(self.quantiles.clone()),
        }
    }

    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        let rising = self.quantiles.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = self.quantiles.iter().all(|&probability| probability > 0.0 && probability < 1.0);
        if !rising || !inside || !self.quantiles.contains(&0.5) {
            let expected = "increasing probabilities between 0 and 1, including 0.5, the point forecast";
            return Err(InvalidValue::new("task.quantiles", format!("{:?}", self.quantiles), expected));
        }
        Ok(())
    }
}

/// Maximum number of rows of a window or a horizon.
const MAX_STEPS: usize = 1 << 20;

/// A forecast distribution, see [`ForecastHead`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DistributionKind {
    /// A single value; mean squared error.
    Point,
    /// Mean and standard deviation of a normal distribution; negative log-likelihood.
    Gaussian,
    /// The quantiles at the probabilities in `quantiles`; mean pinball loss.
    Quantiles,
}
