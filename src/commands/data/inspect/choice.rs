//! The recipe whose data files would be.

use std::collections::BTreeSet;
use std::path::Path;

use seqzoo_datasets::classification::Split;
use seqzoo_datasets::formats::Format;
use seqzoo_datasets::reading::{Lines, STANDARD_INPUT};
use seqzoo_datasets::wording::counted;
use seqzoo_inference::Examples;
use seqzoo_run::recipe::Recipe;
use seqzoo_tasks::Item;

use super::Inspect;
use crate::arguments::{DataArgs, Overrides};
use crate::failure::{DATA, Failure};
use crate::say::{muted, say};

/// Recipes for own data, in the order in which they are tried.
const RECIPES: [&str; 12] = [
    "relations",
    "slots",
    CLASSIFY,
    MULTI_LABEL,
    REGRESSION,
    "tag",
    "scenes",
    "music",
    "classify-series",
    "strokes",
    "translate",
    "language-model",
];

/// Recipes whose texts have labels or numbers.
const CLASSIFY: &str = "classify";
const MULTI_LABEL: &str = "multi-label";
const REGRESSION: &str = "regression";

/// Recipes for tables that need the name of a column, with the flag that names it.
const TABLES: [(&str, &str, &str); 3] =
    [("forecast", "target", "--target"), ("anomaly", "value", "--value-column"), ("recommend", "item", "--item")];

/// Number of distinct whole numbers up to which they are labels rather than measurements, such as one to five stars.
const NUMBERS: usize = 5;

/// Number of lines examined to recognize running text.
const SAMPLE: usize = 1_000;

/// What a recipe reads of the files.
pub(super) struct Loaded {
    /// Name of the recipe, or its file.
    pub(super) name: String,
    /// The flags with which the recipe reads the files.
    pub(super) overrides: Overrides,
    pub(super) recipe: Recipe,
    pub(super) examples: Box<dyn Examples>,
}

impl Inspect {
    /// Loads the files as the data of the recipe that is given, else of the first one that can read them.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        if let Some(name) = &self.recipe {
            return self.load_as(name, &self.overrides).map_err(|error| self.with_encoding(error));
        }
        if let Some(name) = self.table_recipe() {
            let hint = "; if the column has labels of texts, choose --recipe classify";
            return self.load_as(name, &self.overrides).map_err(|error| self.with_encoding(error.followed_by(hint)));
        }
        let is_text = self.files.iter().all(|path| is_running_text(path));
        // The recipes that cannot read the files, by reason.
        let mut errors: Vec<(Failure, Vec<&str>)> = Vec::new();
        for name in RECIPES.into_iter().filter(|name| is_text || *name != "language-model") {
            match muted(|| self.attempt(name)) {
                // Once more, with notes.
                Ok(found) => return self.load_as(&found.name, &found.overrides),
                Err(error) => match errors.iter_mut().find(|(known, _)| known.to_string() == error.to_string()) {
                    Some((_, names)) => names.push(name),
                    None => errors.push((error, vec![name])),
                },
            }
        }
        let tables: Vec<String> =
            TABLES.iter().map(|(name, _, flag)| format!("{flag} COLUMN for recipe {name}")).collect();
        // The place that most recipes name, the first of them if several do.
        let placed = errors.iter().rev().filter(|(error, _)| error.place().is_some_and(|(_, line)| line.is_some()));
        let place = placed.max_by_key(|(_, names)| names.len()).and_then(|(error, _)| error.place());
        let errors: Vec<String> =
            errors.iter().map(|(error, names)| format!("as {}: {error}", names.join(", "))).collect();
        let message = format!(
            "no recipe for own data reads these files; choose one with --recipe, such as --recipe classify, or name a column of a table of \
             numbers: {}\n{}",
            tables.join(", "),
            errors.join("\n")
        );
        let failure = self.with_encoding(Failure::new(DATA, message));
        Err(match place {
            Some((file, line)) if failure.place().is_none() => failure.at(file, line),
            _ => failure,
        })
    }

    fn load_as(&self, name: &str, overrides: &Overrides) -> Result<Loaded, Failure> {
        let data = DataArgs::of_files(&self.files, &self.validation_data, &self.test_data);
        let recipe = overrides.settings(name, &data)?.recipe;
        let examples = data.load(&recipe)?;
        Ok(Loaded { name: name.to_owned(), overrides: overrides.clone(), recipe, examples })
    }

    /// The recipe for tables whose column is named, unless a column of texts is named too.
    fn table_recipe(&self) -> Option<&'static str> {
        let is_named = |role: &str| self.overrides.names_column(role);
        let found = TABLES.into_iter().find(|(_, role, _)| is_named(role) && !is_named("text"));
        found.map(|(name, ..)| name)
    }

    /// Loads the files as the data of a recipe, or of a recipe for such data that fits their values better.
    fn attempt(&self, name: &str) -> Result<Loaded, Failure> {
        let loaded = self.load_as(name, &self.overrides);
        match (name, loaded) {
            (CLASSIFY | MULTI_LABEL, Ok(found))
                if are_numbers(&found).is_some_and(|numbers| numbers.are_measurements) =>
            {
                let column = ["label", "labels"].into_iter().find_map(|role| found.recipe.data.columns.get(role));
                let overrides = self.overrides.clone().with_label_column(column.unwrap_or("label"));
                Ok(self.load_as(REGRESSION, &overrides).unwrap_or(found))
            }
            // A column of numbers may be named `label`.
            (REGRESSION, Err(error)) => {
                self.load_as(name, &self.overrides.clone().with_label_column("label")).map_err(|_| error)
            }
            ("tag", Ok(found)) if !self.files.iter().any(|path| is_marked(path)) && !has_tags(&found) => Err(
                Failure::new(DATA, "the last column has as many values as lines, as running text has; expected tags"),
            ),
            (_, loaded) => loaded,
        }
    }

    /// Notes how numbers are read, if they might be read otherwise.
    pub(super) fn note_numbers(&self, loaded: &Loaded) {
        if self.recipe.is_some() {
            return;
        }
        match &*loaded.name {
            REGRESSION
                if loaded.recipe.data.columns.get("target").is_some() && !loaded.overrides.names_column("target") =>
            {
                say("note: the labels are numbers to predict; --recipe classify reads them as labels")
            }
            CLASSIFY if are_numbers(loaded).is_some() => {
                say("note: the numbers are read as labels; --recipe regression predicts them as numbers");
            }
            _ => {}
        }
    }

    /// Adds the number of lines that are not text, and the place of the first.
    fn with_encoding(&self, mut error: Failure) -> Failure {
        for lines in self.files.iter().filter_map(|path| lines(path)) {
            let unreadable: Vec<Failure> = lines.filter_map(|line| line.err().map(Failure::from)).collect();
            let Some(first) = unreadable.first() else { continue };
            let count = counted(unreadable.len(), "lines");
            let is_placed = error.place().is_some_and(|(_, line)| line.is_some());
            error = error.followed_by(&format!("\n{count} cannot be read as text; first: {first}"));
            if let (false, Some((file, line))) = (is_placed, first.place()) {
                error = error.at(file, line);
            }
        }
        error
    }
}

