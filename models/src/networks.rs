//! Whole networks, from tokens to scores.

mod classifier;

pub use classifier::{Classifier, ClassifierShape};
