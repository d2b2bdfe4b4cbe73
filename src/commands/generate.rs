//! `seqzoo generate`; longer than other commands because of its sampling flags and its three ways to print.

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use clap::Args;
use seqzoo_datasets::reading::{Lines, STANDARD_INPUT};
use seqzoo_inference::{Continuation, Model, PredictError, Prompt, Sampling, Until};
use seqzoo_kernels::pooled;
use serde_json::json;

use crate::arguments::{ModelArgs, unescaped};
use crate::failure::{Failure, USAGE};
use crate::say::say;

/// Generate text from a prompt with a language model, token by token.
///
/// Tokens of the prompt that are not in the vocabulary are replaced by the unknown token, with a note.
///
/// Examples: `seqzoo generate last --prompt "ROMEO:" -n 500 --temperature 0.8`,
/// `seqzoo generate last --prompt "the keys" --top-k 5 --samples 3`,
/// `seqzoo generate last --prompt "the keys" --beam 4 --stop ". "`
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    model: ModelArgs,
    /// Prompt. Escapes: \n newline, \t tab, \\ backslash.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, required_unless_present = "interactive")]
    prompt: Option<String>,
    /// Read prompts from standard input, one per line, and continue each; the answer to a blank line is empty.
    #[arg(long, conflicts_with = "prompt")]
    interactive: bool,
    /// Number of tokens to generate: characters or words, as the recipe defines them.
    #[arg(short = 'n', long = "tokens", value_name = "N", default_value_t = 200)]
    tokens: usize,
    /// End before this text, after fewer than N tokens; may be repeated. Escapes as in --prompt.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// Number of texts to sample, with seeds from --seed on.
    #[arg(long, value_name = "N", default_value = "1")]
    samples: NonZeroUsize,
    /// Sampling temperature; 0 always picks the most probable token (greedy decoding).
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature, allow_hyphen_values = true)]
    temperature: f64,
    /// Sample from the K most probable tokens; 0: from all.
    #[arg(long, value_name = "K", default_value_t = 0)]
    top_k: usize,
    /// Sample from the most probable tokens whose total probability reaches P, in (0, 1].
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = probability)]
    top_p: f64,
    /// Sample from the tokens with at least P times the highest probability, in [0, 1].
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    min_p: f64,
    /// Divide positive scores of tokens of the text so far by X, at least 1, and multiply negative ones.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = penalty)]
    repetition_penalty: f64,
    /// Print the K most probable continuations that beam search finds, instead of sampling; 1: the greedy one.
    #[arg(
        long,
        value_name = "K",
        conflicts_with_all = ["temperature", "top_k", "top_p", "min_p", "repetition_penalty", "samples", "seed"]
    )]
    beam: Option<NonZeroUsize>,
    /// Random seed; the same seed generates the same text.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object per text.
    #[arg(long)]
    json: bool,
}

fn number(text: &str, is_valid: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    text.parse().ok().filter(|&number| is_valid(number)).ok_or_else(|| format!("expected {expected}"))
}

fn temperature(text: &str) -> Result<f64, String> {
    number(text, |number| number.is_finite() && number >= 0.0, "a number of at least 0")
}

fn probability(text: &str) -> Result<f64, String> {
    number(text, |number| number > 0.0 && number <= 1.0, "a number above 0 and at most 1")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |number| (0.0..=1.0).contains(&number), "a number from 0 to 1")
}

fn penalty(text: &str) -> Result<f64, String> {
    number(text, |number| number.is_finite() && number >= 1.0, "a number of at least 1")
}

impl Generate {
    pub fn run(&self) -> Result<(), Failure> {
        let (_, _, model) = self.model.open()?;
        let Some(prompt) = &self.prompt else { return self.continue_lines(&model) };
        match self.continue_text(&model, &unescaped(prompt))? {
            true => Ok(()),
            false => Err(Failure::new(USAGE, format!("--prompt: {}", PredictError::Empty { index: 0 }))),
        }
    }

    /// Continues each line of standard input. The answer to one without a token is empty, that to one that is not text an error; neither
    /// ends the loop.
    fn continue_lines(&self, model: &Model) -> Result<(), Failure> {
        let is_terminal = io::stdin().is_terminal();
        let mut lines = Lines::open(Path::new(STANDARD_INPUT))?;
        let mut first_error = None;
        loop {
            if is_terminal {
                eprint!("> ");
            }
            let Some(line) = lines.next() else { break };
            let answer = match line {
                Ok(line) if self.continue_text(model, &line.text)? => continue,
                Ok(line) if self.json => json!({"prompt": line.text, "text": ""}).to_string(),
                Ok(_) => String::new(),
                Err(error) => {
                    let message = error.to_string();
                    first_error.get_or_insert_with(|| Failure::from(error));
                    if self.json { json!({"error": message}).to_string() } else { format!("error: {message}") }
                }
            };
            writeln!(io::stdout(), "{answer}")?;
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Prints continuations of a text; false if it has no token.
    fn continue_text(&self, model: &Model, text: &str) -> Result<bool, Failure> {
        // The line ends of the texts that models are trained on.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let prompt = match model.prompt(&text) {
            Err(PredictError::Empty { .. }) => return Ok(false),
            prompt => prompt?,
        };
        if !prompt.unknown.is_empty() {
            let list: Vec<String> = prompt.unknown.iter().map(|token| format!("{token:?}")).collect();
            say(format_args!("note: not in the vocabulary, and replaced by the unknown token: {}", list.join(", ")));
        }
        let stops: Vec<String> = self.stop.iter().map(|stop| unescaped(stop)).collect();
        pooled(|| match self.beam {
            Some(width) => self.search(model, &text, &prompt, &stops, width.get()),
            None => self.sample(model, &text, &prompt, &stops),
        })?;
        Ok(true)
    }

    fn sample(&self, model: &Model, text: &str, prompt: &Prompt, stops: &[String]) -> Result<(), Failure> {
        let Self { temperature, top_k, top_p, min_p, repetition_penalty, .. } = *self;
        let mut out = io::stdout().lock();
        for number in 0..self.samples.get() {
            let seed = self.seed.wrapping_add(number as u64);
            let sampling = Sampling { temperature, top_k, top_p, min_p, repetition_penalty, seed };
            let mut pieces = Until::new(model.generate(prompt, sampling)?.take(self.tokens), stops);
            if self.json {
                let generated: String = pieces.collect();
                writeln!(out, "{}", json!({"prompt": text, "text": generated, "seed": seed}))?;
                continue;
            }
            head(&mut out, number, self.samples.get())?;
            write!(out, "{text}")?;
            out.flush()?;
            pieces.try_for_each(|piece| write!(out, "{piece}").and_then(|()| out.flush()))?;
            writeln!(out)?;
        }
        Ok(())
    }

    fn search(
        &self,
        model: &Model,
        text: &str,
        prompt: &Prompt,
        stops: &[String],
        width: usize,
    ) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let found = model.continuations(prompt, self.tokens, width, stops)?;
        let count = found.len();
        for (number, Continuation { text: continuation, log_probability }) in found.into_iter().enumerate() {
            if self.json {
                let object = json!({"prompt": text, "text": continuation, "log_probability": log_probability});
                writeln!(out, "{object}")?;
            } else {
                head(&mut out, number, count)?;
                writeln!(out, "{text}{continuation}")?;
            }
        }
        Ok(())
    }
}

/// A line that separates several texts.
fn head(out: &mut impl Write, number: usize, count: usize) -> io::Result<()> {
    if count > 1 { writeln!(out, "--- {} of {count}", number + 1) } else { Ok(()) }
}
