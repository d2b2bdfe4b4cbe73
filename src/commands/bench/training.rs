//! `seqzoo bench training`

use std::io::Write;

use burn::tensor::DType;
use clap::Args;
use seqzoo_datasets::classification::Split;
use seqzoo_kernels::{InstructionSet, supports};
use seqzoo_train::speed::{Speed, speed};
use serde_json::json;

use super::measurement::{engine, threads};
use crate::arguments::{BackendArgs, DataArgs, Overrides, check_split};
use crate::failure::Failure;
use crate::memory::peak_memory;
use crate::say::say;

/// Benchmark the training of a recipe in tokens per second, from text to updated weights.
#[derive(Debug, Args)]
pub struct Training {
    /// Name of a recipe (`seqzoo list recipes`), or a .toml file.
    recipe: String,
    #[command(flatten)]
    overrides: Overrides,
    /// Number of batches to time, after a tenth as many warm-up batches.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    batches: u32,
    /// Print one JSON object per model.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

impl Training {
    pub fn run(&self) -> Result<(), Failure> {
        let settings = self.overrides.settings(&self.recipe, &self.data)?;
        let recipe = &settings.recipe;
        let (backend, device) = self.backend.open(None)?;
        let data = self.data.load(recipe)?;
        check_split(&*data, Split::Train, recipe)?;
        let fused = supports(&device, DType::F32);
        say(format_args!("{} backend, {}, {} threads", backend.name(), engine(fused), threads()));
        for spec in recipe.specs()? {
            let training = data.training(&spec)?;
            let recipe = recipe.of_model(&spec.name)?;
            let Speed { batches, tokens, seconds } = speed(&*training, &recipe, self.batches, &device)?;
            let name = &spec.name;
            let (tokens_per_second, memory) = (tokens as f64 / seconds, peak_memory().map(|bytes| bytes >> 20));
            let mut out = std::io::stdout().lock();
            if self.json {
                let line = json!({
                    "recipe": self.recipe, "model": name, "batches": batches, "tokens": tokens, "seconds": seconds,
                    "tokens_per_second": tokens_per_second, "peak_mib": memory, "fused": fused,
                    "instructions": format!("{:?}", InstructionSet::default()), "threads": threads(),
                });
                writeln!(out, "{line}")?;
            } else {
                let memory = memory.map_or_else(String::new, |mib| format!(", peak memory {mib} MiB"));
                writeln!(
                    out,
                    "{name}: {tokens_per_second:.0} tokens/s over {batches} batches in {seconds:.1} s{memory}"
                )?;
            }
        }
        Ok(())
    }
}
