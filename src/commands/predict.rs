//! `seqzoo predict`

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use clap::Args;
use seqzoo_inference::{Model, Prediction};
use seqzoo_run::folder::Run;
use serde_json::{Map, Value, json};

use super::{BackendChoice, ModelChoice};
use crate::failure::{DATA, Failure};

/// Ask a run's best checkpoint about new text: one line per text.
///
/// Examples: `seqzoo predict last "the keys to the cabinet"`, `seqzoo predict last --json - < lines.txt`
#[derive(Debug, Args)]
pub struct Predict {
    /// A run: its path, its name or the beginning of it, or `last`.
    run: String,
    /// The text; - reads standard input, a text per line, each answered at once.
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_hyphen_values = true)]
    text: Option<String>,
    /// A file with a text per line.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    model: ModelChoice,
    /// Print one JSON object per text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendChoice,
}

impl Predict {
    pub fn run(&self) -> Result<(), Failure> {
        let run = Run::find(&self.run)?;
        let name = self.model.of(&run)?;
        let (_, device) = self.backend.open(None)?;
        let model = Model::open(&run.model(name), &device)?;
        match (&self.file, self.text.as_deref()) {
            (Some(path), _) => {
                let unreadable = |error| Failure::new(DATA, format!("--file {}: {error}", path.display()));
                let file = File::open(path).map_err(unreadable)?;
                self.lines(&model, BufReader::new(file), &path.display().to_string())
            }
            (None, Some("-")) => self.lines(&model, io::stdin().lock(), "standard input"),
            (None, text) => {
                let text = text.expect("clap requires a text without --file");
                let answers = model.predict(&[text])?;
                self.print(text, &answers[0])
            }
        }
    }

    fn lines(&self, model: &Model, lines: impl BufRead, name: &str) -> Result<(), Failure> {
        for (number, line) in (1..).zip(lines.lines()) {
            let at_line = |error: &dyn std::fmt::Display| Failure::new(DATA, format!("{name}, line {number}: {error}"));
            let line = line.map_err(|error| at_line(&error))?;
            let answers = model.predict(&[&line]).map_err(|error| at_line(&error))?;
            self.print(&line, &answers[0])?;
        }
        Ok(())
    }

    fn print(&self, text: &str, answer: &Prediction) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        if self.json {
            let each = answer.probabilities.iter().map(|(label, probability)| (label.clone(), json!(probability)));
            let each: Map<String, Value> = each.collect();
            let Prediction { label, probability, .. } = answer;
            let object = json!({"text": text, "label": label, "probability": probability, "probabilities": each});
            writeln!(out, "{object}")?;
        } else {
            writeln!(out, "{:<10} {:.4}  {text}", answer.label, answer.probability)?;
        }
        Ok(out.flush()?)
    }
}
