//! `seqzoo probe`; longer than other commands because of its options.

mod curve;
mod plot;
mod stack_name;

use std::any::Any;
use std::cmp::Reverse;
use std::fs;
use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use seqzoo_datasets::classification::{Classification, Example};
use seqzoo_inference::{Model, PredictError};
use seqzoo_models::probe::initial_gradient_norms;
use seqzoo_run::folder::Run;

use curve::Curve;

use crate::arguments::{BackendArgs, DataArgs, check_split, load_split, runs, svg_file};
use crate::failure::{DATA, Failure, STORAGE};
use crate::say::say;

/// Number of examples to measure a trained model on.
const EXAMPLES: usize = 256;

/// Measure how far gradients reach back in time.
///
/// Prints the norm of the loss's gradient at each step's hidden state, by distance from the loss and relative to
/// distance 0, which makes models with different losses comparable.
///
/// A model is an architecture or a stack: 3xrnn+residual is three rnn layers with residual connections (none, residual,
/// highway, dense).
///
/// Examples: `seqzoo probe rnn lstm gru 3xrnn+residual --lag 100`, `seqzoo probe --run last --svg reach.svg`
#[derive(Debug, Args)]
pub struct Probe {
    /// Untrained models to compare.
    #[arg(default_values_t = ["rnn", "lstm", "gru", "3xrnn+residual"].map(str::to_owned), conflicts_with = "run")]
    models: Vec<String>,
    /// Largest distance from the loss, in time steps.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    lag: u16,
    /// Input and hidden size of untrained models.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    size: u16,
    /// Random seed of untrained weights and noise inputs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Measure the trained classifiers of this run on its data instead.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Plot the norms to an SVG file, overwriting it.
    #[arg(long, value_name = "FILE.svg", value_parser = svg_file)]
    svg: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

/// A model's name and its norms by distance.
type Norms = (String, Vec<f64>);

impl Probe {
    pub fn run(&self) -> Result<(), Failure> {
        let (_, device) = self.backend.open(None)?;
        let (measured, what) = match &self.run {
            None => {
                let mut measured = Vec::new();
                for name in &self.models {
                    let shape = stack_name::shape(name, usize::from(self.size))?;
                    say(format_args!("measuring {name} …"));
                    let norms = initial_gradient_norms(shape, usize::from(self.lag), self.seed, &device);
                    measured.push((name.clone(), norms));
                }
                (measured, format!("untrained weights, seed {}, size {}, noise inputs", self.seed, self.size))
            }
            Some(name) => self.of_run(&runs().find(name)?, &device)?,
        };
        let mut curves = Vec::new();
        for (name, norms) in &measured {
            match Curve::new(name, norms) {
                Ok(curve) => curves.push(curve),
                Err(why) if measured.len() == 1 => return Err(Failure::new(DATA, why)),
                Err(why) => say(format_args!("note: {why}; skipped")),
            }
        }
        if curves.is_empty() {
            return Err(Failure::new(DATA, "no model has a finite, non-zero gradient norm at distance 0"));
        }
        if self.json {
            curve::print_json(&curves, &what)?
        } else {
            curve::print(&curves, &what)?
        }
        if let Some(path) = &self.svg {
            let failed =
                |error: &dyn std::fmt::Display| Failure::new(STORAGE, format!("--svg {}: {error}", path.display()));
            let picture = plot::draw(&curves, &what).map_err(|error| failed(&error))?;
            fs::write(path, picture).map_err(|error| failed(&error))?;
            say(format_args!("wrote {}", path.display()));
        }
        Ok(())
    }

    /// Norms of a run's models on their longest examples, by number of encoded tokens, and a description of the measurement.
    fn of_run(&self, run: &Run, device: &Device) -> Result<(Vec<Norms>, String), Failure> {
        let recipe = &run.environment.settings.recipe;
        let models = recipe.models.iter().map(|name| Ok((name.clone(), Model::open(&run.model(name), device)?)));
        let models: Vec<(String, Model)> = models.collect::<Result<_, Failure>>()?;
        let (data, split) = load_split(&self.data, run, None, &[])?;
        let data = data.examples;
        check_split(&*data, split, recipe)?;
        let data: &dyn Any = &*data;
        let data: &Classification = data.downcast_ref().ok_or(PredictError::NotClassifier)?;
        let mut measured = Vec::new();
        let mut count = 0;
        for (name, model) in models {
            let classifier = model.classifier()?;
            let encoded = |example: &Example| (classifier.encode(&example.text).len(), example.clone());
            let mut examples: Vec<(usize, Example)> = data.split(split).iter().map(encoded).collect();
            examples.retain(|&(tokens, _)| tokens > 0);
            examples.sort_by_key(|&(tokens, _)| Reverse(tokens));
            examples.truncate(EXAMPLES);
            count = examples.len();
            let examples: Vec<Example> = examples.into_iter().map(|(_, example)| example).collect();
            let mut norms = classifier.gradient_norms_by_distance(&examples);
            norms.truncate(usize::from(self.lag) + 1);
            measured.push((name, norms));
        }
        Ok((measured, format!("run {}, the {count} longest examples of {}", run.path.display(), split.name())))
    }
}
