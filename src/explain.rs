//! Explanation of recipe fields: meaning, default, valid values, and the tasks that use them.

use std::fmt::Write as _;

use seqzoo_datasets::baselines::NaiveBayesFeatures;
use seqzoo_datasets::cleaning::CleaningStep;
use seqzoo_datasets::formats;
use seqzoo_datasets::generators;
use seqzoo_datasets::split_rule::SplitRule;
use seqzoo_run::did_you_mean;
use seqzoo_run::recipe::Section;
use seqzoo_tasks::fields::{self, Alternative, Field, Values};
use seqzoo_tasks::{KIND, Task};

use crate::failure::{Failure, USAGE};

/// A field with its section and the tasks that use it.
struct Entry {
    section: &'static str,
    field: Field,
    tasks: Vec<&'static str>,
}

impl Entry {
    fn name(&self) -> String {
        format!("{}.{}", self.section, self.field.name)
    }

    /// The field, with the tasks that use it in front of its meaning unless all do.
    fn with_tasks(&self) -> Field {
        let mut field = self.field.clone();
        if self.tasks.len() < seqzoo_tasks::ALL.len() {
            field.meaning = format!("{}: {}", self.used_by(), field.meaning);
        }
        field
    }

    fn used_by(&self) -> String {
        if self.tasks.len() == seqzoo_tasks::ALL.len() { "every task".to_owned() } else { self.tasks.join(", ") }
    }
}

fn default(field: &Field) -> String {
    match &field.default {
        Some(default) => default.to_string(),
        None if field.is_optional => "not set".to_owned(),
        None => "required".to_owned(),
    }
}

/// Every field; one that means the same for several tasks has one entry.
fn entries() -> Vec<Entry> {
    let names = seqzoo_tasks::ALL.map(|task| (task.name().to_owned(), task.summary.to_owned())).to_vec();
    let kind = Field {
        name: KIND.to_owned(),
        meaning: "Name of the task, which determines the other fields of this section.".to_owned(),
        default: None,
        is_optional: false,
        values: Values::Names(names),
    };
    let every = || seqzoo_tasks::ALL.map(Task::name).to_vec();
    let mut entries = vec![Entry { section: "task", field: kind, tasks: every() }];
    for task in seqzoo_tasks::ALL {
        for Section { name: section, fields, .. } in Section::all(task) {
            let is_used = |field: &Field| task.averages || (section, field.name.as_str()) != ("network", "members");
            for field in fields.into_iter().filter(is_used) {
                match entries.iter_mut().find(|entry| entry.section == section && entry.field == field) {
                    Some(entry) => entry.tasks.push(task.name()),
                    None => entries.push(Entry { section, field, tasks: vec![task.name()] }),
                }
            }
        }
    }
    for Alternative { fields, .. } in fields::alternatives::<SplitRule>("by") {
        for field in fields {
            if !entries.iter().any(|entry| entry.section == "data.split" && entry.field == field) {
                entries.push(Entry { section: "data.split", field, tasks: every() });
            }
        }
    }
    let rules = fields::alternatives::<SplitRule>("by").into_iter().map(|rule| (rule.name, rule.meaning)).collect();
    let by = Field {
        name: "by".to_owned(),
        meaning: "The rule that divides rows into splits.".to_owned(),
        default: None,
        is_optional: false,
        values: Values::Names(rules),
    };
    entries.push(Entry { section: "data.split", field: by, tasks: every() });
    entries
}

