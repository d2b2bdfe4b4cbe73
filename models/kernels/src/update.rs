//! Update rules of optimizers.

/// Update rule of an optimizer; its equations are in `seqzoo_train::optimizer`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// θ ← θ − learning_rate · g
    Sgd,
    /// v ← momentum · v + g, θ ← θ − learning_rate · v
    Momentum {
        /// Decay of the velocity.
        momentum: f32,
    },
    /// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ − learning_rate · m / (√v + ε); `learning_rate` and ε include the bias corrections.
    Adam {
        /// Decay of the mean.
        beta_1: f32,
        /// Decay of the mean square.
        beta_2: f32,
        /// Added to √v.
        epsilon: f32,
    },
}

/// Values of an update that all rules share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Learning rate.
    pub learning_rate: f32,
    /// Factor on the gradient: gradient clipping.
    pub clip_factor: f32,
    /// g ← g + decay · θ
    pub decay: f32,
    /// θ ← θ − shrink · θ, in addition to the rule's change (decoupled weight decay).
    pub shrink: f32,
}

impl Rule {
    /// Number of state variables per parameter.
    pub fn state_variables(self) -> usize {
        match self {
            Rule::Sgd => 0,
            Rule::Momentum { .. } => 1,
            Rule::Adam { .. } => 2,
        }
    }
}
