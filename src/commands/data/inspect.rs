//! `seqzoo data inspect`; longer than other commands because of its report.

mod choice;
mod facts;

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, Table};
use seqzoo_datasets::classification::Split;
use seqzoo_tasks::Item;
use serde_json::{Value, json};

use crate::arguments::{DataArgs, Overrides};
use crate::failure::Failure;
use crate::report::table_style;
use choice::Loaded;
use facts::{Facts, vocabulary};

/// Number of labels to list.
const LABELS: usize = 20;

/// Show what would be read from your own files: rows, splits, lengths, labels, vocabulary, duplicates.
///
/// Examples: `seqzoo data inspect reviews.csv --text-column review --label-column sentiment`,
/// `seqzoo data inspect train.conll --json`
#[derive(Debug, Args)]
pub struct Inspect {
    /// Files or folders; - reads standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Files or folders of the validation split.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    validation_data: Vec<PathBuf>,
    /// Files or folders of the test split.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    test_data: Vec<PathBuf>,
    /// Recipe that would be trained [default: the first that can read the files]
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What would be read.
struct Report<'a> {
    /// The recipe.
    name: &'a str,
    /// The flags with which it reads the files.
    overrides: &'a Overrides,
    splits: Vec<Facts>,
    /// Further facts, by name.
    facts: Vec<(&'static str, String)>,
    /// What prevents training.
    problems: Vec<String>,
    /// Whether the models have a vocabulary.
    has_vocabulary: bool,
    /// Whether the labels are those of texts, rather than of tokens.
    labels_texts: bool,
    /// Numbers of distinct tokens of the training split, and of those in the vocabulary.
    distinct: usize,
    known: usize,
}

impl Inspect {
    pub fn run(&self) -> Result<(), Failure> {
        let result = self.inspect();
        if let (true, Err(failure)) = (self.json, &result) {
            self.print_error(failure)?;
        }
        result
    }

    fn inspect(&self) -> Result<(), Failure> {
        let loaded = self.load()?;
        self.note_numbers(&loaded);
        let Loaded { name, overrides, recipe, examples } = loaded;
        let items: Vec<Vec<Item>> = Split::ALL.map(|split| examples.items(split, &recipe.task)).into();
        let tokens = || items[0].iter().flat_map(|item| &item.tokens).cloned();
        let vocabulary = vocabulary(&recipe, tokens);
        let of_split = Split::ALL.into_iter().filter(|&split| examples.size(split).0 > 0);
        let has_one_label = items.iter().flatten().all(|item| item.labels.len() == 1);
        let roles = recipe.task()?.data.roles;
        let report = Report {
            name: &name,
            overrides: &overrides,
            splits: Facts::of_splits(&items, &*examples, &vocabulary),
            facts: examples.facts(),
            problems: of_split.filter_map(|split| examples.check(split, &recipe.task).err()).collect(),
            has_vocabulary: recipe.task.contains_key("level") || recipe.task.contains_key("min_count"),
            labels_texts: has_one_label || roles.iter().any(|role| role.name == "labels"),
            distinct: tokens().collect::<HashSet<_>>().len(),
            known: vocabulary.tokens().count(),
        };
        if self.json { self.print_json(&report) } else { self.print(&report) }
    }

