//! `seqzoo generate`: the flags of every kind of model, and the choice among the kinds, one file each.

mod drawings;
mod sheet;
mod text;

use std::num::NonZeroUsize;

use clap::Args;

use crate::arguments::ModelArgs;
use crate::failure::{Failure, USAGE};

/// Generate text from a prompt with a language model, or drawings with a model of pen drawings.
///
/// Text is generated token by token; tokens of the prompt that are not in the vocabulary are replaced by the unknown token, with a note.
/// Drawings are printed as JSON Lines in the form of Quick, Draw!, or drawn as a sheet with a row for each temperature.
///
/// Examples: `seqzoo generate last --prompt "ROMEO:" -n 500 --temperature 0.8`,
/// `seqzoo generate last --prompt "the keys" --top-k 5 --samples 3`,
/// `seqzoo generate last --prompt "the keys" --beam 4 --stop ". "`,
/// `seqzoo generate last --svg drawings.svg --temperature 0.1,0.5,1`
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten, next_help_heading = "Language models")]
    text: text::TextArgs,
    #[command(flatten, next_help_heading = "Models of drawings")]
    drawings: drawings::DrawingArgs,
}

/// Flags of every kind of model.
#[derive(Debug, Args)]
struct SamplingArgs {
    /// Number of samples, with seeds from --seed on [default: 1; of a sheet of drawings, 8 for each temperature]
    #[arg(long, value_name = "N")]
    samples: Option<NonZeroUsize>,
    /// Sampling temperature, or several for drawings; 0 always picks the most probable token or point [default: 1; of a sheet of
    /// drawings, 0.1,0.4,0.7,1]
    #[arg(long, value_name = "T", value_delimiter = ',', value_parser = temperature, allow_hyphen_values = true)]
    temperature: Vec<f64>,
    /// Random seed; the same seed generates the same output.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object per sample.
    #[arg(long)]
    json: bool,
}

impl SamplingArgs {
    /// The seed of each sample.
    fn seeds(&self, default: usize) -> impl Iterator<Item = u64> {
        let (seed, samples) = (self.seed, self.samples.map_or(default, NonZeroUsize::get));
        (0..samples as u64).map(move |number| seed.wrapping_add(number))
    }

    /// The temperatures.
    fn temperatures(&self, default: &[f64]) -> Vec<f64> {
        if self.temperature.is_empty() { default.to_vec() } else { self.temperature.clone() }
    }
}

/// Parses a number, which must be valid; `expected` describes those that are.
fn number(text: &str, is_valid: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    text.parse().ok().filter(|&number| is_valid(number)).ok_or_else(|| format!("expected {expected}"))
}

fn temperature(text: &str) -> Result<f64, String> {
    number(text, |number| number.is_finite() && number >= 0.0, "a number of at least 0")
}

/// Flags that only one kind of model has.
struct KindFlags {
    /// Such models, with an article.
    models: &'static str,
    /// Each flag, and whether it is given.
    flags: Vec<(&'static str, bool)>,
}

impl KindFlags {
    /// Checks that no flag of another kind is given.
    fn check(&self, others: &[Self]) -> Result<(), Failure> {
        let names = |kind: &Self| kind.flags.iter().map(|(flag, _)| *flag).collect::<Vec<_>>().join(", ");
        for other in others {
            if let Some((flag, _)) = other.flags.iter().find(|(_, is_given)| *is_given) {
                let (needed, own, known) = (other.models, self.models, names(self));
                let message = format!(
                    "{flag} needs {needed}, but this is {own}; its flags are {known}, --samples, --temperature, --seed, --json"
                );
                return Err(Failure::new(USAGE, message));
            }
        }
        Ok(())
    }
}

impl Generate {
    pub fn run(&self) -> Result<(), Failure> {
        let (_, _, model) = self.model.open()?;
        let (text, drawings) = (self.text.flags(), self.drawings.flags());
        if let Ok(strokes) = model.strokes_model() {
            drawings.check(&[text])?;
            return self.drawings.generate(strokes, &self.sampling);
        }
        model
            .language_model()
            .map_err(|error| Failure::new(USAGE, format!("{error}, nor one of drawings; see `seqzoo list recipes`")))?;
        text.check(&[drawings])?;
        self.text.generate(&model, &self.sampling)
    }
}
