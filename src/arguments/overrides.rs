//! Flags that override a recipe's values.

use std::path::Path;

use clap::Args;
use seqzoo_datasets::split_rule::SplitRule;
use seqzoo_datasets::table;
use seqzoo_run::settings::{Override, Settings, unknown_variables};

use super::DataArgs;
use crate::failure::{DATA, Failure, USAGE};
use crate::say::{flag, say};

/// Flags that override a recipe's values.
#[derive(Debug, Clone, Default, Args)]
pub struct Overrides {
    /// Override a recipe value, such as training.epochs=3; `seqzoo describe RECIPE` lists all fields.
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = assignment)]
    sets: Vec<(String, String)>,
    /// Short for --set training.seed=N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Short for --set training.epochs=N
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Word vectors (text format of GloVe, fastText or word2vec) as initial embeddings. Short for --set init.vectors=FILE
    #[arg(long, value_name = "FILE")]
    vectors: Option<String>,
    /// Run whose weights are the initial ones, such as a language model. Short for --set init.from=RUN
    #[arg(long, value_name = "RUN")]
    init_from: Option<String>,
    /// Column of the texts, or of the tokens to tag: its name, or its number in CoNLL columns. Short for
    /// --set data.columns.text=COLUMN (tokens)
    #[arg(long, value_name = "COLUMN")]
    text_column: Option<String>,
    /// Column of the labels, or of the number to predict. Short for --set data.columns.label=COLUMN (labels, target)
    #[arg(long, value_name = "COLUMN")]
    label_column: Option<String>,
    /// Column of the tags: its name, or its number in CoNLL columns [default: the last]. Short for --set data.columns.tags=COLUMN
    #[arg(long, value_name = "COLUMN")]
    column: Option<String>,
    /// Column whose equal values are never divided between splits. Short for --set data.split.group=COLUMN
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// Fraction of the validation split. Short for --set data.split.validation=FRACTION
    #[arg(long, value_name = "FRACTION", value_parser = validation_fraction, allow_negative_numbers = true)]
    validation: Option<f64>,
    /// Fraction of the test split. Short for --set data.split.test=FRACTION
    #[arg(long, value_name = "FRACTION", value_parser = fraction, allow_negative_numbers = true)]
    test: Option<f64>,
    /// Column of the value to monitor for anomalies. Short for --set data.columns.value=COLUMN
    #[arg(long, value_name = "COLUMN")]
    value_column: Option<String>,
    /// Column that names the series of each row. Short for --set data.columns.series=COLUMN
    #[arg(long, value_name = "COLUMN")]
    series_column: Option<String>,
    /// Column that names the user of each interaction. Short for --set data.columns.user=COLUMN
    #[arg(long, value_name = "COLUMN")]
    user: Option<String>,
    /// Column that names the item of each interaction. Short for --set data.columns.item=COLUMN
    #[arg(long, value_name = "COLUMN")]
    item: Option<String>,
    /// Timestamp column of the CSV file; without it, rows are numbered, and interactions are in order of time. An empty name selects the unnamed column. Short for
    /// --set data.columns.time=COLUMN
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// Column of the CSV file to forecast. Short for --set data.columns.target=COLUMN
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Past covariates: columns known up to the forecast origin, separated by commas; may be repeated. Short for
    /// --set data.columns.features=[COLUMN, …]
    #[arg(long, value_name = "COLUMN,…")]
    features: Vec<String>,
    /// Number of rows to forecast. Short for --set task.horizon=N
    #[arg(long, value_name = "N")]
    horizon: Option<usize>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("expected FIELD=VALUE, such as training.epochs=3")?;
    Ok((field.trim().to_owned(), value.trim().to_owned()))
}

/// Parses the fraction of a split, which may be empty.
fn fraction(text: &str) -> Result<f64, String> {
    let fraction = text.parse::<f64>().ok().filter(|fraction| (0.0..1.0).contains(fraction));
    fraction.ok_or_else(|| "expected a fraction of at least 0 and below 1, such as 0.1".to_owned())
}

/// Parses the fraction of the validation split.
fn validation_fraction(text: &str) -> Result<f64, String> {
    let found = fraction(text).ok().filter(|&fraction| fraction > 0.0);
    found.ok_or_else(|| "expected a fraction above 0 and below 1, such as 0.1".to_owned())
}

impl Overrides {
    /// Resolves a recipe with the overrides of the environment and of these flags.
    pub fn settings(&self, recipe: &str, data: &DataArgs) -> Result<Settings, Failure> {
        let settings = Settings::read(recipe)?;
        let rule = [("--validation", self.validation.is_some()), ("--group", self.group.is_some())];
        if let Some((flag, _)) = rule.into_iter().find(|(_, given)| *given && data.has_validation()) {
            let message = format!(
                "{flag} divides --data, but --validation-data names the validation split; remove one of the two"
            );
            return Err(Failure::new(USAGE, message));
        }
        let overrides = self.of(&settings, data.table())?;
        Ok(settings.with_overrides(&overrides)?)
    }

    /// Whether these flags name the column of a role; a flag for labels names none but that of labels.
    pub fn names_column(&self, role: &str) -> bool {
        let field = format!("data.columns.{role}");
        let is_set = |(name, _): &(String, String)| *name == field || name == "data.columns";
        let is_given = |(_, name, value): (_, &str, &Option<String>)| name == field && value.is_some();
        self.sets.iter().any(is_set) || self.texts().into_iter().any(is_given)
    }

