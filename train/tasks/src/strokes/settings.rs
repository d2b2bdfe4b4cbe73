//! Settings of models of pen drawings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::MAX_COUNT;

/// Maximum number of components of a mixture.
const MAX_MIXTURES: usize = 1_000;

/// The `[task]` section of a recipe for pen drawings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Number of bivariate normal distributions whose mixture is the distribution of the next offset (Graves 2013). 1: a single one.
    #[schemars(range(min = 1, max = MAX_MIXTURES))]
    pub mixtures: usize,
    /// Maximum number of points of a drawing: longer ones are left out, and a generated one ends after as many.
    #[schemars(range(min = 2, max = MAX_COUNT))]
    pub max_points: usize,
    /// Augmentation of the training split: in each epoch, the x and the y axis of each drawing are multiplied by random factors from
    /// 1 - `augment` to 1 + `augment`. 0: none.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub augment: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mixtures: 20, max_points: 250, augment: 0.0 }
    }
}
