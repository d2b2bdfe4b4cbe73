//! Predictions of the lines or sentences of a file.

use std::path::Path;

use seqzoo_datasets::DataError;
use seqzoo_datasets::conllu::{self, Sentence, Sentences};
use seqzoo_datasets::reading::{Line, Lines, STANDARD_INPUT};
use seqzoo_datasets::records::Column;
use seqzoo_datasets::text::Counts;
use seqzoo_inference::{Model, PredictError};
use seqzoo_tasks::tagging;

use super::table::{DETECTION_LINES, Rows};
use super::{Format, InputFormat, Predict};
use crate::failure::{DATA, Failure, Failures};
use crate::say::say;

/// Number of texts or sentences that are predicted together, in batches of similar length.
const BATCH_SIZE: usize = 1_024;

/// Unreadable inputs, and counts of those that were read.
#[derive(Debug, Default)]
struct Totals {
    failed: Failures,
    read: Counts,
}

impl Totals {
    /// Prints the note on what was read; the first error, if there is one.
    fn into_result(self) -> Result<(), Failure> {
        self.read.note().iter().for_each(|note| say(format_args!("note: {note}")));
        self.failed.into_result()
    }
}

impl Predict {
    /// Predicts every line or sentence of a file.
    pub(super) fn bulk(&self, model: &Model, path: &Path) -> Result<(), Failure> {
        let mut totals = Totals::default();
        if let Some(table) = self.table(model, path)? {
            self.rows(model, table, &mut totals)?;
            return totals.into_result();
        }
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
        match is_conllu {
            true => self.sentences(model, path, lines, &mut totals)?,
            false => self.lines(model, path, lines, &mut totals)?,
        }
        totals.into_result()
    }

    fn lines(
        &self,
        model: &Model,
        path: &Path,
        lines: impl Iterator<Item = Result<Line, DataError>>,
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        // Standard input may be interactive.
        let (size, name) = match path == Path::new(STANDARD_INPUT) {
            true => (1, "standard input".to_owned()),
            false => (BATCH_SIZE, path.display().to_string()),
        };
        let mut lines = lines.peekable();
        while lines.peek().is_some() {
            let batch: Vec<Result<Line, DataError>> = lines.by_ref().take(size).collect();
            let texts: Vec<&str> = batch.iter().flatten().map(|line| line.text.as_str()).collect();
            let mut predictions = self.predictions(model, &texts, true, &mut totals.read)?.into_iter();
            for line in &batch {
                match line {
                    Err(error) => self.print(&self.failed(error, totals))?,
                    Ok(line) => match predictions.next().expect("one per text") {
                        Ok(prediction) => self.print(&prediction)?,
                        Err(error) => {
                            let error = format!("{name}, line {}: {error}", line.number);
                            self.print(&self.failed(&error, totals))?;
                        }
                    },
                }
            }
        }
        Ok(())
    }

    /// The printed prediction of each text, or why there is none; that of a text without tokens is empty.
    fn predictions(
        &self,
        model: &Model,
        texts: &[&str],
        is_shown: bool,
        read: &mut Counts,
    ) -> Result<Vec<Result<String, PredictError>>, PredictError> {
        // Blank texts have no tokens; without them, all others can be predicted together.
        let is_blank = |text: &str| text.trim().is_empty();
        let given: Vec<&str> = texts.iter().copied().filter(|text| !is_blank(text)).collect();
        let empty = |text: &str| Ok(self.empty(model, text));
        if self.format() != Format::Conll {
            let found = if given.is_empty() { Ok(Vec::new()) } else { self.outputs(model, &given) };
            match found {
                Ok(outputs) => {
                    outputs.iter().for_each(|output| read.add(output.counts));
                    let mut outputs = outputs.into_iter();
                    let mut next = |text: &str| {
                        Ok(self.output(if is_shown { text } else { "" }, outputs.next().expect("one per text")))
                    };
                    return Ok(texts
                        .iter()
                        .map(|text| if is_blank(text) { empty(text) } else { next(text) })
                        .collect());
                }
                Err(error) if error.is_of_one_text() => {}
                Err(error) => return Err(error),
            }
        }
        let one = |text: &&str| match self.prediction(model, if is_shown { text } else { "" }, text) {
            Err(PredictError::Empty { .. }) => Ok(empty(text)),
            Err(error) if error.is_of_one_text() => Ok(Err(error)),
            Err(error) => Err(error),
            Ok((prediction, counts)) => {
                read.add(counts);
                Ok(Ok(prediction))
            }
        };
        texts.iter().map(one).collect()
    }

