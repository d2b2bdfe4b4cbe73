//! `seqzoo recommend`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_datasets::DataError;
use seqzoo_datasets::reading::Lines;
use seqzoo_tasks::recommendation::{ItemRecommender, history, line};
use serde_json::json;

use crate::arguments::ModelArgs;
use crate::failure::{DATA, Failure, Failures, USAGE};
use crate::say::say;

/// Recommend the next items of users, from the items of their histories.
///
/// The number after an item is its probability to be the next one, or its score if the run was trained with the losses bpr or top1. Items
/// of a history are not recommended again; those that were not in the training data are skipped. A history without any other item has an
/// empty recommendation. A line that is not text prints an error in its place, and the exit code is 4. Items that contain a comma are printed
/// in double quotes.
///
/// Examples: `seqzoo recommend last --history "tea,milk,cup"`, `seqzoo recommend last --data histories.txt -n 5 --json`
#[derive(Debug, Args)]
pub struct Recommend {
    #[command(flatten)]
    model: ModelArgs,
    /// Items of one user, the most recent one last, separated by commas, or by spaces if there is no comma. An item that contains a comma is in double
    /// quotes, as in CSV: '"Oh, Mercy",milk'.
    #[arg(long, value_name = "ITEM,…", required_unless_present = "data", allow_hyphen_values = true)]
    history: Option<String>,
    /// File with the history of one user per line, optionally gzipped, or - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "history")]
    data: Option<PathBuf>,
    /// Number of items to recommend.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Recommend items of the history too.
    #[arg(long)]
    keep_history: bool,
    /// Print one JSON object per history.
    #[arg(long)]
    json: bool,
}

/// Number of histories that are processed together, in batches of similar length.
const TOGETHER: usize = 1_024;

impl Recommend {
    pub fn run(&self) -> Result<(), Failure> {
        let (_, _, model) = self.model.open()?;
        let recommender = model.recommender()?;
        match (&self.history, &self.data) {
            (Some(text), _) if history(text).is_empty() => {
                Err(Failure::new(USAGE, "--history is empty; name at least one item, as in --history \"tea,milk\""))
            }
            (Some(text), _) => self.print(recommender, &[Ok(text.clone())]),
            (None, Some(path)) => self.file(recommender, path),
            (None, None) => unreachable!("clap requires one of the two"),
        }
    }

    fn file(&self, recommender: &ItemRecommender, path: &Path) -> Result<(), Failure> {
        let texts: Vec<Result<String, DataError>> = Lines::open(path)?.map(|line| Ok(line?.text)).collect();
        if texts.iter().all(|text| text.as_ref().is_ok_and(|text| history(text).is_empty())) {
            let message = format!("{}: no history; expected one per line, such as `tea,milk`", path.display());
            return Err(Failure::new(DATA, message));
        }
        self.print(recommender, &texts)
    }

    /// Prints the recommendations for each history; those of an empty one are empty, and an unreadable one has an error in its place.
    fn print(&self, recommender: &ItemRecommender, texts: &[Result<String, DataError>]) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let (mut items, mut unknown, mut failed) = (0, 0, Failures::default());
        for texts in texts.chunks(TOGETHER) {
            let names: Vec<Vec<String>> = texts.iter().flatten().map(|text| history(text)).collect();
            let histories: Vec<Vec<&str>> =
                names.iter().map(|names| names.iter().map(String::as_str).collect()).collect();
            let given: Vec<Vec<&str>> = histories.iter().filter(|names| !names.is_empty()).cloned().collect();
            items += given.iter().map(Vec::len).sum::<usize>();
            unknown += recommender.unknown(&given.concat());
            let mut found = recommender.recommend(&given, self.count as usize, !self.keep_history)?.into_iter();
            let mut histories = histories.iter();
            for text in texts {
                let line = match text {
                    Err(error) => failed.line(error, self.json),
                    Ok(_) => {
                        let names = histories.next().expect("one per text");
                        let recommended = if names.is_empty() { Vec::new() } else { found.next().unwrap_or_default() };
                        self.output(names, &recommended)
                    }
                };
                writeln!(out, "{line}")?;
            }
        }
        out.flush()?;
        if unknown > 0 {
            say(format_args!(
                "note: {unknown} of {items} items of the histories were not in the training data and were skipped"
            ));
        }
        failed.into_result()
    }

    fn output(&self, history: &[&str], recommended: &[(&str, f32)]) -> String {
        if self.json {
            let (items, scores): (Vec<&str>, Vec<f32>) = recommended.iter().copied().unzip();
            return json!({ "history": history, "items": items, "scores": scores }).to_string();
        }
        line(recommended)
    }
}
