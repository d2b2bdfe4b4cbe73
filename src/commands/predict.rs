//! `seqzoo predict`

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use seqzoo_datasets::catalog::Kind;
use seqzoo_datasets::conllu::{Document, Sentence};
use seqzoo_datasets::tagging;
use seqzoo_inference::{AskError, Model, Prediction};
use serde_json::{Map, Value, json};

use super::Answerer;
use crate::failure::{DATA, Failure, USAGE};

/// Ask a run's best checkpoint about new text: one answer per text.
///
/// Examples: `seqzoo predict last "the keys to the cabinet"`, `seqzoo predict last --json - < lines.txt`,
/// `seqzoo predict last --file sentences.conllu --format conll`
#[derive(Debug, Args)]
pub struct Predict {
    #[command(flatten)]
    answerer: Answerer,
    /// The text; - reads standard input, a text per line, each answered at once. Line ends within one are written \n.
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_hyphen_values = true)]
    text: Option<String>,
    /// A file with a text per line; for a tagger, one that ends in .conllu is read as CoNLL-U, whose words it labels.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How answers are printed; conll is CoNLL-U, of taggers.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Of what turns sequences into others: beginnings that are kept while searching; as many answers are told in JSON.
    #[arg(long, value_name = "WIDTH", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    beam: u16,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line per answer.
    Table,
    /// A JSON object per answer.
    Json,
    /// CoNLL-U.
    Conll,
}

/// CoNLL-U sentences that are labelled together.
const SENTENCES: usize = 64;

impl Predict {
    pub fn run(&self) -> Result<(), Failure> {
        let (run, _, model) = self.answerer.open()?;
        if self.format() == Format::Conll && model.kind() != Kind::Tags {
            let message = format!("--format conll: run {} does not label tokens; use table or json", run.name());
            return Err(Failure::new(USAGE, message));
        }
        match (&self.file, self.text.as_deref()) {
            (Some(path), _) if model.kind() == Kind::Tags && path.extension().is_some_and(|end| end == "conllu") => {
                self.document(&model, path)
            }
            (Some(path), _) => {
                let unreadable = |error| Failure::new(DATA, format!("--file {}: {error}", path.display()));
                let file = File::open(path).map_err(unreadable)?;
                self.lines(&model, BufReader::new(file), &path.display().to_string())
            }
            (None, Some("-")) => self.lines(&model, io::stdin().lock(), "standard input"),
            (None, text) => {
                let text = text.expect("clap requires a text without --file");
                self.answer(&model, text)?
            }
        }
    }

    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    fn lines(&self, model: &Model, lines: impl BufRead, name: &str) -> Result<(), Failure> {
        for (number, line) in (1..).zip(lines.lines()) {
            let at_line = |error: &dyn std::fmt::Display| Failure::new(DATA, format!("{name}, line {number}: {error}"));
            let line = line.map_err(|error| at_line(&error))?;
            self.answer(model, &line).map_err(|error| at_line(&error))??;
        }
        Ok(())
    }

    /// Answers a text; the outer error is the model's, the inner one of printing.
    fn answer(&self, model: &Model, text: &str) -> Result<Result<(), Failure>, AskError> {
        // A line can hold no line end, so it is written as it is in programs.
        let unescaped = text.replace("\\n", "\n");
        match model.kind() {
            Kind::Tags => {
                let tokens = [tagging::tokens(text)];
                let labels = model.tag(&tokens)?.remove(0);
                Ok(match self.format() {
                    Format::Conll => self.print(&Sentence::from_text(text, &tokens[0]).with_tags(&labels)),
                    Format::Table | Format::Json => self.print_tags(&tokens[0], &labels),
                })
            }
            Kind::Pairs => {
                let answers = model.turn(&unescaped, self.beam.into())?;
                Ok(self.print_answers(text, &answers))
            }
            Kind::Labels | Kind::Text | Kind::Series => {
                let answer = model.predict(&[&unescaped])?.remove(0);
                Ok(self.print_label(text, &answer))
            }
        }
    }

    /// Labels the words of a CoNLL-U file, keeping all else as it is.
    fn document(&self, model: &Model, path: &Path) -> Result<(), Failure> {
        for some in Document::read(path)?.sentences.chunks(SENTENCES) {
            let forms = |sentence: &Sentence| sentence.forms().into_iter().map(str::to_owned).collect();
            let tokens: Vec<Vec<String>> = some.iter().map(forms).collect();
            let labels = model.tag(&tokens)?;
            for (place, sentence) in some.iter().enumerate() {
                match self.format() {
                    Format::Conll => self.print(&sentence.with_tags(&labels[place]))?,
                    Format::Table | Format::Json => self.print_tags(&tokens[place], &labels[place])?,
                }
            }
        }
        Ok(())
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        write!(out, "{text}")?;
        Ok(out.flush()?)
    }

    fn print_tags(&self, tokens: &[String], labels: &[&str]) -> Result<(), Failure> {
        if self.format() == Format::Json {
            return self.print(&format!("{}\n", json!({"tokens": tokens, "labels": labels})));
        }
        let pairs: Vec<String> = tokens.iter().zip(labels).map(|(token, label)| format!("{token}/{label}")).collect();
        self.print(&format!("{}\n", pairs.join(" ")))
    }

    fn print_answers(&self, text: &str, answers: &[(String, f64)]) -> Result<(), Failure> {
        let Some((answer, probability)) = answers.first() else { return Ok(()) };
        if self.format() == Format::Json {
            let each: Vec<Value> = answers
                .iter()
                .map(|(answer, probability)| json!({"answer": answer, "probability": probability}))
                .collect();
            let object = json!({"text": text, "answer": answer, "probability": probability, "answers": each});
            return self.print(&format!("{object}\n"));
        }
        self.print(&format!("{answer:<10} {probability:.4}  {text}\n"))
    }

    fn print_label(&self, text: &str, answer: &Prediction) -> Result<(), Failure> {
        if self.format() == Format::Json {
            let each = answer.probabilities.iter().map(|(label, probability)| (label.clone(), json!(probability)));
            let each: Map<String, Value> = each.collect();
            let Prediction { label, probability, .. } = answer;
            let object = json!({"text": text, "label": label, "probability": probability, "probabilities": each});
            return self.print(&format!("{object}\n"));
        }
        self.print(&format!("{:<10} {:.4}  {text}\n", answer.label, answer.probability))
    }
}
