//! `seqzoo predict`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use seqzoo_datasets::DataError;
use seqzoo_datasets::conllu::{self, Sentence, Sentences};
use seqzoo_datasets::reading::{Line, Lines, STANDARD_INPUT};
use seqzoo_datasets::tagging;
use seqzoo_inference::{Model, Output, PredictError, TextOptions};
use seqzoo_tasks::tagging::tagged;
use serde_json::{Map, Value, json};

use super::{ModelArgs, unescaped};
use crate::failure::{DATA, Failure, USAGE};

/// Predict with a run's best checkpoint: one prediction per text.
///
/// A file or standard input contains one text per line; predictions are printed in order, as lines arrive. A line without
/// tokens, such as a blank one, has an empty prediction. An unreadable line prints an error in its place, and the exit
/// code is 4.
///
/// Examples: `seqzoo predict last "the keys to the cabinet"`, `seqzoo predict last --json - < lines.txt`,
/// `seqzoo predict last --file sentences.conllu --format conll`
#[derive(Debug, Args)]
pub struct Predict {
    #[command(flatten)]
    model: ModelArgs,
    /// Text to predict from, or - for standard input, one text per line. Escapes, in this argument alone: \n newline, \t tab,
    /// \\ backslash.
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_hyphen_values = true)]
    text: Option<String>,
    /// File with one text per line, optionally gzipped, or - for standard input. Taggers also accept CoNLL-U, detected
    /// by its columns or by the suffix .conllu.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Format of the file or standard input [default: detected]
    #[arg(long, value_name = "FORMAT")]
    input_format: Option<InputFormat>,
    /// Output format; conll (CoNLL-U) is for taggers.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Beam width of sequence-to-sequence models; JSON output lists as many hypotheses.
    #[arg(long, value_name = "WIDTH", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    beam: u16,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InputFormat {
    /// One text per line.
    Text,
    /// CoNLL-U, for taggers.
    Conllu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per prediction.
    Table,
    /// One JSON object per prediction.
    Json,
    /// CoNLL-U.
    Conll,
}

/// Number of CoNLL-U sentences per batch.
const BATCH_SIZE: usize = 64;

/// Number of lines examined to detect the format: more than the leading comments of any file.
const DETECTION_LINES: usize = 1_000;

/// Number of unreadable inputs, and the first error message.
#[derive(Debug, Default)]
struct Failed {
    count: usize,
    first: String,
}

impl Predict {
    pub fn run(&self) -> Result<(), Failure> {
        let (run, _, model) = self.model.open()?;
        for (flag, is_conllu) in [
            ("--format conll", self.format() == Format::Conll),
            ("--input-format conllu", self.input_format == Some(InputFormat::Conllu)),
        ] {
            if is_conllu && model.tagger().is_err() {
                let message = format!("{flag}: run {} does not label tokens; CoNLL-U is for taggers", run.name());
                return Err(Failure::new(USAGE, message));
            }
        }
        match (&self.file, self.text.as_deref()) {
            (None, Some(text)) if text != STANDARD_INPUT => {
                self.print(&self.prediction(&model, text, &unescaped(text))?)
            }
            (path, _) => self.bulk(&model, path.as_deref().unwrap_or(Path::new(STANDARD_INPUT))),
        }
    }

    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// Predicts every line or sentence of a file.
    fn bulk(&self, model: &Model, path: &Path) -> Result<(), Failure> {
        let mut lines = Lines::open(path).map_err(|error| match error {
            DataError::Unreadable { path, source } => {
                Failure::new(DATA, format!("--file {}: {source}", path.display()))
            }
            other => other.into(),
        })?;
        let mut looked_at = Vec::new();
        let is_conllu = match self.input_format {
            Some(format) => format == InputFormat::Conllu,
            None => model.tagger().is_ok() && (conllu::is_named(path) || starts_as_conllu(&mut lines, &mut looked_at)),
        };
        let lines = looked_at.into_iter().chain(lines);
        let mut failed = Failed::default();
        match is_conllu {
            true => self.sentences(model, path, lines, &mut failed)?,
            false => self.lines(model, lines, &mut failed)?,
        }
        match failed {
            Failed { count: 0, .. } => Ok(()),
            Failed { count: 1, first } => Err(Failure::new(DATA, first)),
            Failed { count, first } => Err(Failure::new(DATA, format!("{first} (and {} more)", count - 1))),
        }
    }

