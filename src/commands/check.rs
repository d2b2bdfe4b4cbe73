//! `seqzoo check`

use std::io::Write;
use std::time::Duration;

use clap::Args;
use seqzoo_datasets::classification::Split;
use seqzoo_models::parameters;
use seqzoo_train::speed::{rehearsal, speed};
use serde_json::json;

use crate::arguments::{BackendArgs, DataArgs, Overrides, check_split, initial, reported_split};
use crate::failure::Failure;
use crate::memory::{peak_memory, reset_peak_memory};
use crate::observer::duration;
use crate::say::{quoted, say};

/// Number of batches to time per model.
const BATCHES: u32 = 5;

/// Do everything but train a recipe: resolve its values, load its data, build each model, run a few training steps, and estimate time
/// and memory.
///
/// The memory of each model is the peak of this process during training steps, also on the largest batch, a checkpoint and the first seconds
/// of a validation.
///
/// Examples: `seqzoo check agreement`, `seqzoo check classify --data reviews.csv --json`
#[derive(Debug, Args)]
pub struct Check {
    /// Name of a recipe (`seqzoo list recipes`), or a .toml file.
    recipe: String,
    #[command(flatten)]
    overrides: Overrides,
    /// Print one JSON object per model.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

impl Check {
    pub fn run(&self) -> Result<(), Failure> {
        let settings = self.overrides.settings(&self.recipe, &self.data)?;
        let recipe = &settings.recipe;
        let (backend, device) = self.backend.open(None)?;
        let data = self.data.load(recipe)?;
        for split in [Split::Train, Split::Validation, reported_split(recipe, &self.data, &*data)?] {
            check_split(&*data, split, recipe)?;
        }
        say(format_args!("checking {} on {} …", self.recipe, backend.name()));
        // Training begins after the data were loaded, so that it needs at least as much memory.
        let loading = peak_memory();
        for spec in recipe.specs()? {
            let is_own = reset_peak_memory();
            let (task, own) = (data.training(&spec)?, recipe.of_model(&spec.name)?);
            initial(&own, &spec, &*task, &device)?;
            let weights: usize =
                parameters::read(&*task.network(&device)).values().map(|array| array.values.len()).sum();
            let batches = task.batches(0).len();
            let found = speed(&*task, &own, BATCHES, &device)?;
            rehearsal(&*task, &own, &device)?;
            let per_epoch = found.seconds / f64::from(found.batches) * batches as f64;
            let (epochs, whole) = (own.training.epochs, per_epoch * own.training.epochs as f64);
            let memory = peak_memory().max(loading).map(|bytes| bytes >> 20);
            let mut out = std::io::stdout().lock();
            if self.json {
                let line = json!({
                    "recipe": self.recipe, "model": spec.name, "parameters": weights, "batches_per_epoch": batches, "epochs": epochs,
                    "seconds_per_epoch": per_epoch, "memory_mib": memory,
                });
                writeln!(out, "{line}")?;
                continue;
            }
            // A peak that cannot be measured anew includes the models before.
            let about = if is_own { "about" } else { "at most about" };
            let memory = memory.map_or_else(String::new, |mib| format!(", estimated memory {about} {mib} MiB"));
            writeln!(
                out,
                "{}: {weights} parameters, {batches} batches per epoch, about {} per epoch without validation, at most {} for {epochs} \
                 epochs{memory}",
                spec.name,
                duration(per_epoch),
                duration(Duration::from_secs_f64(whole.clamp(0.0, 1e9)).as_secs_f64()),
            )?;
        }
        if !self.json {
            let flags = format!("{}{}{}", self.overrides.flag(), self.data.flag(), self.backend.flag());
            writeln!(std::io::stdout().lock(), "next: seqzoo train {}{flags}", quoted(&self.recipe))?;
        }
        Ok(())
    }
}
