//! `seqzoo lab`

mod generalization;

use clap::{Args, Subcommand};

use crate::failure::Failure;

/// Run an experiment: train models on built-in problems, and compare them.
///
/// Examples: `seqzoo lab generalization parity`, `seqzoo lab generalization all --models lstm,gru --json`
#[derive(Debug, Args)]
pub struct Lab {
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Debug, Subcommand)]
enum Experiment {
    Generalization(generalization::Generalization),
}

impl Lab {
    pub fn run(&self) -> Result<(), Failure> {
        match &self.experiment {
            Experiment::Generalization(experiment) => experiment.run(),
        }
    }
}
