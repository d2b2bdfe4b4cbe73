//! Fields that the chosen kind of optimizer or schedule does not use.

use seqzoo_tasks::fields::{Field, Values};
use toml::{Table, Value};

use super::{InvalidValue, Recipe, Section};

/// The field of a section that names its kind.
const KIND: &str = "kind";

/// Kinds for which a field is; empty if it is for all of them. The meaning of such a field begins with their names: `SGD, ASGD: …`.
fn kinds<'a>(field: &Field, all: &'a [(String, String)]) -> Vec<&'a str> {
    let Some((names, _)) = field.meaning.split_once(": ") else { return Vec::new() };
    let named = |name: &str| all.iter().map(|(kind, _)| kind.as_str()).find(|kind| kind.eq_ignore_ascii_case(name));
    names.split(", ").map(named).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// An error if the kind in a section does not use one of its fields, given as `section.field`.
fn check(recipe: &Recipe, field: &str) -> Result<(), InvalidValue> {
    let (Some((section, key)), Ok(task)) = (field.split_once('.'), recipe.task()) else { return Ok(()) };
    let values = Table::try_from(recipe).expect("a recipe can be serialized to TOML");
    let value = |key: &str| values.get(section).and_then(|section| section.get(key));
    let Some(Section { fields, .. }) = Section::all(task).into_iter().find(|one| one.name == section) else {
        return Ok(());
    };
    let find = |name: &str| fields.iter().find(|field| field.name == name);
    let (Some(Field { values: Values::Names(all), .. }), Some(field), Some(kind)) =
        (find(KIND), find(key), value(KIND).and_then(Value::as_str))
    else {
        return Ok(());
    };
    let kinds = kinds(field, all);
    if kinds.is_empty() || kinds.contains(&kind) {
        return Ok(());
    }
    let given = value(key).map_or_else(String::new, Value::to_string);
    let expected = format!("{section}.kind = {kind} does not use it; it is for {}", kinds.join(", "));
    Err(InvalidValue::new(format!("{section}.{key}"), given, expected))
}

impl Recipe {
    /// Checks that a field, given as `section.field`, is used: by one of the models if it is common to them.
    ///
    /// # Errors
    /// If the kind of optimizer or schedule does not use it.
    pub(crate) fn check_used(&self, field: &str) -> Result<(), InvalidValue> {
        let checked = self.models.iter().map(|name| check(&self.of_model(name)?, field)).collect::<Vec<_>>();
        match checked.iter().any(Result::is_ok) {
            true => Ok(()),
            false => checked.into_iter().next().unwrap_or(Ok(())),
        }
    }

    /// Whether a field, given as `section.field` or `model.NAME.section.field`, is used.
    pub(crate) fn uses(&self, field: &str) -> bool {
        match super::in_model(field) {
            Some((name, common)) => self.of_model(name).is_ok_and(|own| check(&own, common).is_ok()),
            None => self.check_used(field).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::recipe::Recipe;
    use crate::settings::{Override, Settings};

    fn agreement(values: &[(&str, &str)]) -> Result<Recipe, String> {
        let set = |(field, value): &(&str, &str)| Override {
            origin: "--set".to_owned(),
            field: (*field).to_owned(),
            value: (*value).to_owned(),
        };
        let overrides: Vec<Override> = values.iter().map(set).collect();
        Settings::resolve("agreement", &overrides).map(|settings| settings.recipe).map_err(|error| error.to_string())
    }

    #[test]
    fn a_field_that_the_kind_does_not_use_is_refused() {
        for (values, part) in [
            (
                &[("optimizer.momentum", "0.9")][..],
                "momentum=0.9: optimizer.kind = adam does not use it; it is for sgd",
            ),
            (&[("optimizer.kind", "asgd"), ("optimizer.alpha", "0.9")], "it is for rmsprop"),
            (&[("schedule.kind", "step"), ("schedule.patience", "3")], "schedule.kind = step does not use it"),
            (&[("model.rnn.schedule.rise_fraction", "0.2")], "it is for one-cycle"),
        ] {
            let error = agreement(values).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        for values in [
            &[("optimizer.kind", "sgd"), ("optimizer.momentum", "0.9")][..],
            &[("optimizer.momentum", "0.9"), ("optimizer.kind", "rmsprop")],
            &[("model.rnn.optimizer.kind", "sgd"), ("optimizer.momentum", "0.9")],
            &[("optimizer.weight_decay", "0.1"), ("schedule.warmup_steps", "3"), ("training.clip_norm", "0")],
        ] {
            agreement(values).unwrap();
        }
    }

    #[test]
    fn a_resolved_recipe_can_be_read_again() {
        let set =
            |field: &str, value: &str| Override { origin: "--set".into(), field: field.into(), value: value.into() };
        let overrides = [set("optimizer.kind", "sgd"), set("optimizer.momentum", "0.9")];
        let settings = Settings::resolve("agreement", &overrides).unwrap();
        let adam = settings.with_overrides(&[set("optimizer.kind", "adam")]).unwrap();
        let text = adam.to_toml();
        assert!(text.contains("\n# momentum = 0.9  # --set; not used"), "{text}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolved.toml");
        std::fs::write(&file, text).unwrap();
        Settings::read(file.to_str().unwrap()).unwrap();
    }
}