/// The lines of a file; `None` of a folder or of standard input, which can be read once.
fn lines(path: &Path) -> Option<Lines<'static>> {
    let is_file = path != Path::new(STANDARD_INPUT) && path.is_file();
    is_file.then(|| Lines::open(path).ok()).flatten()
}

/// Whether the end of a file's name marks its format, other than that of running text.
fn is_marked(path: &Path) -> bool {
    Format::of_name(&path.to_string_lossy()).is_some_and(|format| format.name != "text")
}

/// Whether a file may be running text: neither its name nor most of its lines mark another format.
fn is_running_text(path: &Path) -> bool {
    if is_marked(path) {
        return false;
    }
    let lines = lines(path).into_iter().flatten().take(SAMPLE).filter_map(Result::ok);
    let texts = lines.map(|line| line.text).filter(|text| !text.trim().is_empty());
    let (marked, plain): (Vec<String>, Vec<String>) = texts.partition(|text| Format::of_first_line(text).is_some());
    marked.len() <= plain.len()
}

/// The items of the training split.
fn train_items(loaded: &Loaded) -> Vec<Item> {
    loaded.examples.items(Split::Train, &loaded.recipe.task)
}

/// Labels that are numbers.
struct Numbers {
    /// Whether they are measurements rather than names of classes: more than a few, or with fractions.
    are_measurements: bool,
}

/// The labels of texts, if each text has one and all are numbers.
fn are_numbers(loaded: &Loaded) -> Option<Numbers> {
    let items = train_items(loaded);
    let labels: BTreeSet<&str> = items.iter().flat_map(|item| &item.labels).map(String::as_str).collect();
    let number = |label: &&str| label.parse::<f64>().ok().filter(|number| number.is_finite());
    let numbers: Vec<f64> = labels.iter().map(number).collect::<Option<_>>()?;
    if numbers.is_empty() || items.iter().any(|item| item.labels.len() != 1) {
        return None;
    }
    let are_measurements = numbers.len() > NUMBERS || numbers.iter().any(|number| number.fract() != 0.0);
    Some(Numbers { are_measurements })
}

/// Whether the last words of lines may be tags: they recur, or none begins with a lowercase letter, as words of a text do.
fn has_tags(loaded: &Loaded) -> bool {
    let items = train_items(loaded);
    let labels: Vec<&String> = items.iter().flat_map(|item| &item.labels).collect();
    let distinct: BTreeSet<&String> = labels.iter().copied().collect();
    2 * distinct.len() <= labels.len() || !distinct.iter().any(|label| label.starts_with(char::is_lowercase))
}
