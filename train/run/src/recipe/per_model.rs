//! Values of single models: `[model.NAME.SECTION]` tables over the recipe's own sections.
//!
//! A comparison is fair where each model has the learning rate and the budget that suit it. What decides on which examples
//! and by which metric models are compared stays common to all of them.

use toml::{Table, Value};

use super::{InvalidValue, Recipe, invalid};
use crate::did_you_mean;

/// The sections of which a model may have values of its own.
const SECTIONS: [&str; 8] =
    ["network", "characters", "dropout", "training", "optimizer", "schedule", "bptt", "stopping"];

/// Fields of those sections that all models of a run share.
const SHARED: [&str; 2] = ["training.seed", "stopping.metric"];

impl Recipe {
    /// The recipe of one model: its own values in place of the common ones.
    ///
    /// # Errors
    /// If a value stands in no section, or in no field, of which a model may have values of its own; or has another type.
    pub fn of_model(&self, name: &str) -> Result<Recipe, InvalidValue> {
        let mut recipe = self.clone();
        let Some(own) = std::mem::take(&mut recipe.model).remove(name) else { return Ok(recipe) };
        let mut values = Table::try_from(&recipe).expect("recipes consist of what TOML can write");
        for (section, fields) in &own {
            let field = format!("model.{name}.{section}");
            let (true, Some(fields)) = (SECTIONS.contains(&section.as_str()), fields.as_table()) else {
                let hint = did_you_mean(section, SECTIONS);
                let expected = format!("one of the sections {}{hint}", SECTIONS.join(", "));
                return Err(invalid(field, fields, expected));
            };
            let common = values[section].as_table_mut().expect("sections are tables");
            for (key, value) in fields {
                check_field(&format!("{field}.{key}"), &format!("{section}.{key}"), value, common)?;
                common.insert(key.clone(), value.clone());
            }
        }
        let mistyped = |error: toml::de::Error| invalid(format!("model.{name}"), own, error.message().to_owned());
        values.try_into().map_err(mistyped)
    }

    /// Refuses values of models that the recipe does not name, and those that no run can have.
    pub(super) fn validate_per_model(&self) -> Result<(), InvalidValue> {
        for (name, own) in &self.model {
            if !self.models.contains(name) {
                let hint = did_you_mean(name, self.models.iter().map(String::as_str));
                let expected = format!("one of the recipe's models, {}{hint}", self.models.join(", "));
                return Err(invalid(format!("model.{name}"), own, expected));
            }
            let alone = Recipe { models: vec![name.clone()], ..self.of_model(name)? };
            alone
                .validate()
                .map_err(|error| InvalidValue { field: qualified(name, own, &error.field).into(), ..error })?;
        }
        Ok(())
    }
}

/// Refuses a field that a section does not have, or that all models share.
fn check_field(qualified: &str, field: &str, value: &Value, section: &Table) -> Result<(), InvalidValue> {
    let key = field.rsplit('.').next().unwrap_or(field);
    if SHARED.contains(&field) {
        return Err(invalid(qualified.to_owned(), value, format!("{field} instead: all models of a run share it")));
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

/// `model.NAME.FIELD` where the model has a value of its own for a field; else the field.
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
        let epochs = |name: &str| recipe.spec(name).unwrap().recipe.training.epochs;
        assert_eq!((epochs("lstm"), epochs("rnn")), (4, 9));
        let rnn = recipe.spec("rnn").unwrap().recipe;
        assert_eq!(rnn.training.seed, recipe.training.seed);
        assert_eq!(rnn.spec("rnn").unwrap().recipe, rnn, "a resolved recipe resolves to itself");
    }

    #[test]
    fn a_later_common_value_replaces_those_of_single_models() {
        let values = [("model.rnn.training.epochs", "9"), ("training.epochs", "2")];
        let settings = agreement(&values).unwrap();
        assert_eq!(settings.recipe.spec("rnn").unwrap().recipe.training.epochs, 2);
        assert!(!settings.origins.contains_key("model.rnn.training.epochs"));
    }

    #[test]
    fn a_record_of_them_is_a_recipe_again() {
        let written = agreement(&[("model.rnn.training.epochs", "9")]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("again.toml");
        std::fs::write(&file, written.to_toml()).unwrap();
        assert_eq!(Settings::read(file.to_str().unwrap()).unwrap().recipe, written.recipe);
    }

    #[test]
    fn what_no_model_can_have_of_its_own_is_refused_by_field() {
        for (field, value, expected) in [
            ("model.gru.training.epochs", "3", "one of the recipe's models, lstm, rnn"),
            ("model.rnn.training.epoch", "3", "did you mean `training.epochs`?"),
            ("model.rnn.trainin.epochs", "3", "did you mean `training.epochs`?"),
            ("model.rnn.text.level", "words", "one of the sections"),
            ("model.rnn.training.seed", "3", "training.seed instead"),
            ("model.rnn.training.epochs", "many", "a value of type integer"),
            ("model.rnn.training.epochs", "0", "model.rnn.training.epochs = 0"),
            ("model.rnn", "3", "model"),
        ] {
            let error = agreement(&[(field, value)]).unwrap_err();
            assert!(error.contains(expected), "{field}: {error}");
        }
    }
}
