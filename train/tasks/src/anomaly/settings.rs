//! Settings of anomaly detection.

use schemars::JsonSchema;
use seqzoo_datasets::anomalies::Rule;
use serde::{Deserialize, Serialize};

/// The `[task]` section of a recipe for anomaly detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Length of the input window: number of past rows from which each forecast is made.
    #[schemars(range(min = 1, max = MAX_ROWS))]
    pub window: usize,
    /// Forecast horizon: number of rows predicted by each forecast; a row is judged by all forecasts of it.
    #[schemars(range(min = 1, max = MAX_ROWS))]
    pub horizon: usize,
    /// How far a value may lie outside of the range of all earlier values of its series, as a fraction of the width of that range, without
    /// being an anomaly for that reason alone.
    #[schemars(range(min = 0.0))]
    pub range_tolerance: f64,
    /// Number of rows after a possible alarm in which only a higher score raises another one.
    #[schemars(range(max = MAX_ROWS))]
    pub dead_time: usize,
}

/// Maximum number of rows of a setting.
const MAX_ROWS: usize = 1 << 20;

impl Default for Settings {
    fn default() -> Self {
        Self { window: 48, horizon: 24, range_tolerance: 0.05, dead_time: 150 }
    }
}

impl Settings {
    /// How errors become scores.
    pub fn rule(&self) -> Rule {
        Rule { range_tolerance: self.range_tolerance, dead_time: self.dead_time }
    }
}