    /// These flags with a column of labels, or of the number to predict, unless they name one.
    pub fn with_label_column(mut self, name: &str) -> Self {
        self.label_column.get_or_insert_with(|| name.to_owned());
        self
    }

    /// These flags with a split rule, in place of the recipe's.
    pub fn with_split(mut self, rule: &SplitRule) -> Self {
        self.sets.push(("data.split".to_owned(), rule.to_inline()));
        self
    }

    /// The flags as given, for a printed command.
    pub fn flag(&self) -> String {
        let sets = self.sets.iter().map(|(field, value)| ("--set", Some(format!("{field}={value}"))));
        let seed = [("--seed", self.seed.map(|seed| seed.to_string()))];
        let sizes = [("--epochs", self.epochs), ("--horizon", self.horizon)];
        let sizes = sizes.map(|(name, size)| (name, size.map(|size| size.to_string())));
        let fractions = [("--validation", self.validation), ("--test", self.test)];
        let fractions = fractions.map(|(name, fraction)| (name, fraction.map(|fraction| fraction.to_string())));
        let texts = self.texts().map(|(name, _, text)| (name, text.clone()));
        let features = self.features.iter().map(|value| ("--features", Some(value.clone())));
        let all = sets.chain(seed).chain(sizes).chain(fractions).chain(texts).chain(features);
        all.filter_map(|(name, value)| Some(flag(name, value?))).collect()
    }

    /// Flags with a text, with the field that each sets.
    fn texts(&self) -> [(&'static str, &'static str, &Option<String>); 12] {
        [
            ("--vectors", "init.vectors", &self.vectors),
            ("--init-from", "init.from", &self.init_from),
            ("--text-column", "data.columns.text", &self.text_column),
            ("--label-column", "data.columns.label", &self.label_column),
            ("--column", "data.columns.tags", &self.column),
            ("--value-column", "data.columns.value", &self.value_column),
            ("--series-column", "data.columns.series", &self.series_column),
            ("--user", "data.columns.user", &self.user),
            ("--item", "data.columns.item", &self.item),
            ("--group", "data.split.group", &self.group),
            ("--time", "data.columns.time", &self.time),
            ("--target", "data.columns.target", &self.target),
        ]
    }

    /// Columns of `--features`: each value is one column if the table has it, else a comma-separated list.
    fn features(&self, table: Option<&Path>) -> Result<Vec<String>, Failure> {
        let several = self.features.iter().any(|value| value.contains(','));
        let header = table.filter(|_| several).map(table::header).transpose()?;
        let has = |name: &str| header.iter().flatten().any(|column| column == name);
        let mut found = Vec::new();
        for value in &self.features {
            if !value.contains(',') || has(value.trim()) {
                found.push(value.trim().to_owned());
                continue;
            }
            let parts = || value.split(',').map(str::trim);
            if let Some(absent) = parts().find(|part| header.is_some() && !has(part)) {
                let columns: Vec<String> = header.iter().flatten().map(|column| format!("`{column}`")).collect();
                let message = format!(
                    "--features {value:?}: no such column, and split at commas no column `{absent}`; columns: {}; \
                     repeat --features for each column whose name has a comma",
                    columns.join(", ")
                );
                return Err(Failure::new(DATA, message));
            }
            found.extend(parts().map(str::to_owned));
        }
        Ok(found)
    }

    /// Overrides from `SEQZOO_*` variables, then from flags.
    pub fn of(&self, settings: &Settings, table: Option<&Path>) -> Result<Vec<Override>, Failure> {
        let texts = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let variables: Vec<(String, String)> = std::env::vars_os().filter_map(texts).collect();
        static REPORT: std::sync::Once = std::sync::Once::new();
        REPORT.call_once(|| {
            let unknown = unknown_variables(variables.iter().map(|(name, _)| name.as_str()));
            unknown.iter().for_each(|message| say(format_args!("note: {message}")));
        });
        let mut overrides = settings.from_environment(variables.into_iter());
        let mut flag = |origin: &str, field: &str, value: String| {
            overrides.push(Override { origin: origin.to_owned(), field: field.to_owned(), value });
        };
        self.sets.iter().for_each(|(field, value)| flag("--set", field, value.clone()));
        if let Some(seed) = self.seed {
            flag("--seed", "training.seed", seed.to_string());
        }
        if let Some(epochs) = self.epochs {
            flag("--epochs", "training.epochs", epochs.to_string());
        }
        let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
        for (origin, field, fraction) in
            [("--validation", "data.split.validation", self.validation), ("--test", "data.split.test", self.test)]
        {
            if let Some(fraction) = fraction {
                flag(origin, field, format!("{fraction:?}"));
            }
        }
        let task = settings.recipe.task().ok();
        let has_role = |role: &str| task.is_some_and(|task| task.data.roles.iter().any(|known| known.name == role));
        for (origin, field, text) in self.texts() {
            // What a text is labeled with has another name in some tasks.
            let field = match field {
                "data.columns.text" if has_role("tokens") => "data.columns.tokens",
                "data.columns.label" if has_role("labels") => "data.columns.labels",
                "data.columns.label" if !has_role("label") && has_role("target") => "data.columns.target",
                field => field,
            };
            if let Some(text) = text {
                flag(origin, field, quoted(text));
            }
        }
        if !self.features.is_empty() {
            let features: Vec<String> = self.features(table)?.iter().map(quoted).collect();
            flag("--features", "data.columns.features", format!("[{}]", features.join(", ")));
        }
        if let Some(horizon) = self.horizon {
            flag("--horizon", "task.horizon", horizon.to_string());
        }
        Ok(overrides)
    }
}
