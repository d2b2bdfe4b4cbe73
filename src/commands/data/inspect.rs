//! `seqzoo data inspect`; longer than other commands because of its report.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{CellAlignment, Table};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::formats::Format;
use seqzoo_datasets::reading::{Lines, STANDARD_INPUT};
use seqzoo_datasets::text::{Tokenization, UNKNOWN, Vocabulary, covering};
use seqzoo_datasets::wording::counted;
use seqzoo_inference::Examples;
use seqzoo_run::recipe::Recipe;
use seqzoo_tasks::Item;
use serde_json::{Value, json};

use crate::arguments::{DataArgs, Overrides};
use crate::failure::{DATA, Failure};
use crate::report::table_style;
use crate::say::muted;

/// Recipes for own data, in the order in which they are tried.
const RECIPES: [&str; 10] = [
    "relations",
    "slots",
    "classify",
    "multi-label",
    "regression",
    "tag",
    "classify-series",
    "strokes",
    "translate",
    "language-model",
];

/// Recipes for tables that need the name of a column, with the flag that names it.
const TABLES: [(&str, &str, &str); 3] =
    [("forecast", "target", "--target"), ("anomaly", "value", "--value-column"), ("recommend", "item", "--item")];

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

/// Facts about one split.
struct Facts {
    split: Split,
    examples: usize,
    unit: &'static str,
    /// Numbers of tokens per example, in increasing order.
    lengths: Vec<usize>,
    labels: BTreeMap<String, usize>,
    /// Examples whose tokens repeat those of an earlier one of the split.
    repeated: usize,
    /// Examples whose tokens occur in the training split; 0 for that split.
    in_train: usize,
    /// Share of tokens outside of the vocabulary.
    unknown: f64,
    /// Examples with characters that a wrong encoding has damaged.
    damaged: usize,
}

/// What would be read.
struct Report<'a> {
    /// The recipe.
    name: &'a str,
    splits: Vec<Facts>,
    /// Further facts, by name.
    facts: Vec<(&'static str, String)>,
    /// What prevents training.
    problems: Vec<String>,
    /// Whether the models have a vocabulary.
    has_vocabulary: bool,
    /// Numbers of distinct tokens of the training split, and of those in the vocabulary.
    distinct: usize,
    known: usize,
}

impl Inspect {
    pub fn run(&self) -> Result<(), Failure> {
        let (name, recipe, examples) = self.load()?;
        let items: Vec<Vec<Item>> = Split::ALL.map(|split| examples.items(split, &recipe.task)).into();
        let tokens = || items[0].iter().flat_map(|item| &item.tokens).cloned();
        let vocabulary = vocabulary(&recipe, tokens);
        let train: HashSet<&[String]> = items[0].iter().map(|item| item.tokens.as_slice()).collect();
        let facts = |(split, items): (Split, &Vec<Item>)| Facts::of(split, items, &*examples, &vocabulary, &train);
        let of_split = Split::ALL.into_iter().filter(|&split| examples.size(split).0 > 0);
        let report = Report {
            name,
            splits: Split::ALL.into_iter().zip(&items).map(facts).collect(),
            facts: examples.facts(),
            problems: of_split.filter_map(|split| examples.check(split, &recipe.task).err()).collect(),
            has_vocabulary: recipe.task.contains_key("level") || recipe.task.contains_key("min_count"),
            distinct: tokens().collect::<HashSet<_>>().len(),
            known: vocabulary.tokens().count(),
        };
        if self.json { self.print_json(&report) } else { self.print(&report) }
    }

