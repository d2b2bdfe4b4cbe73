//! `seqzoo generate`: the flags of every kind of model, and the choice among the kinds, one file each.

mod drawings;
mod music;
mod sheet;
mod text;

use std::num::NonZeroUsize;

use clap::Args;
use seqzoo_inference::Sampling;

use crate::arguments::ModelArgs;
use crate::failure::{Failure, USAGE};

/// Generate text from a prompt with a language model, music with a model of music, or drawings with a model of pen drawings.
///
/// Text is generated token by token; tokens of the prompt that are not in the vocabulary are replaced by the unknown token, with a note.
/// Music is printed as MIDI numbers, a frame per line, or written to MIDI files.
/// Drawings are printed as JSON Lines in the form of Quick, Draw!, or drawn as a sheet with a row for each temperature.
///
/// Examples: `seqzoo generate last --prompt "ROMEO:" -n 500 --temperature 0.8`,
/// `seqzoo generate last --prompt "the keys" --top-k 5 --samples 3`,
/// `seqzoo generate last --prompt "the keys" --beam 4 --stop ". "`,
/// `seqzoo generate last --midi chorale.mid --temperature 0.8`,
/// `seqzoo generate last --svg drawings.svg --temperature 0.1,0.5,1`
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten, next_help_heading = "Text and music")]
    choice: ChoiceArgs,
    #[command(flatten, next_help_heading = "Language models")]
    text: text::TextArgs,
    #[command(flatten, next_help_heading = "Models of music")]
    music: music::MusicArgs,
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

    /// The temperature, of which text and music have one.
    fn one_temperature(&self) -> Result<f64, Failure> {
        match self.temperature[..] {
            [] => Ok(1.0),
            [temperature] => Ok(temperature),
            _ => Err(Failure::new(USAGE, "--temperature: this model needs one; several are for a sheet of drawings")),
        }
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

/// Flags of several kinds of models.
#[derive(Debug, Args)]
struct ChoiceArgs {
    /// Number of tokens to generate, characters or words as the recipe defines them, or of frames of music [default: 200]
    #[arg(short = 'n', long = "tokens", value_name = "N")]
    tokens: Option<usize>,
    /// Sample from the K most probable tokens or notes of a voice [default: from all]
    #[arg(long, value_name = "K")]
    top_k: Option<NonZeroUsize>,
    /// Sample from the most probable tokens or notes of a voice whose total probability reaches P, in (0, 1] [default: 1]
    #[arg(long, value_name = "P", value_parser = probability)]
    top_p: Option<f64>,
    /// Sample from the tokens or notes of a voice with at least P times the highest probability, in [0, 1] [default: 0]. Of music, these three
    /// are for voices: the keys of a model with task.frame = "keys" are independent of each other.
    #[arg(long, value_name = "P", value_parser = share)]
    min_p: Option<f64>,
}

/// Number of tokens or frames to generate, if it is not given.
const TOKENS: usize = 200;

impl ChoiceArgs {
    fn given(&self) -> [(&'static str, bool); 4] {
        [
            ("--tokens", self.tokens.is_some()),
            ("--top-k", self.top_k.is_some()),
            ("--top-p", self.top_p.is_some()),
            ("--min-p", self.min_p.is_some()),
        ]
    }

    fn tokens(&self) -> usize {
        self.tokens.unwrap_or(TOKENS)
    }

    /// Sampling at a temperature, without a repetition penalty.
    fn sampling(&self, temperature: f64, seed: u64) -> Sampling {
        let default = Sampling::default();
        Sampling {
            temperature,
            top_k: self.top_k.map_or(default.top_k, NonZeroUsize::get),
            top_p: self.top_p.unwrap_or(default.top_p),
            min_p: self.min_p.unwrap_or(default.min_p),
            seed,
            ..default
        }
    }
}

fn probability(text: &str) -> Result<f64, String> {
    number(text, |number| number > 0.0 && number <= 1.0, "a number above 0 and at most 1")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |number| (0.0..=1.0).contains(&number), "a number from 0 to 1")
}

/// A kind of model, with the flags that apply to it.
struct Kind {
    /// Such models, with an article.
    models: &'static str,
    flags: &'static [&'static str],
}

/// Flags that apply to every kind.
const COMMON: [&str; 4] = ["--samples", "--temperature", "--seed", "--json"];

impl Kind {
    const ALL: [&Self; 3] = [&text::KIND, &music::KIND, &drawings::KIND];

    /// Checks that the given flags apply.
    fn check(&self, mut given: impl Iterator<Item = &'static str>) -> Result<(), Failure> {
        let Some(flag) = given.find(|flag| !self.flags.contains(flag)) else { return Ok(()) };
        let applies = Self::ALL.into_iter().filter(|kind| kind.flags.contains(&flag));
        let needed = applies.map(|kind| kind.models).collect::<Vec<_>>().join(" or ");
        let known = [self.flags, &COMMON].concat().join(", ");
        Err(Failure::new(USAGE, format!("{flag} needs {needed}, but this is {}; its flags are {known}", self.models)))
    }
}

impl Generate {
    pub fn run(&self) -> Result<(), Failure> {
        let (_, _, model) = self.model.open()?;
        let Self { text, music, drawings, choice, sampling, .. } = self;
        let all = text.given().into_iter().chain(music.given()).chain(drawings.given()).chain(choice.given());
        let given = all.filter(|(_, is_given)| *is_given).map(|(flag, _)| flag);
        if let Ok(strokes) = model.strokes_model() {
            drawings::KIND.check(given)?;
            return drawings.generate(strokes, sampling);
        }
        if let Ok(composer) = model.music() {
            music::KIND.check(given)?;
            return music.generate(&model, composer.codec(), sampling, choice);
        }
        model.language_model().map_err(|error| {
            Failure::new(USAGE, format!("{error}, nor one of music or drawings; see `seqzoo list recipes`"))
        })?;
        text::KIND.check(given)?;
        text.generate(&model, sampling, choice)
    }
}
