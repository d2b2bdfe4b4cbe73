//! Text after a prompt; longer than other files because of its sampling flags and its three ways to print.

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use clap::Args;
use seqzoo_datasets::reading::{Lines, STANDARD_INPUT};
use seqzoo_inference::{Continuation, Model, PredictError, Prompt, Sampling, Until};
use seqzoo_kernels::pooled;
use serde_json::json;

use super::{KindFlags, SamplingArgs, number};
use crate::arguments::unescaped;
use crate::failure::{Failure, USAGE};
use crate::say::say;

/// Number of tokens to generate, if it is not given.
const TOKENS: usize = 200;

/// Flags of language models.
#[derive(Debug, Args)]
pub(super) struct TextArgs {
    /// Prompt; required, unless --interactive is given. Escapes: \n newline, \t tab, \\ backslash.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Read prompts from standard input, one per line, and continue each; the answer to a blank line is empty.
    #[arg(long, conflicts_with = "prompt")]
    interactive: bool,
    /// Number of tokens to generate: characters or words, as the recipe defines them [default: 200]
    #[arg(short = 'n', long = "tokens", value_name = "N")]
    tokens: Option<usize>,
    /// End before this text, after fewer than N tokens; may be repeated. Escapes as in --prompt.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// Sample from the K most probable tokens [default: from all]
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Sample from the most probable tokens whose total probability reaches P, in (0, 1] [default: 1]
    #[arg(long, value_name = "P", value_parser = probability)]
    top_p: Option<f64>,
    /// Sample from the tokens with at least P times the highest probability, in [0, 1] [default: 0]
    #[arg(long, value_name = "P", value_parser = share)]
    min_p: Option<f64>,
    /// Divide positive scores of tokens of the text so far by X, at least 1, and multiply negative ones [default: 1]
    #[arg(long, value_name = "X", value_parser = penalty)]
    repetition_penalty: Option<f64>,
    /// Print the K most probable continuations that beam search finds, instead of sampling; 1: the greedy one.
    #[arg(
        long,
        value_name = "K",
        conflicts_with_all = ["temperature", "top_k", "top_p", "min_p", "repetition_penalty", "samples", "seed"]
    )]
    beam: Option<NonZeroUsize>,
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

/// The temperature, of which text has one.
fn temperature(sampling: &SamplingArgs) -> Result<f64, Failure> {
    match sampling.temperature[..] {
        [] => Ok(1.0),
        [temperature] => Ok(temperature),
        _ => Err(Failure::new(USAGE, "--temperature: a language model needs one; several are for a sheet of drawings")),
    }
}

impl TextArgs {
    pub(super) fn flags(&self) -> KindFlags {
        let flags = vec![
            ("--prompt", self.prompt.is_some()),
            ("--interactive", self.interactive),
            ("--tokens", self.tokens.is_some()),
            ("--stop", !self.stop.is_empty()),
            ("--top-k", self.top_k.is_some()),
            ("--top-p", self.top_p.is_some()),
            ("--min-p", self.min_p.is_some()),
            ("--repetition-penalty", self.repetition_penalty.is_some()),
            ("--beam", self.beam.is_some()),
        ];
        KindFlags { models: "a language model", flags }
    }

    /// Continues the prompt, or those of standard input.
    pub(super) fn generate(&self, model: &Model, sampling: &SamplingArgs) -> Result<(), Failure> {
        let Some(prompt) = &self.prompt else {
            return match self.interactive {
                true => self.continue_lines(model, sampling),
                false => Err(Failure::new(USAGE, "a language model needs --prompt TEXT or --interactive")),
            };
        };
        match self.continue_text(model, &unescaped(prompt), sampling)? {
            true => Ok(()),
            false => Err(Failure::new(USAGE, format!("--prompt: {}", PredictError::Empty { index: 0 }))),
        }
    }

    /// Continues each line of standard input. The answer to one without a token is empty, that to one that is not text an error; neither
    /// ends the loop.
    fn continue_lines(&self, model: &Model, sampling: &SamplingArgs) -> Result<(), Failure> {
        let is_terminal = io::stdin().is_terminal();
        let mut lines = Lines::open(Path::new(STANDARD_INPUT))?;
        let mut first_error = None;
        loop {
            if is_terminal {
                eprint!("> ");
            }
            let Some(line) = lines.next() else { break };
            let answer = match line {
                Ok(line) if self.continue_text(model, &line.text, sampling)? => continue,
                Ok(line) if sampling.json => json!({"prompt": line.text, "text": ""}).to_string(),
                Ok(_) => String::new(),
                Err(error) => {
                    let message = error.to_string();
                    first_error.get_or_insert_with(|| Failure::from(error));
                    if sampling.json { json!({"error": message}).to_string() } else { format!("error: {message}") }
                }
            };
            writeln!(io::stdout(), "{answer}")?;
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Prints continuations of a text; false if it has no token.
    fn continue_text(&self, model: &Model, text: &str, sampling: &SamplingArgs) -> Result<bool, Failure> {
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
            Some(width) => self.search(model, &text, &prompt, &stops, width.get(), sampling.json),
            None => self.sample(model, &text, &prompt, &stops, sampling),
        })?;
        Ok(true)
    }

    fn sample(
        &self,
        model: &Model,
        text: &str,
        prompt: &Prompt,
        stops: &[String],
        sampling: &SamplingArgs,
    ) -> Result<(), Failure> {
        let temperature = temperature(sampling)?;
        let seeds: Vec<u64> = sampling.seeds(1).collect();
        let mut out = io::stdout().lock();
        for (number, &seed) in seeds.iter().enumerate() {
            let tokens = model.generate(prompt, self.sampling(temperature, seed))?;
            let mut pieces = Until::new(tokens.take(self.tokens.unwrap_or(TOKENS)), stops);
            if sampling.json {
                let generated: String = pieces.collect();
                writeln!(out, "{}", json!({"prompt": text, "text": generated, "seed": seed}))?;
                continue;
            }
            head(&mut out, number, seeds.len())?;
            write!(out, "{text}")?;
            out.flush()?;
            pieces.try_for_each(|piece| write!(out, "{piece}").and_then(|()| out.flush()))?;
            writeln!(out)?;
        }
        Ok(())
    }

    fn sampling(&self, temperature: f64, seed: u64) -> Sampling {
        let default = Sampling::default();
        Sampling {
            temperature,
            top_k: self.top_k.unwrap_or(default.top_k),
            top_p: self.top_p.unwrap_or(default.top_p),
            min_p: self.min_p.unwrap_or(default.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(default.repetition_penalty),
            seed,
        }
    }

    fn search(
        &self,
        model: &Model,
        text: &str,
        prompt: &Prompt,
        stops: &[String],
        width: usize,
        as_json: bool,
    ) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let found = model.continuations(prompt, self.tokens.unwrap_or(TOKENS), width, stops)?;
        let count = found.len();
        for (number, Continuation { text: continuation, log_probability }) in found.into_iter().enumerate() {
            if as_json {
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