    /// Loads the files as the data of a recipe.
    fn load(&self) -> Result<(&str, Recipe, Box<dyn Examples>), Failure> {
        let data = DataArgs::of_files(&self.files, &self.validation_data, &self.test_data);
        let load = |name: &str| -> Result<(Recipe, Box<dyn Examples>), Failure> {
            let recipe = self.overrides.settings(name, &data)?.recipe;
            let examples = data.load(&recipe)?;
            Ok((recipe, examples))
        };
        if let Some(name) = &self.recipe {
            let (recipe, examples) = load(name).map_err(|error| self.with_encoding(error))?;
            return Ok((name, recipe, examples));
        }
        // The recipe whose column is named.
        for (name, role, _) in TABLES {
            let settings = self.overrides.settings(name, &data);
            if settings.is_ok_and(|settings| settings.recipe.data.columns.get(role).is_some()) {
                return load(name).map(|(recipe, examples)| (name, recipe, examples));
            }
        }
        let mut errors = Vec::new();
        // A file that is marked as a table is not running text.
        let is_table = |path: &PathBuf| {
            let format = Format::of_name(&path.to_string_lossy());
            format.is_some_and(|format| format.name != "text")
        };
        let is_text = !self.files.iter().any(is_table);
        for name in RECIPES.into_iter().filter(|name| is_text || *name != "language-model") {
            match muted(|| load(name)) {
                // Once more, with notes.
                Ok(_) => return load(name).map(|(recipe, examples)| (name, recipe, examples)),
                Err(error) => errors.push(format!("as {name}: {error}")),
            }
        }
        errors.dedup_by(|later, earlier| {
            let same = |text: &str| text.split_once(": ").map(|(_, error)| error.to_owned());
            same(later) == same(earlier)
        });
        let tables: Vec<String> =
            TABLES.iter().map(|(name, _, flag)| format!("{flag} COLUMN for recipe {name}")).collect();
        let message = format!(
            "no recipe for own data reads these files; choose one with --recipe, or name a column of a table of numbers: {}\n{}",
            tables.join(", "),
            errors.join("\n")
        );
        Err(self.with_encoding(Failure::new(DATA, message)))
    }

