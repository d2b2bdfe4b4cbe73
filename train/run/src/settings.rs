//! How a recipe's values come about: defaults < recipe file < `SEQZOO_*` environment < `--set` and flags, each value with
//! its origin.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::recipe::{InvalidValue, Recipe, SHIPPED, renamed};
use crate::{did_you_mean, nearest};

/// A recipe with all its values, and where each came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The recipe's name: a shipped one's, or its file's without `.toml`.
    pub name: String,
    /// All values.
    pub recipe: Recipe,
    /// By `section.field`: "default", "recipe", or the variable or flag that set it.
    pub origins: BTreeMap<String, String>,
}

/// One value that overrides the recipe's.
#[derive(Debug, Clone)]
pub struct Override {
    /// Where it comes from: "--set", "--epochs", "SEQZOO_TRAINING_SEED".
    pub origin: String,
    /// `section.field`.
    pub field: String,
    /// The value as written; TOML, or a plain word.
    pub value: String,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Neither a shipped recipe nor a file.
    #[error("no recipe `{name}`{hint}; `seqzoo list recipes` shows all, a path ending in .toml is read as a file")]
    UnknownRecipe {
        /// The name given.
        name: String,
        /// The nearest name.
        hint: String,
    },
    /// The file cannot be read.
    #[error("cannot read recipe {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is not a recipe.
    #[error("recipe {file}, line {line}: {message}")]
    Malformed {
        /// The file, or the name of a shipped recipe.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong, with the nearest name.
        message: String,
    },
    /// A value that no run can have.
    #[error("recipe {file}: {source}")]
    Invalid {
        /// The file, or the name of a shipped recipe.
        file: String,
        /// The value.
        source: InvalidValue,
    },
    /// An override that does not fit.
    #[error("{origin} {field}={value}: {message}")]
    Override {
        /// The flag or variable.
        origin: String,
        /// `section.field`.
        field: String,
        /// The value as written.
        value: String,
        /// What is wrong, with the nearest name.
        message: String,
    },
    /// A resumed run cannot change what it is.
    #[error(
        "a resumed run keeps its recipe, but {field} would change from {recorded} to {wanted} ({origin}); \
         only [checkpoints] and, unless the schedule ends with them, training.epochs may change: start a new run instead"
    )]
    Changed {
        /// `section.field`.
        field: String,
        /// The value that the run was started with.
        recorded: String,
        /// The value asked for.
        wanted: String,
        /// Where that comes from.
        origin: String,
    },
}

/// Whether a recipe's name is that of a file: it ends in `.toml`, or the same in capitals.
pub fn is_file(recipe: &str) -> bool {
    Path::new(recipe).extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"))
}

/// Whether a resumed run may change a field; [`Recipe::same_run`] says the same of whole recipes.
fn may_change(field: &str, recipe: &Recipe) -> bool {
    let of_model = |name: &str| recipe.of_model(name).is_ok_and(|own| !own.schedule.kind.needs_end());
    match in_model(field) {
        Some((name, "training.epochs")) => of_model(name),
        Some(_) => false,
        None => field.starts_with("checkpoints.") || (field == "training.epochs" && !recipe.schedule.kind.needs_end()),
    }
}

/// The model's name and the common field of `model.NAME.SECTION.KEY`.
fn in_model(field: &str) -> Option<(&str, &str)> {
    let (name, field) = field.strip_prefix("model.")?.split_once('.')?;
    field.contains('.').then_some((name, field))
}

impl Settings {
    /// The settings of a recipe, shipped or in a file, under overrides; later ones win.
    ///
    /// # Errors
    /// [`SettingsError`], which names file and line, or flag and field.
    pub fn resolve(recipe: &str, overrides: &[Override]) -> Result<Self, SettingsError> {
        Self::read(recipe)?.under(overrides)
    }

    /// A recipe's own settings.
    ///
    /// # Errors
    /// [`SettingsError`], which names file and line.
    pub fn read(recipe: &str) -> Result<Self, SettingsError> {
        let shipped = SHIPPED.iter().find(|(name, _)| *name == recipe);
        match shipped {
            Some((name, text)) => Self::parse(name, name, text),
            None if is_file(recipe) => {
                let path = Path::new(recipe);
                let text = std::fs::read_to_string(path)
                    .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                Self::parse(&name, recipe, &text)
            }
            None => Err(SettingsError::UnknownRecipe {
                name: recipe.to_owned(),
                hint: did_you_mean(recipe, SHIPPED.map(|(name, _)| name)),
            }),
        }
    }

