//! Settings: a resolved recipe with the origin of each value. Precedence: defaults < recipe file < `SEQZOO_*` environment <
//! `--set` and flags.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use seqzoo_datasets::{DataError, reading};
use seqzoo_tasks::fields::Values;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::did_you_mean;
use crate::recipe::{InvalidValue, Recipe, SHIPPED, Section, in_model, malformed, renamed};

mod variables;

pub use variables::unknown_variables;

/// A resolved recipe, with the origin of each value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of a shipped recipe, or of the recipe file without `.toml`.
    pub name: String,
    /// The resolved values.
    pub recipe: Recipe,
    /// Origin by `section.field`: "default", "recipe", or the variable or flag that set the value.
    pub origins: BTreeMap<String, String>,
}

/// Override of one recipe field.
#[derive(Debug, Clone)]
pub struct Override {
    /// Origin: "--set", "--epochs", "SEQZOO_TRAINING_SEED".
    pub origin: String,
    /// `section.field`.
    pub field: String,
    /// The value as given: TOML or a bare string.
    pub value: String,
}

/// Error of resolving settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Neither a shipped recipe nor a recipe file.
    #[error("no recipe `{name}`{hint}; a path ending in .toml names a file")]
    UnknownRecipe {
        /// The name given.
        name: String,
        /// The nearest name.
        hint: String,
    },
    /// The file cannot be read as text.
    #[error("recipe: {0}")]
    Unreadable(#[from] DataError),
    /// The recipe cannot be parsed.
    #[error("recipe {}: {message}", at(file, *line))]
    Malformed {
        /// The file, or the name of a shipped recipe.
        file: String,
        /// Line, counted from 1, if the error concerns a single one.
        line: Option<usize>,
        /// What is wrong, with the nearest name.
        message: String,
    },
    /// A value is invalid.
    #[error("recipe {}: {source}", at(file, *line))]
    Invalid {
        /// The file, or the name of a shipped recipe.
        file: String,
        /// Line, counted from 1; `None` if it was not found.
        line: Option<usize>,
        /// The value.
        source: InvalidValue,
    },
    /// An override is invalid.
    #[error("{}: {message}", given(origin, field, value))]
    Override {
        /// The flag or variable.
        origin: String,
        /// `section.field`.
        field: String,
        /// The value as given.
        value: String,
        /// What is wrong, with the nearest name.
        message: String,
    },
    /// Overrides are invalid in combination, or with the values of the recipe.
    #[error("{source} (with {overrides})")]
    Combination {
        /// The overrides as given.
        overrides: String,
        /// The value.
        source: InvalidValue,
    },
    /// A resumed run cannot change its recipe.
    #[error(
        "a resumed run cannot change its recipe: {field} would change from {recorded} to {wanted} ({origin}); only \
         [checkpoints] and, unless the schedule depends on it, training.epochs can change; start a new run instead"
    )]
    Changed {
        /// `section.field`.
        field: String,
        /// Value with which the run was started.
        recorded: String,
        /// Requested value.
        wanted: String,
        /// Origin of the requested value.
        origin: String,
    },
}

/// Tables that can be set as a whole.
const TABLES: [&str; 6] =
    ["data.columns", "data.options", "data.split", "data.naive_bayes", "init.learning_rates", "expected"];

/// End of the first line of a resolved recipe, such as that of a run.
const RESOLVED: &str = "resolved: defaults < recipe < environment < flags.";

/// Whether a recipe is given as a file: its name ends in `.toml`, in lower or upper case.
pub fn is_file(recipe: &str) -> bool {
    Path::new(recipe).extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"))
}

/// Whether a resumed run may change a field; consistent with [`Recipe::same_run`].
fn may_change(field: &str, recipe: &Recipe) -> bool {
    let of_model = |name: &str| recipe.of_model(name).is_ok_and(|own| !own.schedule.kind.needs_end());
    match in_model(field) {
        Some((name, "training.epochs")) => of_model(name),
        Some(_) => false,
        None => field.starts_with("checkpoints.") || (field == "training.epochs" && !recipe.schedule.kind.needs_end()),
    }
}

/// Name and text of a recipe, shipped or in a file.
fn source(recipe: &str) -> Result<(String, Cow<'static, str>), SettingsError> {
    if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == recipe) {
        return Ok(((*name).to_owned(), Cow::Borrowed(*text)));
    }
    if !is_file(recipe) {
        let hint = did_you_mean(recipe, SHIPPED.iter().map(|(name, _)| *name));
        return Err(SettingsError::UnknownRecipe { name: recipe.to_owned(), hint });
    }
    let path = Path::new(recipe);
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, Cow::Owned(reading::text(path)?)))
}

