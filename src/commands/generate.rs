//! `seqzoo generate`

use std::io::{self, Write};

use clap::Args;
use seqzoo_inference::{PredictError, Sampling};
use seqzoo_kernels::pooled;

use crate::arguments::{ModelArgs, unescaped};
use crate::failure::{Failure, USAGE};

/// Generate text from a prompt with a language model, token by token.
///
/// Examples: `seqzoo generate last --prompt "ROMEO:" -n 500 --temperature 0.8`,
/// `seqzoo generate last --prompt "the keys" --top-k 5 --seed 7`
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    model: ModelArgs,
    /// Prompt. Escapes: \n newline, \t tab, \\ backslash.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: String,
    /// Number of tokens to generate: characters or words, as the recipe defines them.
    #[arg(short = 'n', long = "tokens", value_name = "N", default_value_t = 200)]
    tokens: usize,
    /// Sampling temperature; 0 always picks the most probable token (greedy decoding).
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature, allow_hyphen_values = true)]
    temperature: f64,
    /// Sample from the K most probable tokens; 0: from all.
    #[arg(long, value_name = "K", default_value_t = 0)]
    top_k: usize,
    /// Sample from the most probable tokens whose total probability reaches P, in (0, 1].
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = probability)]
    top_p: f64,
    /// Random seed; the same seed generates the same text.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

fn temperature(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("expected a number of at least 0".to_owned()) }
}

fn probability(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if number > 0.0 && number <= 1.0 { Ok(number) } else { Err("expected a number above 0 and at most 1".to_owned()) }
}

impl Generate {
    pub fn run(&self) -> Result<(), Failure> {
        let (_, _, model) = self.model.open()?;
        let Self { temperature, top_k, top_p, seed, .. } = *self;
        let sampling = Sampling { temperature, top_k, top_p, seed };
        pooled(|| {
            // The line ends of the texts that models are trained on.
            let prompt = unescaped(&self.prompt).replace("\r\n", "\n").replace('\r', "\n");
            let mut generated = model.generate(&prompt, sampling).map_err(|error| match error {
                PredictError::Empty { .. } => Failure::new(USAGE, format!("--prompt: {error}")),
                error => error.into(),
            })?;
            let mut out = io::stdout().lock();
            write!(out, "{prompt}")?;
            out.flush()?;
            for piece in generated.by_ref().take(self.tokens) {
                write!(out, "{piece}")?;
                out.flush()?;
            }
            Ok(writeln!(out)?)
        })
    }
}