/// Explains a field, given as `section.field` or `field`, or lists the fields of a section.
///
/// # Errors
/// If there is no such field.
pub fn explain(name: &str) -> Result<String, Failure> {
    let entries = entries();
    let matches = |entry: &&Entry| entry.name() == name || entry.field.name == name;
    let found: Vec<&Entry> = entries.iter().filter(matches).collect();
    let of_section: Vec<&Entry> = entries.iter().filter(|entry| entry.section == name).collect();
    if found.is_empty() && !of_section.is_empty() {
        let width = of_section.iter().map(|entry| entry.name().len()).max().unwrap_or(0);
        let line = |entry: &&Entry| format!("{:width$}  {}\n", entry.name(), entry.field.meaning);
        return Ok(of_section.iter().map(line).collect());
    }
    if found.is_empty() {
        let mut known: Vec<String> = entries.iter().map(Entry::name).collect();
        known.extend(entries.iter().map(|entry| entry.field.name.clone()));
        let hint = did_you_mean(name, known.iter().map(String::as_str));
        let message = format!("--explain {name}: no recipe has this field{hint}; docs/recipes.md lists all");
        return Err(Failure::new(USAGE, message));
    }
    let mut text = String::new();
    for (index, entry) in found.into_iter().enumerate() {
        let separator = if index > 0 { "\n" } else { "" };
        let _ = writeln!(text, "{separator}{}\n  {}", entry.name(), entry.field.meaning);
        let _ = writeln!(text, "  default  {}", default(&entry.field));
        let _ = writeln!(text, "  values   {}", entry.field.values);
        if let Values::Names(names) = &entry.field.values {
            let width = names.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, meaning) in names {
                let _ = writeln!(text, "{}", format!("             {name:width$}  {meaning}").trim_end());
            }
        }
        let _ = writeln!(text, "  used by  {}", entry.used_by());
    }
    Ok(text)
}

/// The reference of all fields, as Markdown: docs/recipes.md.
pub fn reference() -> String {
    let mut text = String::from(
        "# Recipes\n\n\
         A recipe is a TOML file that describes one experiment; `seqzoo train FILE.toml` trains it. This page lists all fields with meaning, \
         default and valid values, in the sections in which they occur. `seqzoo describe --explain FIELD` explains a single field, \
         and `seqzoo describe RECIPE` prints all values of a recipe with their origins.\n\n\
         - Unknown fields, and fields of another task, are errors; the message suggests the nearest name.\n\
         - `--set section.field=value` overrides a field, and so does the environment variable `SEQZOO_SECTION_FIELD`; the flag takes \
         precedence.\n\
         - `[model.NAME.section]` sets fields of one model only, such as `[model.rnn.training]`. The data, the task's shared fields \
         (listed per task), the seed and the stopping metric are the same for all models.\n\n\
         The two fields at the top level are `summary`, one sentence, and `models`, a list of model names such as `\"lstm\"`, \
         `\"gru-64-32\"` or `\"bilstm+crf\"` (`seqzoo list models` explains them). The first model is the default of commands that use \
         a single one.\n\n\
         This page is generated from the doc comments of the code by `seqzoo describe --explain all > docs/recipes.md`.\n",
    );
    let entries = entries();
    let any = seqzoo_tasks::ALL[0];
    for Section { name, meaning, .. } in Section::all(any) {
        let _ = write!(text, "\n## [{name}]\n\n{meaning}\n");
        if name != "task" {
            let of_section = entries.iter().filter(|entry| entry.section == name);
            let mut fields: Vec<Field> = of_section.map(Entry::with_tasks).collect();
            fields.sort_by(|one, other| one.name.cmp(&other.name));
            table(&mut text, fields.into_iter());
            if name == "data" {
                data_tables(&mut text);
            }
            continue;
        }
        text.push_str("`kind` is the name of the task, which determines the other fields.\n");
        for task in seqzoo_tasks::ALL {
            let _ = write!(text, "\n### kind = \"{}\": {}\n", task.name(), task.summary);
            let shared = task.shared.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
            let _ = write!(text, "\nShared by all models of a run: {shared}.\n\nMetrics:\n\n");
            for metric in task.metrics {
                let _ = writeln!(text, "- `{}`: {}", metric.name, metric.meaning.trim());
            }
            let own = |entry: &&Entry| {
                entry.section == "task" && entry.field.name != KIND && entry.tasks.contains(&task.name())
            };
            table(&mut text, entries.iter().filter(own).map(|entry| entry.field.clone()));
        }
    }
    format_samples(&mut text);
    text
}

