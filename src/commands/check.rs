//! `seqzoo check`

use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

use burn::tensor::Device;
use clap::Args;
use seqzoo_datasets::classification::Split;
use seqzoo_inference::Examples;
use seqzoo_models::parameters;
use seqzoo_tasks::{DynTrainingTask, ModelSpec, Task};
use seqzoo_train::speed::{rehearsal, speed};
use serde_json::json;

use crate::arguments::{BackendArgs, DataArgs, Overrides, check_split, initial, reported_split};
use crate::failure::{Failure, STORAGE};
use crate::memory::{peak_memory, reset_peak_memory};
use crate::observer::duration;
use crate::say::{quoted, say};

/// Number of batches to time per model.
const BATCHES: u32 = 5;

/// Maximum number of seconds that an evaluation may be expected to take, without baselines.
const EVALUATION: f64 = 6.0;

/// Do everything but train a recipe: resolve its values, load its data, build each model, run a few training steps, and estimate time
/// and memory.
///
/// The memory of each model is the peak of this process during training steps, also on the largest batch, a checkpoint, a validation, and an
/// evaluation with baselines as after training. It is a lower bound ("at least") if these take long, so that only the first seconds of the
/// validation are run.
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
        let reported = reported_split(recipe, &self.data, &*data)?;
        for split in [Split::Train, Split::Validation, reported] {
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
            let validated = rehearsal(&*task, &own, &device)?;
            let is_whole = is_short(validated, reported, &*data);
            if is_whole {
                evaluate(recipe.task()?, &spec, task, &*data, reported, &device)?;
            }
            let per_epoch = found.seconds / f64::from(found.batches) * batches as f64;
            let (epochs, whole) = (own.training.epochs, per_epoch * own.training.epochs as f64);
            let memory = peak_memory().max(loading).map(|bytes| bytes >> 20);
            let mut out = std::io::stdout().lock();
            if self.json {
                let line = json!({
                    "recipe": self.recipe, "model": spec.name, "parameters": weights, "batches_per_epoch": batches, "epochs": epochs,
                    "seconds_per_epoch": per_epoch, "memory_mib": memory, "memory_is_lower_bound": !is_whole,
                });
                writeln!(out, "{line}")?;
                continue;
            }
            // A peak that cannot be measured anew includes the models before.
            let about = match (is_own, is_whole) {
                (true, true) => "about",
                (true, false) => "at least",
                (false, true) => "at most about",
                (false, false) => "roughly",
            };
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

/// Whether an evaluation takes seconds, to judge by the duration of a validation; `None` if that takes long.
fn is_short(validation: Option<Duration>, split: Split, data: &dyn Examples) -> bool {
    let size = |split: Split| data.size(split).0.max(1) as f64;
    let expected = |validation: Duration| validation.as_secs_f64() * size(split) / size(Split::Validation);
    validation.is_some_and(|validation| expected(validation) < EVALUATION)
}

/// Evaluates an untrained model and the baselines on a split, without what only training needs.
fn evaluate(
    task: &Task,
    spec: &ModelSpec,
    training: Box<dyn DynTrainingTask>,
    data: &dyn Examples,
    split: Split,
    device: &Device,
) -> Result<(), Failure> {
    let (files, weights) = (training.files(), parameters::read(&*training.network(device)));
    drop(training);
    let predictor = task.open(spec, &files, &weights, device).map_err(|error| Failure::new(STORAGE, error))?;
    let baselines = predictor.baselines(data, split)?;
    let evaluation = predictor.evaluate(data, split)?;
    drop(black_box((baselines, evaluation)));
    Ok(())
}