    /// Adds the number of lines that are not text.
    fn with_encoding(&self, error: Failure) -> Failure {
        let is_text = |path: &&PathBuf| path.as_path() != Path::new(STANDARD_INPUT) && path.is_file();
        let invalid = |path: &PathBuf| {
            let lines = Lines::open(path).ok()?;
            let errors: Vec<String> = lines.filter_map(|line| line.err().map(|error| error.to_string())).collect();
            let lines = counted(errors.len(), "lines");
            errors.first().map(|first| format!("\n{lines} cannot be read as text; first: {first}"))
        };
        let found: String = self.files.iter().filter(is_text).filter_map(invalid).collect();
        error.followed_by(&found)
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
        row(shown.first().map_or("examples", |facts| facts.unit).to_owned(), &|facts| facts.examples.to_string());
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
            if shown.iter().any(|facts| facts.damaged > 0) {
                row("damaged characters".to_owned(), &|facts| facts.damaged.to_string());
            }
            row("repeat an earlier one".to_owned(), &|facts| facts.repeated.to_string());
            row("occur in train".to_owned(), &|facts| match facts.split {
                Split::Train => "-".to_owned(),
                _ => facts.in_train.to_string(),
            });
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
        let of_texts = shown.iter().all(|facts| facts.labels.values().sum::<usize>() == facts.examples);
        if let (Some((most, count)), Some((least, few))) = (labels.first(), labels.last())
            && labels.len() > 1
            && of_texts
            && *count >= IMBALANCE * few.max(&1)
        {
            writeln!(out, "imbalance: `{most}` occurs {count} times, `{least}` {few}")?;
        }
        if shown.iter().any(|facts| facts.damaged > 0) {
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
        writeln!(out, "next: seqzoo train {name}{}{}", data.flag(), self.overrides.flag())?;
        Ok(())
    }

    fn print_json(&self, report: &Report) -> Result<(), Failure> {
        let split = |facts: &Facts| {
            json!({
                "examples": facts.examples, "unit": facts.unit, "labels": facts.labels, "repeated": facts.repeated,
                "in_train": facts.in_train, "unknown_tokens": facts.unknown,
                "damaged_characters": facts.damaged,
                "tokens": {"median": facts.length(0.5), "95 %": facts.length(0.95), "longest": facts.length(1.0)},
            })
        };
        let splits: serde_json::Map<String, Value> =
            report.splits.iter().map(|facts| (facts.split.name().to_owned(), split(facts))).collect();
        let facts: serde_json::Map<String, Value> =
            report.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let object = json!({
            "files": files, "recipe": report.name, "splits": splits, "facts": facts, "problems": report.problems,
            "vocabulary": {"distinct": report.distinct, "known": report.known},
        });
        writeln!(std::io::stdout().lock(), "{object}")?;
        Ok(())
    }
}

/// The vocabulary that the models of a recipe would have; all words for subwords, whose pieces are any of them.
fn vocabulary<I: Iterator<Item = String>>(recipe: &Recipe, tokens: impl Fn() -> I) -> Vocabulary {
    let value = |field: &str| recipe.task.get(field);
    let integer = |field: &str| value(field).and_then(toml::Value::as_integer).map(|count| count as usize);
    if value("level").and_then(toml::Value::as_str) == Some(Tokenization::Subwords.name()) {
        return Vocabulary::build(tokens(), 1, usize::MAX);
    }
    let coverage = value("coverage").and_then(toml::Value::as_float).unwrap_or(1.0);
    let size = covering(tokens(), coverage).min(integer("max_vocabulary").unwrap_or(usize::MAX));
    Vocabulary::build(tokens(), integer("min_count").unwrap_or(1), size)
}

/// Whether a text has characters that a conversion replaced (U+FFFD), or UTF-8 that was read as Latin-1 or Windows-1252: a byte that begins
/// a character of two or three bytes, in either case, with one that continues it.
fn is_damaged(text: &str) -> bool {
    let continues = |next: char| matches!(next, '\u{80}'..='\u{bf}' | '€' | '™' | 'œ' | 'ž' | '\u{2018}'..='\u{201e}');
    let pairs = text.chars().zip(text.chars().skip(1));
    let is_broken = |(first, next): (char, char)| matches!(first, 'Ã' | 'ã' | 'Â' | 'â') && continues(next);
    text.contains(char::REPLACEMENT_CHARACTER) || pairs.into_iter().any(is_broken)
}

/// The ratio of the most and the least frequent label from which classes are reported as imbalanced.
const IMBALANCE: usize = 10;

impl Facts {
    fn of(
        split: Split,
        items: &[Item],
        examples: &dyn Examples,
        vocabulary: &Vocabulary,
        train: &HashSet<&[String]>,
    ) -> Self {
        let (size, unit) = examples.size(split);
        let mut lengths: Vec<usize> = items.iter().map(|item| item.tokens.len()).collect();
        lengths.sort_unstable();
        let mut labels: BTreeMap<String, usize> = BTreeMap::new();
        items.iter().flat_map(|item| &item.labels).for_each(|label| *labels.entry(label.clone()).or_default() += 1);
        let mut seen: HashSet<&[String]> = HashSet::new();
        let repeated = items.iter().filter(|item| !seen.insert(&item.tokens)).count();
        let is_known = |item: &&Item| split != Split::Train && train.contains(item.tokens.as_slice());
        let in_train = items.iter().filter(is_known).count();
        let tokens = || items.iter().flat_map(|item| &item.tokens);
        let unknown = tokens().filter(|token| vocabulary.id(token) == UNKNOWN).count();
        let unknown = unknown as f64 / tokens().count().max(1) as f64;
        let damaged = items.iter().filter(|item| is_damaged(&item.tokens.concat())).count();
        Self { split, examples: size, unit, lengths, labels, repeated, in_train, unknown, damaged }
    }

    /// The number of tokens that a share of the examples does not exceed.
    fn length(&self, share: f64) -> usize {
        let last = self.lengths.len().saturating_sub(1);
        self.lengths.get((share * last as f64).round() as usize).copied().unwrap_or(0)
    }
}