/// The formats, with their columns and a sample.
fn format_samples(text: &mut String) {
    text.push_str(
        "\n## Formats\n\n`data.format` names the format of the files. Without it, the format is recognized by the suffix of the first file's name, \
         by folders, or by the first line. Files may be compressed with gzip, and archives (zip, tar) are read like folders. Options are in \
         [data.options](#dataoptions).\n",
    );
    for format in formats::ALL {
        let _ =
            write!(text, "\n### {}\n\nContents: {}.\n\nColumns: {}.\n", format.name, format.summary, format.columns);
        for (name, content) in format.sample {
            let _ = write!(text, "\n`{name}`:\n\n```text\n{content}```\n");
        }
    }
}

/// The tables of `[data]`, whose keys depend on their other values.
fn data_tables(text: &mut String) {
    text.push_str(
        "\n### [data.split]\n\n`by` is the rule that divides the rows of `files`; the other keys depend on it. Without this table, a tenth of the \
         rows is the validation split: the last characters of running text, the last rows of a series (which also has a test split of 15 %), \
         else a stratified random tenth (`systematic`).\n",
    );
    for Alternative { name, meaning, fields } in fields::alternatives::<SplitRule>("by") {
        let _ = write!(text, "\n`by = \"{name}\"`: {meaning}\n");
        table(text, fields.into_iter());
    }
    text.push_str(
        "\n### [data.options]\n\nOptions of the format, or of a generated dataset.\n\n| format or dataset | option | meaning |\n|---|---|---|\n",
    );
    for (option, meaning) in formats::COMMON {
        let _ = writeln!(text, "| every format | `{option}` | {} |", escaped(meaning));
    }
    for format in formats::ALL {
        for (option, meaning) in format.options {
            let _ = writeln!(text, "| `{}` | `{option}` | {} |", format.name, escaped(meaning));
        }
    }
    for generator in generators::ALL {
        for (option, meaning) in generator.options {
            let _ = writeln!(text, "| `{}` | `{option}` | {} |", generator.name, escaped(meaning));
        }
    }
    text.push_str("\n### data.cleaning\n\nA list of steps, `[\"byte-order-marks\", \"nfc\"]` if not set.\n\n| step | meaning |\n|---|---|\n");
    for (name, meaning) in fields::names::<CleaningStep>() {
        let _ = writeln!(text, "| `{name}` | {} |", escaped(&meaning));
    }
    text.push_str("\n### [data.naive_bayes]\n\nFeatures of the naive Bayes baseline.\n");
    table(text, fields::of::<NaiveBayesFeatures>().into_iter());
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

fn table(text: &mut String, fields: impl Iterator<Item = Field>) {
    text.push_str("\n| field | meaning | default | values |\n|---|---|---|---|\n");
    for field in fields {
        let values = match &field.values {
            Values::Names(names) => {
                let each = |(name, meaning): &(String, String)| match meaning.is_empty() {
                    true => format!("`{name}`"),
                    false => format!("`{name}`: {meaning}"),
                };
                names.iter().map(each).collect::<Vec<_>>().join("<br>")
            }
            other => other.to_string(),
        };
        let default = match &field.default {
            Some(default) => format!("`{default}`"),
            None => default(&field),
        };
        let (meaning, values) = (escaped(&field.meaning), escaped(&values));
        let _ = writeln!(text, "| `{}` | {meaning} | {default} | {values} |", field.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_recipes_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipes.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == reference(),
            "docs/recipes.md is outdated; regenerate it with `cargo run --release -- describe --explain all > docs/recipes.md`"
        );
    }

    #[test]
    fn every_field_has_a_meaning() {
        for entry in entries() {
            assert!(!entry.field.meaning.is_empty(), "{}", entry.name());
        }
    }

    #[test]
    fn a_field_is_explained_by_its_full_or_short_name() {
        let pooling = explain("task.pooling").unwrap();
        assert_eq!(pooling, explain("pooling").unwrap());
        assert!(pooling.contains("default  \"last\"") && pooling.contains("used by  classification"), "{pooling}");
        assert!(explain("training.epochs").unwrap().contains("default  required"));
        assert!(explain("seed").unwrap().contains("used by  every task"));
        assert!(explain("trainng.epochs").err().unwrap().to_string().contains("did you mean `training.epochs`?"));
    }
}