    fn print(&self, report: &Report) -> Result<(), Failure> {
        let name = report.name;
        let shown: Vec<&Facts> = report.splits.iter().filter(|facts| facts.examples > 0).collect();
        let mut table = Table::new();
        table.load_style(table_style());
        table.set_header(
            [format!("as {name}")].into_iter().chain(shown.iter().map(|facts| facts.split.name().to_owned())),
        );
        let mut row = |label: String, value: &dyn Fn(&Facts) -> String| {
            table.add_row(std::iter::once(label).chain(shown.iter().map(|facts| value(facts))));
        };
        let unit = shown.first().map_or("examples", |facts| facts.unit);
        let is_damaged = shown.iter().any(|facts| facts.damaged.0 > 0);
        row(unit.to_owned(), &|facts| facts.examples.to_string());
        // Rows of a table have no tokens, and the steps of a series are in no vocabulary.
        let has_tokens = shown.iter().any(|facts| !facts.lengths.is_empty());
        let items = if report.has_vocabulary { "tokens" } else { "steps" };
        if has_tokens {
            for (label, share) in [("median", 0.5), ("95 %", 0.95), ("longest", 1.0)] {
                row(format!("{items}, {label}"), &|facts| facts.length(share).to_string());
            }
            if report.has_vocabulary {
                row("unknown tokens".to_owned(), &|facts| format!("{:.1} %", 100.0 * facts.unknown));
            }
            row("repeat an earlier one".to_owned(), &|facts| facts.repeated.to_string());
            for earlier in &shown[..shown.len().saturating_sub(1)] {
                let earlier = earlier.split;
                let count =
                    |facts: &Facts| facts.shared_with(earlier).map_or("-".to_owned(), |count| count.to_string());
                row(format!("occur in {}", earlier.name()), &count);
            }
        }
        if is_damaged {
            row("damaged characters".to_owned(), &|facts| facts.damaged.0.to_string());
            row(format!("{unit} with such characters"), &|facts| facts.damaged.1.to_string());
        }
        let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
        for (label, count) in shown.iter().flat_map(|facts| &facts.labels) {
            *labels.entry(label).or_default() += count;
        }
        let mut labels: Vec<(&str, usize)> = labels.into_iter().collect();
        labels.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        for (label, _) in labels.iter().take(LABELS) {
            row(format!("label {label}"), &|facts| facts.labels.get(*label).copied().unwrap_or(0).to_string());
        }
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{table}")?;
        if labels.len() > LABELS {
            writeln!(out, "and {} rarer labels; --json lists all", labels.len() - LABELS)?;
        }
        if has_tokens && report.has_vocabulary {
            let Report { distinct, known, .. } = report;
            writeln!(out, "vocabulary: {known} of the {distinct} distinct tokens of the training split")?;
        }
        // Of texts; most tokens are outside of entities.
        if let (Some((most, count)), Some((least, few))) = (labels.first(), labels.last())
            && labels.len() > 1
            && report.labels_texts
            && *count >= IMBALANCE * few.max(&1)
        {
            writeln!(out, "imbalance: `{most}` occurs {count} times, `{least}` {few}")?;
        }
        if is_damaged {
            writeln!(
                out,
                "damaged characters: U+FFFD, or UTF-8 that was read as Latin-1 (`Ã©` for `é`); convert the files anew"
            )?;
        }
        for (name, value) in &report.facts {
            writeln!(out, "{name}: {value}")?;
        }
        for problem in &report.problems {
            writeln!(out, "cannot be trained on: {problem}")?;
        }
        if !report.problems.is_empty() {
            return Ok(());
        }
        let data = DataArgs::of_files(&self.files, &self.validation_data, &self.test_data);
        writeln!(out, "next: seqzoo train {name}{}{}", data.flag(), report.overrides.flag())?;
        Ok(())
    }

    fn print_json(&self, report: &Report) -> Result<(), Failure> {
        let split = |facts: &Facts| {
            json!({
                "examples": facts.examples, "unit": facts.unit, "labels": facts.labels, "repeated": facts.repeated,
                "in_train": facts.shared_with(Split::Train).unwrap_or(0),
                "in_validation": facts.shared_with(Split::Validation).unwrap_or(0), "unknown_tokens": facts.unknown,
                "damaged_characters": facts.damaged.0, "damaged_examples": facts.damaged.1,
                "tokens": {"median": facts.length(0.5), "95 %": facts.length(0.95), "longest": facts.length(1.0)},
            })
        };
        let splits: serde_json::Map<String, Value> =
            report.splits.iter().map(|facts| (facts.split.name().to_owned(), split(facts))).collect();
        let facts: serde_json::Map<String, Value> =
            report.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let object = json!({
            "files": self.file_names(), "recipe": report.name, "splits": splits, "facts": facts, "problems": report.problems,
            "vocabulary": {"distinct": report.distinct, "known": report.known},
        });
        writeln!(std::io::stdout().lock(), "{object}")?;
        Ok(())
    }

    /// Prints why the files cannot be read, and where.
    fn print_error(&self, failure: &Failure) -> Result<(), Failure> {
        let (file, line) =
            failure.place().map_or((None, None), |(file, line)| (Some(file.display().to_string()), line));
        let object = json!({"files": self.file_names(), "error": failure.to_string(), "file": file, "line": line});
        writeln!(std::io::stdout().lock(), "{object}")?;
        Ok(())
    }

    fn file_names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.display().to_string()).collect()
    }
}

/// The ratio of the most and the least frequent label from which classes are reported as imbalanced.
const IMBALANCE: usize = 10;
