//! Per-model values: `[model.NAME.SECTION]` tables that replace the common values of the recipe.
//!
//! For a fair comparison, each model can have its own learning rate and number of epochs. The dataset, its encoding and the metrics are
//! the same for all models.

use seqzoo_tasks::ModelName;
use toml::{Table, Value};

use super::{InvalidValue, Recipe, invalid};
use crate::did_you_mean;

/// Sections with per-model values.
const SECTIONS: [&str; 8] = ["task", "network", "dropout", "init", "training", "optimizer", "schedule", "stopping"];

/// Fields of those sections that are common to all models of a run.
const SHARED: [&str; 3] = ["training.seed", "stopping.metric", "task.kind"];

impl Recipe {
    /// Recipe of one model: its per-model values, and the values in its name, replace the common ones.
    ///
    /// # Errors
    /// If a section or field does not exist or cannot be set per model, or a value has the wrong type.
    pub fn of_model(&self, name: &str) -> Result<Recipe, InvalidValue> {
        let parsed = ModelName::parse(name)?;
        let mut recipe = self.clone();
        if let Some(own) = std::mem::take(&mut recipe.model).remove(name) {
            recipe = recipe.with_own(name, &own)?;
        }
        if !parsed.hidden_sizes.is_empty() {
            recipe.network.hidden_sizes.clone_from(&parsed.hidden_sizes);
        }
        parsed.set_options(name, &mut recipe.task)?;
        Ok(recipe)
    }

    fn with_own(&self, name: &str, own: &Table) -> Result<Recipe, InvalidValue> {
        let shared = self.task()?.shared;
        let mut values = Table::try_from(self).expect("a recipe can be serialized to TOML");
        for (section, fields) in own {
            let field = format!("model.{name}.{section}");
            let (true, Some(fields)) = (SECTIONS.contains(&section.as_str()), fields.as_table()) else {
                let hint = did_you_mean(section, SECTIONS);
                let expected = format!("one of the sections {}{hint}", SECTIONS.join(", "));
                return Err(invalid(field, fields, expected));
            };
            let common = values[section].as_table_mut().expect("sections are tables");
            for (key, value) in fields {
                let is_shared = section == "task" && shared.contains(&key.as_str());
                check_field(&format!("{field}.{key}"), &format!("{section}.{key}"), is_shared, value, common)?;
                common.insert(key.clone(), value.clone());
            }
        }
        let mistyped = |error: toml::de::Error| invalid(format!("model.{name}"), own, error.message().to_owned());
        values.try_into().map_err(mistyped)
    }

    /// Checks per-model values; the models must be listed in the recipe.
    pub(super) fn validate_per_model(&self) -> Result<(), InvalidValue> {
        for (name, own) in &self.model {
            if !self.models.contains(name) {
                let hint = did_you_mean(name, self.models.iter().map(String::as_str));
                let expected = format!("one of the recipe's models, {}{hint}", self.models.join(", "));
                return Err(invalid(format!("model.{name}"), "…", expected));
            }
            let parsed = ModelName::parse(name)?;
            let set = |section: &str, key: &str| own.get(section)?.get(key);
            let sizes = set("network", "hidden_sizes").filter(|_| !parsed.hidden_sizes.is_empty());
            let options = parsed.options.iter().find_map(|option| Some((*option, set("task", option)?)));
            if let Some((key, value)) = sizes.map(|sizes| ("network.hidden_sizes", sizes)) {
                let expected = "the name of the model sets it; remove this field, or the sizes from the name";
                return Err(invalid(format!("model.{name}.{key}"), value, expected.to_owned()));
            }
            if let Some((option, value)) = options {
                let expected = "the name of the model sets it; remove this field, or the option from the name";
                return Err(invalid(format!("model.{name}.task.{option}"), value, expected.to_owned()));
            }
            let alone = Recipe { models: vec![name.clone()], ..self.of_model(name)? };
            alone
                .validate()
                .map_err(|error| InvalidValue { field: qualified(name, own, &error.field).into(), ..error })?;
        }
        Ok(())
    }
}

/// Checks that a per-model field exists, is not shared by all models, and has the type of the common value.
fn check_field(
    qualified: &str,
    field: &str,
    is_shared: bool,
    value: &Value,
    section: &Table,
) -> Result<(), InvalidValue> {
    let key = field.rsplit('.').next().unwrap_or(field);
    if is_shared || SHARED.contains(&field) {
        return Err(invalid(qualified.to_owned(), value, format!("set {field} instead: all models of a run share it")));
    }
    if !section.contains_key(key) {
        let hint = did_you_mean(key, section.keys().map(String::as_str));
        let known: Vec<&str> = section.keys().map(String::as_str).collect();
        return Err(invalid(
            qualified.to_owned(),
            value,
            format!("a field of the section: {}{hint}", known.join(", ")),
        ));
    }
    match (&section[key], value) {
        (Value::Float(_), Value::Integer(_)) => Ok(()),
        (common, own) if common.same_type(own) => Ok(()),
        (common, _) => {
            let expected = format!("a value of type {}, such as {common}", common.type_str());
            Err(invalid(qualified.to_owned(), value, expected))
        }
    }
}