    fn parse(name: &str, file: &str, text: &str) -> Result<Self, SettingsError> {
        let malformed =
            |line: usize, message: String| SettingsError::Malformed { file: file.to_owned(), line, message };
        let recipe: Recipe = toml::from_str(text).map_err(|error| match renamed::first_in(text) {
            Some((line, message)) => malformed(line, message),
            None => {
                let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
                malformed(line, with_nearest(error.message()))
            }
        })?;
        recipe.validate().map_err(|source| {
            let key = source.field.rsplit('.').next().unwrap_or(&source.field);
            let is_key = |line: &str| line.split('=').next().is_some_and(|start| start.trim() == key);
            let line = text.lines().position(is_key).map_or_else(String::new, |line| format!(", line {}", line + 1));
            SettingsError::Invalid { file: format!("{file}{line}"), source }
        })?;
        let written = flatten(&text.parse().expect("what parsed as a recipe is a table"));
        let origin = |field: &String| if written.contains_key(field) { "recipe" } else { "default" };
        let origins = flatten(&table(&recipe)).into_keys().map(|field| (field.clone(), origin(&field).to_owned()));
        Ok(Self { name: name.to_owned(), origins: origins.collect(), recipe })
    }

    /// These settings with `overrides`, the last of which win.
    ///
    /// # Errors
    /// [`SettingsError::Override`], which names flag, field and value.
    pub fn under(mut self, overrides: &[Override]) -> Result<Self, SettingsError> {
        let refused = |change: &Override, message: String| SettingsError::Override {
            origin: change.origin.clone(),
            field: change.field.clone(),
            value: change.value.clone(),
            message,
        };
        for change in overrides {
            self.recipe = self.with(change).map_err(|message| refused(change, message))?;
            self.origins.insert(change.field.clone(), change.origin.clone());
            // A common value replaces those of single models.
            self.origins.retain(|field, _| in_model(field).is_none_or(|(_, common)| common != change.field));
        }
        // Values are judged together: only all of them may make sense.
        if let Err(invalid) = self.recipe.validate() {
            let cause = overrides.iter().rev().find(|change| change.field == invalid.field).or(overrides.last());
            let cause = cause.expect("without an override the recipe was judged when it was read");
            return Err(refused(cause, invalid.to_string()));
        }
        Ok(self)
    }

    fn with(&self, change: &Override) -> Result<Recipe, String> {
        let mut values = table(&self.recipe);
        let known = fields(&self.recipe);
        let common = in_model(&change.field).map_or(change.field.as_str(), |(_, common)| common);
        let Some(current) = known.get(common) else {
            if let Some(new) = renamed::new_name(common) {
                return Err(format!("this field is now called {new}"));
            }
            let hint = did_you_mean(common, known.keys().map(String::as_str));
            return Err(format!("a recipe has no such field{hint}"));
        };
        let value = format!("value = {}", change.value).parse::<Table>().ok().and_then(|mut one| one.remove("value"));
        let value = value.unwrap_or_else(|| Value::String(change.value.clone()));
        // A whole number serves where a fraction is expected.
        let value = match (current, value) {
            (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
            (_, value) => value,
        };
        insert(&mut values, &change.field, value);
        if let Some((section, key)) = change.field.split_once('.')
            && let Some(models) = values.get_mut("model").and_then(Value::as_table_mut)
        {
            let own = models.iter_mut().filter_map(|(_, own)| own.get_mut(section)?.as_table_mut());
            own.for_each(|fields| drop(fields.remove(key)));
        }
        values.try_into().map_err(|error: toml::de::Error| with_nearest(error.message()))
    }

    /// The settings under which a run that was started with these goes on: as recorded, but for limits.
    ///
    /// `current` is the recipe as it reads today; `overrides` what the resuming command asks for.
    ///
    /// # Errors
    /// [`SettingsError::Changed`] if the recipe's file or an override would change what the run is.
    pub fn resumed(self, current: &Settings, overrides: &[Override]) -> Result<Self, SettingsError> {
        let is_of_file = |field: &str| matches!(self.origin(field), "recipe" | "default");
        let differs =
            |field: &String| is_of_file(field) && in_model(field).is_none_or(|(_, common)| is_of_file(common));
        self.refuse_change(&current.recipe, differs, |_| "the recipe's file")?;
        let resumed = self.clone().under(overrides)?;
        self.refuse_change(&resumed.recipe, |_| true, |field| resumed.origin(field))?;
        Ok(resumed)
    }

    /// Refuses the first of the fields in question that another recipe changes, but for limits.
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
        let value = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
        Err(SettingsError::Changed {
            field: field.clone(),
            recorded: value(recorded.get(field)),
            wanted: value(wanted.get(field)),
            origin: origin(field).to_owned(),
        })
    }