    /// Predicts every row; an unreadable one prints an error in its place.
    fn rows(&self, model: &Model, rows: Rows, totals: &mut Totals) -> Result<(), Failure> {
        let Rows { file, column, lines, bad } = rows;
        let mut bad = bad.into_iter().peekable();
        let mut print = |line: usize, result: Result<String, PredictError>, totals: &mut Totals| {
            let is_before = |error: &DataError| matches!(error, DataError::Line { line: bad, .. } if *bad < line);
            while let Some(error) = bad.next_if(is_before) {
                self.print(&self.failed(&error, totals))?;
            }
            match result {
                Ok(text) => self.print(&text),
                Err(error) => self.print(&self.failed(&format!("{file}, line {line}: {error}"), totals)),
            }
        };
        // A series is not repeated in the output.
        let is_shown = matches!(column, Column::Text(_));
        let texts: Vec<String> = match column {
            Column::Text(texts) => texts.iter().map(|text| (**text).to_owned()).collect(),
            Column::Series(series) => series.iter().map(|series| series.to_string()).collect(),
            Column::Lists(lists) => {
                for (batch, lines) in lists.chunks(BATCH_SIZE).zip(lines.chunks(BATCH_SIZE)) {
                    let predicted = self.tagged(model, batch, &mut totals.read)?;
                    lines.iter().zip(predicted).try_for_each(|(&line, text)| print(line, Ok(text), totals))?;
                }
                Vec::new()
            }
            Column::Numbers(_) => return Err(Failure::new(DATA, "the column has numbers, not texts")),
        };
        for (batch, lines) in texts.chunks(BATCH_SIZE).zip(lines.chunks(BATCH_SIZE)) {
            let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
            let predictions = self.predictions(model, &batch, is_shown, &mut totals.read)?;
            lines.iter().zip(predictions).try_for_each(|(&line, found)| print(line, found, totals))?;
        }
        bad.try_for_each(|error| self.print(&self.failed(&error, totals)))
    }

    /// The printed prediction of each sentence, given as its tokens; that of a sentence without tokens is empty.
    fn tagged(&self, model: &Model, sentences: &[Vec<String>], read: &mut Counts) -> Result<Vec<String>, PredictError> {
        let given: Vec<Vec<String>> = sentences.iter().filter(|tokens| !tokens.is_empty()).cloned().collect();
        let predicted: Vec<String> = match self.format() {
            _ if given.is_empty() => Vec::new(),
            Format::Conll => {
                let tags = model.tagger()?.predict_tags(&given)?;
                given.iter().zip(tags).map(|(tokens, tags)| Sentence::from_tokens(tokens).with_tags(&tags)).collect()
            }
            Format::Table | Format::Json => {
                let outputs = model.tagger()?.outputs(&given)?;
                outputs.iter().for_each(|output| read.add(output.counts));
                outputs.into_iter().map(|output| self.output("", output)).collect()
            }
        };
        let mut predicted = predicted.into_iter();
        let mut next = || predicted.next().expect("one per sentence with tokens");
        Ok(sentences.iter().map(|tokens| if tokens.is_empty() { self.empty(model, "") } else { next() }).collect())
    }

    /// Tags the words of CoNLL-U sentences; all other columns and comments are kept.
    fn sentences(
        &self,
        model: &Model,
        path: &Path,
        lines: impl Iterator<Item = Result<Line, DataError>>,
        totals: &mut Totals,
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
            let mut predicted = tokens.iter().zip(model.tagger()?.predict_all(&tokens)?);
            for sentence in &batch {
                let output = match sentence {
                    Err(error) => self.failed(error, totals),
                    Ok(sentence) => {
                        let (tokens, predicted) = predicted.next().expect("each sentence was labeled");
                        match self.format() {
                            Format::Conll => sentence.with_tags(&predicted.0),
                            Format::Table | Format::Json => self.output("", tagging::output(tokens, &predicted)),
                        }
                    }
                };
                self.print(&output)?;
            }
        }
        Ok(())
    }

    /// The printed prediction of a line without tokens.
    fn empty(&self, model: &Model, text: &str) -> String {
        match self.format() {
            Format::Table if !text.trim().is_empty() => format!("-  {text}\n"),
            Format::Table | Format::Conll => "\n".to_owned(),
            Format::Json => self.output(text, model.predictor().empty_output()),
        }
    }

    /// The printed error of an unreadable input, which is counted.
    fn failed(&self, error: &dyn std::fmt::Display, totals: &mut Totals) -> String {
        let Totals { failed, .. } = totals;
        match self.format() {
            Format::Conll => {
                failed.add(error.to_string());
                format!("# error = {error}\n\n")
            }
            format => failed.line(error, format == Format::Json) + "\n",
        }
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
