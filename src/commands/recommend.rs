//! `seqzoo recommend`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_datasets::reading::Lines;
use seqzoo_tasks::recommendation::{ItemRecommender, history};
use serde_json::json;

use crate::arguments::ModelArgs;
use crate::failure::{DATA, Failure, USAGE};
use crate::say::say;

/// Recommend the next items of users, from the items of their histories.
///
/// The number after an item is its probability to be the next one, or its score if the run was trained with the losses bpr or top1. Items
/// of a history are not recommended again; those that were not in the training data are skipped. A history without any other item has an
/// empty recommendation.
///
/// Examples: `seqzoo recommend last --history "tea,milk,cup"`, `seqzoo recommend last --data histories.txt -n 5 --json`
#[derive(Debug, Args)]
pub struct Recommend {
    #[command(flatten)]
    model: ModelArgs,
    /// Items of one user, the most recent one last, separated by commas, or by spaces if there is no comma.
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
            (Some(text), _) => self.print(recommender, &[text.as_str()]),
            (None, Some(path)) => self.file(recommender, path),
            (None, None) => unreachable!("clap requires one of the two"),
        }
    }

    fn file(&self, recommender: &ItemRecommender, path: &Path) -> Result<(), Failure> {
        let mut texts: Vec<String> = Vec::new();
        for line in Lines::open(path)? {
            texts.push(line?.text);
        }
        if texts.iter().all(|text| history(text).is_empty()) {
            let message = format!("{}: no history; expected one per line, such as `tea,milk`", path.display());
            return Err(Failure::new(DATA, message));
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.print(recommender, &texts)
    }

    /// Prints the recommendations for each history; those of an empty one are empty.
    fn print(&self, recommender: &ItemRecommender, texts: &[&str]) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let (mut items, mut unknown) = (0, 0);
        for texts in texts.chunks(TOGETHER) {
            let histories: Vec<Vec<&str>> = texts.iter().map(|text| history(text)).collect();
            let given: Vec<Vec<&str>> = histories.iter().filter(|names| !names.is_empty()).cloned().collect();
            items += given.iter().map(Vec::len).sum::<usize>();
            unknown += recommender.unknown(&given.concat());
            let mut found = recommender.recommend(&given, self.count as usize, !self.keep_history)?.into_iter();
            for names in &histories {
                let recommended = if names.is_empty() { Vec::new() } else { found.next().unwrap_or_default() };
                writeln!(out, "{}", self.output(names, &recommended))?;
            }
        }
        out.flush()?;
        if unknown > 0 {
            say(format_args!(
                "note: {unknown} of {items} items of the histories were not in the training data and were skipped"
            ));
        }
        Ok(())
    }

    fn output(&self, history: &[&str], recommended: &[(&str, f32)]) -> String {
        if self.json {
            let (items, scores): (Vec<&str>, Vec<f32>) = recommended.iter().copied().unzip();
            return json!({ "history": history, "items": items, "scores": scores }).to_string();
        }
        recommended.iter().map(|(item, score)| format!("{item} {score:.4}")).collect::<Vec<_>>().join(", ")
    }
}
