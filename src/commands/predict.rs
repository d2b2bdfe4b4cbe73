//! `seqzoo predict`; longer than other commands because of its options.

mod bulk;
mod plot;
mod table;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use seqzoo_datasets::conllu::Sentence;
use seqzoo_datasets::formats::LabelPosition;
use seqzoo_datasets::reading::STANDARD_INPUT;
use seqzoo_datasets::tagging;
use seqzoo_datasets::text::Counts;
use seqzoo_inference::{Model, Output, PredictError, TextOptions};
use serde_json::{Map, Value};

use crate::arguments::{FixedThresholdArgs, ModelArgs, svg_file, unescaped};
use crate::failure::{Failure, STORAGE, USAGE};
use crate::say::say;

/// Predict with a run's best checkpoint: one prediction per text.
///
/// Predictions are printed in order: those of a file in batches, those of standard input as its lines arrive. A blank
/// line has an empty prediction, any other text without tokens a dash. An unreadable line or row prints an error in its
/// place, and the exit code is 4.
///
/// Examples: `seqzoo predict last "the keys to the cabinet"`, `seqzoo predict last --json - < lines.txt`,
/// `seqzoo predict last --file sentences.conllu --format conll`, `seqzoo predict last --file seq.in --pretokenized`,
/// `seqzoo predict last "good morning" --attention a.svg`
#[derive(Debug, Args)]
pub struct Predict {
    #[command(flatten)]
    model: ModelArgs,
    /// Text to predict from, or - for standard input, one text per line. Escapes, in this argument alone: \n newline, \t tab,
    /// \\ backslash.
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_hyphen_values = true)]
    text: Option<String>,
    /// File with one text per line, optionally gzipped, or - for standard input. Of a table (.csv, .tsv, .jsonl, .arff), the column that
    /// the model was trained on is read; labels of fastText and of series are skipped. Taggers also accept CoNLL columns,
    /// detected by the suffix (.conll, .bio, …) or by tags of the model in the first lines, and CoNLL-U, detected by its columns or by the
    /// suffix .conllu.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Format of the file or standard input [default: detected]
    #[arg(long, value_name = "FORMAT")]
    input_format: Option<InputFormat>,
    /// Column of the texts, the sources or the tokens [default: that of the run]
    #[arg(long, value_name = "COLUMN", requires = "file")]
    column: Option<String>,
    /// Where the label of each series in a file without names of columns is: first, last or none, if no line has one [default: as the
    /// values show]
    #[arg(long, value_name = "POSITION", requires = "file")]
    label_position: Option<LabelPosition>,
    /// The tokens of each text are separated by spaces, such as in the `seq.in` of SNIPS: they are not tokenized again. For taggers.
    #[arg(long)]
    pretokenized: bool,
    /// Output format; conll (CoNLL-U) is for taggers.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Beam width of sequence-to-sequence models; JSON output lists as many hypotheses.
    #[arg(long, value_name = "WIDTH", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    beam: u16,
    /// Draw the attention of a sequence-to-sequence model to an SVG file: how much each output token depends on each token
    /// of the text.
    #[arg(long, value_name = "FILE.svg", value_parser = svg_file, conflicts_with = "file")]
    attention: Option<PathBuf>,
    #[command(flatten)]
    threshold: FixedThresholdArgs,
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
    /// CoNLL columns, for taggers; standard input is read to its end.
    Conll,
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

