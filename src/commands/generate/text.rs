//! Text after a prompt; longer than other files because of its sampling flags and its three ways to print.

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use clap::Args;
use seqzoo_datasets::reading::{Lines, STANDARD_INPUT};
use seqzoo_inference::{Continuation, Model, PredictError, Prompt, Sampling, Until};
use seqzoo_kernels::pooled;
use serde_json::json;

use super::{ChoiceArgs, Kind, SamplingArgs, number};
use crate::arguments::unescaped;
use crate::failure::{Failure, USAGE};
use crate::say::say;

/// Language models.
pub(super) const KIND: Kind = Kind {
    models: "a language model",
    flags: &[
        "--prompt",
        "--interactive",
        "--tokens",
        "--stop",
        "--top-k",
        "--top-p",
        "--min-p",
        "--repetition-penalty",
        "--beam",
    ],
};

/// Flags of language models.
#[derive(Debug, Args)]
pub(super) struct TextArgs {
    /// Prompt; required, unless --interactive is given. Escapes: \n newline, \t tab, \\ backslash.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Read prompts from standard input, one per line, and continue each; the answer to a blank line is empty.
    #[arg(long, conflicts_with = "prompt")]
    interactive: bool,
    /// End before this text, after fewer than N tokens; may be repeated. Escapes as in --prompt.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = stop)]
    stop: Vec<String>,
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

fn stop(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected at least one character".to_owned()) } else { Ok(text.to_owned()) }
}

fn penalty(text: &str) -> Result<f64, String> {
    number(text, |number| number.is_finite() && number >= 1.0, "a number of at least 1")
}

impl TextArgs {
    pub(super) fn given(&self) -> [(&'static str, bool); 5] {
        [
            ("--prompt", self.prompt.is_some()),
            ("--interactive", self.interactive),
            ("--stop", !self.stop.is_empty()),
            ("--repetition-penalty", self.repetition_penalty.is_some()),
            ("--beam", self.beam.is_some()),
        ]
    }

    /// Continues the prompt, or those of standard input.
    pub(super) fn generate(&self, model: &Model, sampling: &SamplingArgs, choice: &ChoiceArgs) -> Result<(), Failure> {
        let Some(prompt) = &self.prompt else {
            return match self.interactive {
                true => self.continue_lines(model, sampling, choice),
                false => Err(Failure::new(USAGE, "a language model needs --prompt TEXT or --interactive")),
            };
        };
        match self.continue_text(model, &unescaped(prompt), sampling, choice)? {
            true => Ok(()),
            false => Err(Failure::new(USAGE, format!("--prompt: {}", PredictError::Empty { index: 0 }))),
        }
    }

    /// Continues each line of standard input. The answer to one without a token is empty, that to one that is not text an error; neither
    /// ends the loop.
    fn continue_lines(&self, model: &Model, sampling: &SamplingArgs, choice: &ChoiceArgs) -> Result<(), Failure> {
        let is_terminal = io::stdin().is_terminal();
        let mut lines = Lines::open(Path::new(STANDARD_INPUT))?;
        let mut first_error = None;
        loop {
            if is_terminal {
                eprint!("> ");
            }
            let Some(line) = lines.next() else { break };
            let answer = match line {
                Ok(line) if self.continue_text(model, &line.text, sampling, choice)? => continue,
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
    fn continue_text(
        &self,
        model: &Model,
        text: &str,
        sampling: &SamplingArgs,
        choice: &ChoiceArgs,
    ) -> Result<bool, Failure> {
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
            Some(width) => self.search(model, &text, &prompt, &stops, (width.get(), choice.tokens()), sampling.json),
            None => self.sample(model, &text, &prompt, &stops, sampling, choice),
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
        choice: &ChoiceArgs,
    ) -> Result<(), Failure> {
        let temperature = sampling.one_temperature()?;
        let repetition_penalty = self.repetition_penalty.unwrap_or(1.0);
        let seeds: Vec<u64> = sampling.seeds(1).collect();
        let mut out = io::stdout().lock();
        for (number, &seed) in seeds.iter().enumerate() {
            let options = Sampling { repetition_penalty, ..choice.sampling(temperature, seed) };
            let mut pieces = Until::new(model.generate(prompt, options)?.take(choice.tokens()), stops);
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

    fn search(
        &self,
        model: &Model,
        text: &str,
        prompt: &Prompt,
        stops: &[String],
        (width, tokens): (usize, usize),
        as_json: bool,
    ) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let found = model.continuations(prompt, tokens, width, stops)?;
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