/// The comment at the top of a recipe, shipped or in a file, one line each: what it is for, its results, and how to reproduce them. Empty if
/// it has none.
///
/// # Errors
/// If there is no such recipe, or its file cannot be read.
pub fn header(recipe: &str) -> Result<String, SettingsError> {
    let (_, text) = source(recipe)?;
    let is_comment = |line: &&str| line.starts_with('#') && !line.ends_with(RESOLVED);
    Ok(text.lines().take_while(is_comment).map(|line| format!("{line}\n")).collect())
}

impl Settings {
    /// Resolves a recipe, shipped or in a file, with overrides; later overrides take precedence.
    ///
    /// # Errors
    /// [`SettingsError`], with file and line, or flag and field.
    pub fn resolve(recipe: &str, overrides: &[Override]) -> Result<Self, SettingsError> {
        Self::read(recipe)?.with_overrides(overrides)
    }

    /// Reads a recipe, shipped or in a file, without overrides.
    ///
    /// # Errors
    /// [`SettingsError`], with file and line.
    pub fn read(recipe: &str) -> Result<Self, SettingsError> {
        let (name, text) = source(recipe)?;
        Self::parse(&name, recipe, &text)
    }

    fn parse(name: &str, file: &str, text: &str) -> Result<Self, SettingsError> {
        let mut recipe: Recipe = toml::from_str(text).map_err(|error| {
            let (line, message) = malformed::explain(text, &error);
            SettingsError::Malformed { file: file.to_owned(), line, message }
        })?;
        recipe.fill_in_metric();
        recipe.validate().map_err(|source| SettingsError::Invalid {
            file: file.to_owned(),
            line: renamed::line_of(text, &source.field),
            source,
        })?;
        let written = flatten(&text.parse().expect("what parsed as a recipe is a table"));
        if let Some(source) = written.keys().find_map(|field| unused(&recipe, field)) {
            let line = renamed::line_of(text, &source.field);
            return Err(SettingsError::Invalid { file: file.to_owned(), line, source });
        }
        let origin = |field: &String| if written.contains_key(field) { "recipe" } else { "default" };
        let origins = flatten(&table(&recipe)).into_keys().map(|field| (field.clone(), origin(&field).to_owned()));
        Ok(Self { name: name.to_owned(), origins: origins.collect(), recipe })
    }

    /// Applies overrides; later ones take precedence.
    ///
    /// # Errors
    /// [`SettingsError::Override`], with flag, field and value.
    pub fn with_overrides(mut self, overrides: &[Override]) -> Result<Self, SettingsError> {
        let invalid = |change: &Override, message: String| SettingsError::Override {
            origin: change.origin.clone(),
            field: change.field.clone(),
            value: change.value.clone(),
            message,
        };
        for change in overrides {
            self.recipe = self.with(change).map_err(|message| invalid(change, message))?;
            self.origins.insert(change.field.clone(), change.origin.clone());
            // A common value replaces per-model values.
            self.origins.retain(|field, _| in_model(field).is_none_or(|(_, common)| common != change.field));
            if change.field == "models" {
                self.drop_unnamed_models();
            }
        }
        // Validated together: single overrides may be valid only in combination.
        let checked = self.recipe.validate().map_err(|error| (None, error));
        let checked = checked.and_then(|()| {
            let unused = overrides.iter().find_map(|change| Some((Some(change), unused(&self.recipe, &change.field)?)));
            unused.map_or(Ok(()), Err)
        });
        let Err((change, error)) = checked else { return Ok(self) };
        let concerns =
            |change: &&Override| is_within(&error.field, &change.field) || is_within(&change.field, &error.field);
        let cause = change.or_else(|| overrides.iter().rev().find(concerns));
        match (cause, overrides) {
            (Some(change), _) if change.field == error.field && change.value == error.value => {
                Err(invalid(change, error.expected))
            }
            (Some(change), _) | (None, [change]) => Err(invalid(change, error.to_string())),
            (None, overrides) => {
                let all = overrides.iter().map(|change| given(&change.origin, &change.field, &change.value));
                Err(SettingsError::Combination { overrides: all.collect::<Vec<_>>().join(", "), source: error })
            }
        }
    }

    /// Drops per-model values of models that the recipe no longer names.
    fn drop_unnamed_models(&mut self) {
        let Recipe { models, model, .. } = &mut self.recipe;
        model.retain(|name, _| models.contains(name));
        self.origins.retain(|field, _| in_model(field).is_none_or(|(name, _)| model.contains_key(name)));
    }