impl Predict {
    pub fn run(&self) -> Result<(), Failure> {
        let (run, _, mut model) = self.model.open()?;
        self.threshold.set(&mut model)?;
        for (flag, is_given) in [
            ("--format conll", self.format() == Format::Conll),
            ("--input-format conllu", self.input_format == Some(InputFormat::Conllu)),
            ("--input-format conll", self.input_format == Some(InputFormat::Conll)),
            ("--pretokenized", self.pretokenized),
        ] {
            if is_given && model.tagger().is_err() {
                let message = format!("{flag}: run {} does not label tokens, as taggers do", run.name());
                return Err(Failure::new(USAGE, message));
            }
        }
        if self.beam > 1 && model.transducer().is_err() {
            let message =
                format!("--beam: run {} is not sequence to sequence; beam search is for such models", run.name());
            return Err(Failure::new(USAGE, message));
        }
        if self.attention.is_some() {
            self.check_attention(&model, &run.name())?;
        }
        if self.input_format.is_some() && self.text.as_deref().is_some_and(|text| text != STANDARD_INPUT) {
            return Err(Failure::new(USAGE, "--input-format is for --file and standard input, not for a single text"));
        }
        match (&self.file, self.text.as_deref()) {
            (None, Some(text)) if text != STANDARD_INPUT => {
                let (prediction, counts) = self.prediction(&model, text, &unescaped(text))?;
                counts.note().iter().for_each(|note| say(format_args!("note: {note}")));
                self.print(&prediction)?;
                self.attention.iter().try_for_each(|path| self.draw_attention(&model, &unescaped(text), path))
            }
            (path, _) => self.bulk(&model, path.as_deref().unwrap_or(Path::new(STANDARD_INPUT))),
        }
    }

    fn check_attention(&self, model: &Model, run: &str) -> Result<(), Failure> {
        if self.text.as_deref() == Some(STANDARD_INPUT) {
            return Err(Failure::new(
                USAGE,
                "--attention draws a single text; give it as an argument, not on standard input",
            ));
        }
        if model.transducer().is_err() {
            let message = format!(
                "--attention: run {run} has no attention over the text; give a run of a sequence-to-sequence model, such as one of \
                 `seqzoo train translate`, or omit --attention"
            );
            return Err(Failure::new(USAGE, message));
        }
        Ok(())
    }

    /// Draws the attention weights of a prediction.
    fn draw_attention(&self, model: &Model, text: &str, path: &Path) -> Result<(), Failure> {
        let failed =
            |error: &dyn std::fmt::Display| Failure::new(STORAGE, format!("--attention {}: {error}", path.display()));
        let alignment = model.transducer()?.attention(text, self.beam.into())?;
        let picture = plot::draw(&alignment).map_err(|error| failed(&error))?;
        fs::write(path, picture).map_err(|error| failed(&error))?;
        say(format_args!("wrote {}", path.display()));
        Ok(())
    }

    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// The printed prediction of a text, which is shown as it was given, and what was read of it.
    fn prediction(&self, model: &Model, given: &str, text: &str) -> Result<(String, Counts), PredictError> {
        if self.format() == Format::Conll {
            let tokens = [self.tokens(text)];
            let labels = model.tagger()?.predict_tags(&tokens)?.remove(0);
            return Ok((Sentence::from_text(text, &tokens[0]).with_tags(&labels), Counts::default()));
        }
        let output = self.outputs(model, &[text])?.remove(0);
        let counts = output.counts;
        Ok((self.output(given, output), counts))
    }

    /// The tokens of a text, for a tagger.
    fn tokens(&self, text: &str) -> Vec<String> {
        if self.pretokenized { tagging::split_tokens(text) } else { tagging::tokenize(text) }
    }

    /// The predictions for texts, in their order.
    fn outputs(&self, model: &Model, texts: &[&str]) -> Result<Vec<Output>, PredictError> {
        if self.pretokenized {
            let tokens: Vec<Vec<String>> = texts.iter().map(|text| self.tokens(text)).collect();
            return model.tagger()?.outputs(&tokens);
        }
        model.predictor().predict(texts, TextOptions { beams: self.beam.into() })
    }

    /// An output as one line, with the text unless the output shows it.
    fn output(&self, text: &str, output: Output) -> String {
        let Output { line, json, shows_input, .. } = output;
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

    fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        write!(out, "{text}")?;
        Ok(out.flush()?)
    }
}
