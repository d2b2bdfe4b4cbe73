//! The run and model of commands that predict.

use clap::Args;
use seqzoo_inference::Model;
use seqzoo_run::did_you_mean;
use seqzoo_run::folder::Run;
use seqzoo_run::store::RunStore;

use super::backend::BackendArgs;
use crate::failure::{Failure, USAGE};
use crate::say::say;

/// The runs of the working directory.
pub fn runs() -> RunStore {
    RunStore::new("runs")
}

/// Choice of a trained model.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Run: a path, a name or a unique prefix of it, or `last`.
    run: String,
    /// Model of the run to use [default: the recipe's first]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[command(flatten)]
    backend: BackendArgs,
}

impl ModelArgs {
    /// Opens the run and its model; returns both and the model's name.
    pub fn open(&self) -> Result<(Run, String, Model), Failure> {
        let run = runs().find(&self.run)?;
        let models = &run.environment.settings.recipe.models;
        let name = self.model.as_ref().unwrap_or(&models[0]);
        if !models.contains(name) {
            let hint = did_you_mean(name, models.iter().map(String::as_str));
            let message = format!("--model {name}: run {} has {}{hint}", run.name(), models.join(", "));
            return Err(Failure::new(USAGE, message));
        }
        let (_, device) = self.backend.open(None)?;
        let model = Model::open(&run.model(name), &device)?;
        if let Some(warning) = model.warning() {
            say(format_args!("warning: {name}: {warning}; using its checkpoint after {} updates", model.step));
        }
        let name = name.clone();
        Ok((run, name, model))
    }
}