    /// The settings of one model: its own values in place of the common ones.
    ///
    /// # Errors
    /// If the recipe has no such model.
    pub fn of_model(&self, name: &str) -> Result<Self, InvalidValue> {
        let recipe = Recipe { models: vec![name.to_owned()], ..self.recipe.spec(name)?.recipe };
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

    /// Where a value comes from. A record of an older version lacks fields that are newer: they have their defaults.
    fn origin(&self, field: &str) -> &str {
        self.origins.get(field).map_or("default", String::as_str)
    }

    /// All values as TOML, each with its origin behind it.
    pub fn to_toml(&self) -> String {
        let mut text = format!("# Recipe `{}` as resolved: defaults < recipe < environment < flags.\n", self.name);
        let mut section = String::new();
        let values = flatten(&table(&self.recipe));
        let mut fields: Vec<String> = fields(&self.recipe).into_keys().collect();
        fields.sort_by_key(|field| field.contains('.'));
        for field in fields {
            let (parent, key) = field.rsplit_once('.').unwrap_or(("", &field));
            if parent != section {
                section = parent.to_owned();
                let quoted: Vec<String> = section.split('.').map(toml_key).collect();
                let _ = writeln!(text, "\n[{}]", quoted.join("."));
            }
            let _ = match values.get(&field) {
                Some(value) => writeln!(text, "{key} = {value}  # {}", self.origin(&field)),
                None => writeln!(text, "# {key} is not set"),
            };
        }
        text
    }

    /// Overrides from environment variables: `SEQZOO_TRAINING_SEED` sets `training.seed`.
    pub fn from_environment(&self, variables: impl Iterator<Item = (String, String)>) -> Vec<Override> {
        let fields = fields(&self.recipe);
        let variable = |field: &str| format!("SEQZOO_{}", field.replace('.', "_").to_uppercase());
        let named: BTreeMap<String, String> = fields.into_keys().map(|field| (variable(&field), field)).collect();
        variables
            .filter_map(|(name, value)| {
                let field = named.get(&name)?.clone();
                Some(Override { origin: name, field, value })
            })
            .collect()
    }
}

fn table(recipe: &Recipe) -> Table {
    Table::try_from(recipe).expect("recipes are made of what TOML can write")
}

/// A key as TOML has it: quoted unless it is made of letters, digits, `-` and `_`.
fn toml_key(key: &str) -> String {
    let is_bare = key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { key.to_owned() } else { Value::String(key.to_owned()).to_string() }
}

/// Sets `section.field` in a table, with the sections that it needs.
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

/// Every field that a recipe may have, with its value here; one that is not set has that of its kind.
fn fields(recipe: &Recipe) -> BTreeMap<String, Value> {
    let mut recipe = recipe.clone();
    recipe.series.time.get_or_insert_default();
    recipe.series.target.get_or_insert_default();
    recipe.expected.value.get_or_insert_default();
    flatten(&table(&recipe))
}

/// The leaves of a table by `section.field`.
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

/// Adds the nearest expected name to "unknown field `x`, expected one of `a`, `b`".
fn with_nearest(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let hint = match message.starts_with("unknown ") {
        true => quoted.next().and_then(|name| nearest(name, quoted)),
        false => None,
    };
    match hint {
        Some(name) => format!("{} (did you mean `{name}`?)", message.trim_end()),
        None => message.trim_end().to_owned(),
    }
}
