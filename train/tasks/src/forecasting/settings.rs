//! Settings of forecasting.

use seqzoo_datasets::series::RollingOrigin;
use seqzoo_models::networks::ForecastHead;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::InvalidValue;

/// The `[task]` section of a forecasting recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Number of past rows that the model reads.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub window: usize,
    /// Forecast horizon, in rows.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub horizon: usize,
    /// Forecast distribution of each future value.
    pub distribution: DistributionKind,
    /// Probabilities of the forecast quantiles, increasing; 0.5 is the point forecast.
    pub quantiles: Vec<f64>,
    /// Seasonal period in rows; 0: that of the dataset or of its time step.
    #[schemars(range(max = MAX_STEPS))]
    pub season: usize,
    /// Whether the seasonal phase (as sine and cosine) is an input.
    pub calendar: bool,
    /// Whether inputs and forecasts of the target are differences from its last known value, which makes the model
    /// independent of the level; Zeng et al., "Are transformers effective for time series forecasting?", AAAI 2023.
    pub difference: bool,
    /// Number of consecutive periods of equal length for which errors are reported separately.
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
    pub fn framing(&self) -> RollingOrigin {
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

/// Rows of a window or a horizon at most.
const MAX_STEPS: usize = 1 << 20;

/// A forecast distribution, see [`ForecastHead`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DistributionKind {
    /// One value.
    Point,
    /// Mean and standard deviation.
    Gaussian,
    /// The values at some probabilities.
    Quantiles,
}