    fn with(&self, change: &Override) -> Result<Recipe, String> {
        let mut values = table(&self.recipe);
        let known = known_fields(&self.recipe);
        let common = in_model(&change.field).map_or(change.field.as_str(), |(_, common)| common);
        let is_in_table = TABLES
            .iter()
            .any(|table| common.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
        let anything = Value::Table(Table::new());
        let Some(current) = known.get(common).or(is_in_table.then_some(&anything)) else {
            if let Some(new) = renamed::new_name(common) {
                return Err(format!("this field was renamed to {new}"));
            }
            let readers: Vec<&str> = seqzoo_tasks::ALL
                .iter()
                .filter(|task| Section::has_field(task, common))
                .map(|task| task.name())
                .collect();
            if let (Ok(task), false) = (self.recipe.task(), readers.is_empty()) {
                return Err(format!("task {} does not use it; it is for {}", task.name(), readers.join(", ")));
            }
            let common_fields = known.keys().filter(|field| in_model(field).is_none());
            let hint = did_you_mean(common, common_fields.map(String::as_str));
            return Err(format!("unknown field{hint}"));
        };
        if common.starts_with("expected.") && known.contains_key(common) && self.recipe.expected.is_none() {
            let all = "expected={ split = \"validation\", metric = \"loss\", value = 1.0 }";
            return Err(format!(
                "this recipe has no [expected] section; set all of its fields together, such as {all}"
            ));
        }
        let value = format!("value = {}", change.value).parse::<Table>().ok().and_then(|mut one| one.remove("value"));
        let value = value.unwrap_or_else(|| Value::String(change.value.clone()));
        // Integers are accepted where floats are expected.
        let value = match (current, value) {
            (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
            (_, value) => value,
        };
        if let (Some(rest), None, Ok(task)) =
            (common.strip_prefix("data.split."), &self.recipe.data.split, self.recipe.task())
            && rest != "by"
        {
            // A value of the rule changes the default rule of the task.
            let rule = Value::try_from(&task.data.default_split).expect("a rule can be serialized to TOML");
            insert(&mut values, "data.split", rule);
        }
        insert(&mut values, &change.field, value);
        if let Some((section, key)) = change.field.split_once('.')
            && let Some(models) = values.get_mut("model").and_then(Value::as_table_mut)
        {
            let own = models.iter_mut().filter_map(|(_, own)| own.get_mut(section)?.as_table_mut());
            own.for_each(|fields| drop(fields.remove(key)));
        }
        let mut recipe: Recipe =
            values.try_into().map_err(|error: toml::de::Error| malformed::plain(error.message()))?;
        recipe.fill_in_metric();
        Ok(recipe)
    }

    /// Settings with which a run that was started with `self` is resumed: as recorded, except for limits and checkpoint intervals.
    ///
    /// `current` is the recipe as it is now, `overrides` those of the resuming command.
    ///
    /// # Errors
    /// [`SettingsError::Changed`] if the recipe file or an override would change any other field.
    pub fn resumed(self, current: &Settings, overrides: &[Override]) -> Result<Self, SettingsError> {
        let is_of_file = |field: &str| matches!(self.origin(field), "recipe" | "default");
        let is_trained = |name: &str| self.recipe.models.iter().any(|model| model == name);
        let differs = |field: &String| {
            is_of_file(field) && in_model(field).is_none_or(|(name, common)| is_trained(name) && is_of_file(common))
        };
        self.refuse_change(&current.recipe, differs, |_| "recipe file")?;
        let resumed = self.clone().with_overrides(overrides)?;
        self.refuse_change(&resumed.recipe, |_| true, |field| resumed.origin(field))?;
        Ok(resumed)
    }

    /// The first field, such as `training.epochs`, whose value in another recipe differs.
    pub fn difference(&self, other: &Recipe) -> Option<String> {
        let (own, other) = (flatten(&table(&self.recipe)), flatten(&table(other)));
        let fields: BTreeSet<&String> = own.keys().chain(other.keys()).collect();
        fields.into_iter().find(|field| own.get(*field) != other.get(*field)).cloned()
    }

    /// Refuses changes of a field selected by `in_question`, except those allowed by [`may_change`].
    fn refuse_change<'a>(
        &self,
        wanted: &Recipe,
        in_question: impl Fn(&String) -> bool,
        origin: impl Fn(&str) -> &'a str,
    ) -> Result<(), SettingsError> {
        let (recorded, wanted) = (flatten(&table(&self.recipe)), flatten(&table(wanted)));
        let fields: BTreeSet<&String> = recorded.keys().chain(wanted.keys()).collect();
        let is_changed = |field: &String| {
            recorded.get(field) != wanted.get(field) && in_question(field) && !may_change(field, &self.recipe)
        };
        let Some(field) = fields.into_iter().find(|field| is_changed(field)) else { return Ok(()) };
        let value = |value: Option<&Value>| value.map_or_else(|| "unset".to_owned(), Value::to_string);
        Err(SettingsError::Changed {
            field: field.clone(),
            recorded: value(recorded.get(field)),
            wanted: value(wanted.get(field)),
            origin: origin(field).to_owned(),
        })
    }

    /// Settings of one model: its per-model values replace the common ones.
    ///
    /// # Errors
    /// If the recipe has no such model.
    pub fn of_model(&self, name: &str) -> Result<Self, InvalidValue> {
        let recipe = Recipe { models: vec![name.to_owned()], ..self.recipe.of_model(name)? };
        let mut origins = self.origins.clone();
        for (field, origin) in &self.origins {
            if let Some((model, common)) = in_model(field) {
                origins.remove(field);
                if model == name {
                    origins.insert(common.to_owned(), origin.clone());
                }
            }
        }
        Ok(Self { name: self.name.clone(), recipe, origins })
    }

    /// Origin of a value; "default" for fields that are missing in records of older versions.
    fn origin(&self, field: &str) -> &str {
        self.origins.get(field).map_or("default", String::as_str)
    }

    /// All values as TOML, each with its origin in a comment.
    pub fn to_toml(&self) -> String {
        let mut text = format!("# Recipe `{}`, {RESOLVED}\n", self.name);
        let mut section = String::new();
        let values = flatten(&table(&self.recipe));
        let mut fields: Vec<&String> = values.keys().collect();
        fields.sort_by_key(|field| field.rsplit_once('.').map(|(section, _)| section));
        for field in fields {
            let (parent, key) = field.rsplit_once('.').unwrap_or(("", field));
            if parent != section {
                section = parent.to_owned();
                let quoted: Vec<String> = section.split('.').map(toml_key).collect();
                let _ = writeln!(text, "\n[{}]", quoted.join("."));
            }
            let (mark, note) = if self.recipe.uses(field) { ("", "") } else { ("# ", "; not used") };
            let _ = writeln!(text, "{mark}{key} = {}  # {}{note}", values[field], self.origin(field));
        }
        text
    }
}

/// An override as it was given.
fn given(origin: &str, field: &str, value: &str) -> String {
    match origin {
        "--set" => format!("--set {field}={value}"),
        flag if flag.starts_with('-') => format!("{flag} {value}"),
        variable => format!("{variable}={value}"),
    }
}

/// Whether a field is `outer` or below it.
fn is_within(field: &str, outer: &str) -> bool {
    field.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The error for a field that is set but not used, of one model or common to them.
fn unused(recipe: &Recipe, field: &str) -> Option<InvalidValue> {
    match in_model(field) {
        None => recipe.check_used(field).err(),
        Some((name, common)) => {
            let own = recipe.of_model(name).ok().filter(|_| recipe.models.iter().any(|model| model == name))?;
            let alone = Recipe { models: vec![name.to_owned()], ..own };
            alone.check_used(common).err().map(|error| InvalidValue { field: field.to_owned().into(), ..error })
        }
    }
}

/// A file with a line.
fn at(file: &str, line: Option<usize>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file}, line {line}"))
}

fn table(recipe: &Recipe) -> Table {
    Table::try_from(recipe).expect("a recipe can be serialized to TOML")
}

/// A key in TOML syntax: quoted unless it consists of ASCII letters, digits, `-` and `_`.
fn toml_key(key: &str) -> String {
    let is_bare = key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { key.to_owned() } else { Value::String(key.to_owned()).to_string() }
}

/// Sets `section.field` in a table, creating sections as needed.
fn insert(values: &mut Table, field: &str, value: Value) {
    match field.split_once('.') {
        None => drop(values.insert(field.to_owned(), value)),
        Some((section, rest)) => {
            let section = values.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Some(section) = section.as_table_mut() {
                insert(section, rest, value);
            }
        }
    }
}

/// All fields that a recipe can have; those that are not set have an empty value of their type.
pub(crate) fn known_fields(recipe: &Recipe) -> BTreeMap<String, Value> {
    let mut known = flatten(&table(recipe));
    let Ok(task) = recipe.task() else { return known };
    for Section { name, fields, .. } in Section::all(task) {
        for field in fields {
            let empty = match &field.values {
                Values::Boolean => Value::Boolean(false),
                Values::Text | Values::Names(_) => Value::String(String::new()),
                Values::Numbers(bounds) if bounds.are_whole() => Value::Integer(0),
                Values::Numbers(_) => Value::Float(0.0),
                Values::List(_) => Value::Array(Vec::new()),
                Values::Table => continue,
            };
            known.entry(format!("{name}.{}", field.name)).or_insert(empty);
        }
    }
    known
}

/// Flattens a table to its leaves by `section.field`.
fn flatten(table: &Table) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(section) => {
                leaves.extend(flatten(section).into_iter().map(|(field, value)| (format!("{key}.{field}"), value)));
            }
            leaf => drop(leaves.insert(key.clone(), leaf.clone())),
        }
    }
    leaves
}
