//! Renamed recipe fields: an old name is an error that gives the new one.

use toml::{Table, Value};

/// Old and new names, as `section.field`.
const RENAMED: [(&str, &str); 38] = [
    ("dataset", "data.dataset"),
    ("text.level", "task.level"),
    ("text.min_count", "task.min_count"),
    ("text.max_vocabulary", "task.max_vocabulary"),
    ("text.max_tokens", "task.max_tokens"),
    ("text.keep", "task.keep"),
    ("network.embedding_size", "task.embedding_size"),
    ("network.pooling", "task.pooling"),
    ("network.tied", "task.tied"),
    ("network.attention", "task.attention"),
    ("network.crf", "task.crf"),
    ("network.joint", "task.crf"),
    ("network.uniform", "network.init_range"),
    ("characters.embedding_size", "task.character_embedding_size"),
    ("characters.hidden_size", "task.character_hidden_size"),
    ("spelling.embedding_size", "task.character_embedding_size"),
    ("spelling.hidden_size", "task.character_hidden_size"),
    ("series.time", "data.columns.time"),
    ("series.target", "data.columns.target"),
    ("series.features", "data.columns.features"),
    ("series.window", "task.window"),
    ("series.horizon", "task.horizon"),
    ("series.distribution", "task.distribution"),
    ("series.quantiles", "task.quantiles"),
    ("series.season", "task.season"),
    ("series.calendar", "task.calendar"),
    ("series.difference", "task.difference"),
    ("series.folds", "task.folds"),
    ("series.outlook", "task.distribution"),
    ("series.relative", "task.difference"),
    ("bptt.k1", "task.k1"),
    ("bptt.k2", "task.k2"),
    ("optimizer.trigger", "optimizer.averaging_patience"),
    ("schedule.after", "schedule.start_epoch"),
    ("schedule.every", "schedule.step_epochs"),
    ("schedule.last", "schedule.final_fraction"),
    ("schedule.rise", "schedule.rise_fraction"),
    ("schedule.first", "schedule.initial_fraction"),
];

/// New name of a renamed field.
pub fn new_name(field: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(old, _)| *old == field).map(|(_, new)| *new)
}

/// The first renamed field of a recipe: its line, counted from 1, and the error message.
pub fn first_in(recipe: &str) -> Option<(usize, String)> {
    let values: Table = recipe.parse().ok()?;
    let is_used = |field: &str| match field.split_once('.') {
        Some((section, key)) => {
            values.get(section).and_then(Value::as_table).is_some_and(|fields| fields.contains_key(key))
        }
        None => values.contains_key(field),
    };
    let (old, new) = RENAMED.iter().find(|(old, _)| is_used(old))?;
    Some((line_of(recipe, old).unwrap_or(1), format!("{old} was renamed to {new}")))
}

/// The line of `section.key` in a TOML file, counted from 1.
pub fn line_of(text: &str, field: &str) -> Option<usize> {
    let (section, key) = field.rsplit_once('.').unwrap_or(("", field));
    let mut current = "";
    let is_field = |line: &str| line.split('=').next().is_some_and(|start| start.trim() == key);
    let index = text.lines().position(|line| {
        if line.trim_start().starts_with('[') {
            current = line.trim().trim_matches(['[', ']']);
        }
        current == section && line.contains('=') && is_field(line)
    })?;
    Some(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::SHIPPED;
    use crate::settings::{Override, Settings};
    use std::collections::BTreeSet;

    #[test]
    fn old_names_are_refused_with_the_new_ones() {
        for (old, new) in RENAMED {
            let set = Override { origin: "--set".to_owned(), field: old.to_owned(), value: "1".to_owned() };
            let error = Settings::resolve("pos", &[set]).unwrap_err().to_string();
            assert!(error.contains(&format!("renamed to {new}")), "{error}");
        }
        let fields: BTreeSet<String> = SHIPPED
            .iter()
            .flat_map(|(name, _)| crate::settings::known_fields(&Settings::read(name).unwrap().recipe).into_keys())
            .collect();
        for (_, new) in RENAMED {
            assert!(fields.contains(new), "{new} is a field of a recipe");
        }
    }

    #[test]
    fn an_old_name_in_a_file_is_refused_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("old.toml");
        let recipe = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes/pos.toml")).unwrap();
        let old = recipe.replace("final_fraction", "last");
        std::fs::write(&file, &old).unwrap();
        let line = 1 + old.lines().position(|line| line.starts_with("last")).unwrap();
        let error = Settings::read(file.to_str().unwrap()).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!("line {line}: schedule.last was renamed to schedule.final_fraction")),
            "{error}"
        );
    }
}