    fn lines(
        &self,
        model: &Model,
        lines: impl Iterator<Item = Result<Line, DataError>>,
        failed: &mut Failed,
    ) -> Result<(), Failure> {
        for line in lines {
            let prediction = match line {
                Err(error) => self.failed(&error, failed),
                Ok(Line { text, .. }) => match self.prediction(model, &text, &text) {
                    Err(PredictError::Empty { .. }) => self.empty(model, &text),
                    prediction => prediction?,
                },
            };
            self.print(&prediction)?;
        }
        Ok(())
    }

    /// Tags the words of CoNLL-U sentences; all other columns and comments are kept.
    fn sentences(
        &self,
        model: &Model,
        path: &Path,
        lines: impl Iterator<Item = Result<Line, DataError>>,
        failed: &mut Failed,
    ) -> Result<(), Failure> {
        let mut sentences = Sentences::new(path, lines).peekable();
        if sentences.peek().is_none() {
            return Err(conllu::no_sentences(path).into());
        }
        // Predict each sentence at once for interactive input.
        let batch_size = if path == Path::new(STANDARD_INPUT) { 1 } else { BATCH_SIZE };
        while sentences.peek().is_some() {
            let batch: Vec<Result<Sentence, DataError>> = sentences.by_ref().take(batch_size).collect();
            let forms = |sentence: &Sentence| sentence.forms().into_iter().map(str::to_owned).collect();
            let tokens: Vec<Vec<String>> = batch.iter().flatten().map(forms).collect();
            let mut labeled = tokens.iter().zip(model.tagger()?.predict_tags(&tokens)?);
            for sentence in &batch {
                let output = match sentence {
                    Err(error) => self.failed(error, failed),
                    Ok(sentence) => {
                        let (tokens, labels) = labeled.next().expect("each sentence was labeled");
                        match self.format() {
                            Format::Conll => sentence.with_tags(&labels),
                            Format::Table | Format::Json => self.output("", tagged(tokens, &labels)),
                        }
                    }
                };
                self.print(&output)?;
            }
        }
        Ok(())
    }

    /// The printed prediction of a text, which is shown as it was given.
    fn prediction(&self, model: &Model, given: &str, text: &str) -> Result<String, PredictError> {
        if self.format() == Format::Conll {
            let tokens = [tagging::tokenize(text)];
            let labels = model.tagger()?.predict_tags(&tokens)?.remove(0);
            return Ok(Sentence::from_text(text, &tokens[0]).with_tags(&labels));
        }
        let options = TextOptions { beams: self.beam.into() };
        let output = model.predictor().predict(&[text], options)?.remove(0);
        Ok(self.output(given, output))
    }

    /// The printed prediction of a line without tokens.
    fn empty(&self, model: &Model, text: &str) -> String {
        match self.format() {
            Format::Table | Format::Conll => "\n".to_owned(),
            Format::Json => self.output(text, model.predictor().empty_output()),
        }
    }

    /// An output as one line, with the text unless the output shows it.
    fn output(&self, text: &str, output: Output) -> String {
        let Output { line, json, shows_input } = output;
        match (self.format(), shows_input) {
            (Format::Json, true) => format!("{}\n", Value::Object(json)),
            (Format::Json, false) => {
                let text = [("text".to_owned(), Value::from(text))];
                format!("{}\n", Value::Object(text.into_iter().chain(json).collect::<Map<_, _>>()))
            }
            (Format::Table | Format::Conll, true) => format!("{line}\n"),
            (Format::Table | Format::Conll, false) => format!("{line}  {text}\n"),
        }
    }

    /// The printed error of an unreadable input, which is counted.
    fn failed(&self, error: &DataError, failed: &mut Failed) -> String {
        let message = error.to_string();
        let output = match self.format() {
            Format::Table => format!("error: {message}\n"),
            Format::Json => format!("{}\n", json!({"error": message})),
            Format::Conll => format!("# error = {message}\n\n"),
        };
        if failed.count == 0 {
            failed.first = message;
        }
        failed.count += 1;
        output
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        write!(out, "{text}")?;
        Ok(out.flush()?)
    }
}

/// Detects CoNLL-U by the first conclusive line; the lines read to do so are appended to `looked_at`.
fn starts_as_conllu(lines: &mut Lines, looked_at: &mut Vec<Result<Line, DataError>>) -> bool {
    for line in lines.take(DETECTION_LINES) {
        let detected = line.as_ref().ok().and_then(|line| conllu::is_row(&line.text));
        looked_at.push(line);
        if let Some(is_conllu) = detected {
            return is_conllu;
        }
    }
    false
}