/// `model.NAME.FIELD` if the model has a per-model value of the field; else the field.
fn qualified(name: &str, own: &Table, field: &str) -> String {
    let has_own =
        field.split_once('.').is_some_and(|(section, key)| own.get(section).is_some_and(|one| one.get(key).is_some()));
    if has_own { format!("model.{name}.{field}") } else { field.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Override, Settings};

    fn agreement(values: &[(&str, &str)]) -> Result<Settings, String> {
        let set = |(field, value): &(&str, &str)| Override {
            origin: "--set".to_owned(),
            field: (*field).to_owned(),
            value: (*value).to_owned(),
        };
        let overrides: Vec<Override> =
            [&("models", "[\"lstm\", \"rnn\"]")].into_iter().chain(values).map(set).collect();
        Settings::resolve("agreement", &overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_has_its_own_values_and_shares_the_rest() {
        let values =
            [("training.epochs", "4"), ("model.rnn.training.epochs", "9"), ("model.rnn.optimizer.kind", "sgd")];
        let recipe = agreement(&values).unwrap().recipe;
        let epochs = |name: &str| recipe.of_model(name).unwrap().training.epochs;
        assert_eq!((epochs("lstm"), epochs("rnn")), (4, 9));
        let rnn = recipe.of_model("rnn").unwrap();
        assert_eq!(rnn.training.seed, recipe.training.seed);
        assert_eq!(rnn.of_model("rnn").unwrap(), rnn, "a resolved recipe resolves to itself");
    }

    #[test]
    fn a_later_common_value_replaces_those_of_single_models() {
        let values = [("model.rnn.training.epochs", "9"), ("training.epochs", "2")];
        let settings = agreement(&values).unwrap();
        assert_eq!(settings.recipe.of_model("rnn").unwrap().training.epochs, 2);
        assert!(!settings.origins.contains_key("model.rnn.training.epochs"));
    }

    #[test]
    fn per_model_values_round_trip_through_toml() {
        let written = agreement(&[("model.rnn.training.epochs", "9")]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolved.toml");
        std::fs::write(&file, written.to_toml()).unwrap();
        assert_eq!(Settings::read(file.to_str().unwrap()).unwrap().recipe, written.recipe);
    }

    #[test]
    fn values_of_models_that_are_no_longer_trained_are_dropped() {
        let settings = agreement(&[("model.rnn.training.epochs", "9"), ("models", "[\"lstm\"]")]).unwrap();
        assert!(settings.recipe.model.is_empty() && !settings.origins.contains_key("model.rnn.training.epochs"));
        let resumed = settings.clone().resumed(&Settings::read("agreement").unwrap(), &[]);
        assert_eq!(resumed.unwrap().recipe, settings.recipe, "the recipe file's values of other models change nothing");
    }

    #[test]
    fn a_name_sets_sizes_and_options() {
        let recipe = Settings::read("pos").unwrap().recipe;
        let sized = recipe.of_model("bilstm-7+crf").unwrap();
        assert_eq!((sized.network.hidden_sizes.as_slice(), sized.task["crf"].as_bool()), (&[7][..], Some(true)));
        assert_eq!(recipe.task["crf"].as_bool(), Some(false));
        let same = Settings::read("names").unwrap().recipe;
        assert_eq!(same.of_model("bilstm").unwrap(), same, "a plain name changes nothing");
    }

    #[test]
    fn a_value_that_the_name_sets_too_is_refused() {
        for (models, field, value) in [
            ("[\"lstm-8\"]", "model.lstm-8.network.hidden_sizes", "[16]"),
            ("[\"bilstm+crf\"]", "model.bilstm+crf.task.crf", "false"),
        ] {
            let set = |field: &str, value: &str| Override {
                origin: "--set".to_owned(),
                field: field.to_owned(),
                value: value.to_owned(),
            };
            let error = Settings::resolve("pos", &[set("models", models), set(field, value)]).unwrap_err().to_string();
            assert!(error.contains(field) && error.contains("the name of the model sets it"), "{error}");
        }
    }

    #[test]
    fn invalid_per_model_values_are_refused_by_field() {
        for (field, value, expected) in [
            ("model.gru.training.epochs", "3", "one of the recipe's models, lstm, rnn"),
            ("model.rnn.training.epoch", "3", "did you mean `training.epochs`?"),
            ("model.rnn.trainin.epochs", "3", "did you mean `training.epochs`?"),
            ("model.rnn.task.level", "words", "task.level instead"),
            ("model.rnn.data.dataset", "names", "one of the sections"),
            ("model.rnn.training.seed", "3", "training.seed instead"),
            ("model.rnn.training.epochs", "many", "a value of type integer"),
            ("model.rnn.training.epochs", "0", "--set model.rnn.training.epochs=0: "),
            ("model.rnn", "3", "model"),
        ] {
            let error = agreement(&[(field, value)]).unwrap_err();
            assert!(error.contains(expected), "{field}: {error}");
        }
    }
}
