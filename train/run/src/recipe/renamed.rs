//! Renamed recipe fields: an old name is an error that gives the new one.

use toml::{Table, Value};

/// Old and new names, as `section.field`.
const RENAMED: [(&str, &str); 12] = [
    ("spelling.embedding_size", "characters.embedding_size"),
    ("spelling.hidden_size", "characters.hidden_size"),
    ("network.joint", "network.crf"),
    ("network.uniform", "network.init_range"),
    ("series.outlook", "series.distribution"),
    ("series.relative", "series.difference"),
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
    let is_used = |field: &str| {
        let (section, key) = field.split_once('.')?;
        values.get(section).and_then(Value::as_table)?.get(key)
    };
    let (old, new) = RENAMED.iter().find(|(old, _)| is_used(old).is_some())?;
    let (section, key) = old.split_once('.')?;
    let mut inside = false;
    let line = recipe.lines().position(|line| {
        if line.trim_start().starts_with('[') {
            inside = line.trim().trim_matches(['[', ']']) == section;
        }
        inside && line.split('=').next().is_some_and(|start| start.trim() == key)
    });
    Some((line.map_or(1, |line| line + 1), format!("{old} was renamed to {new}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Override, Settings};

    #[test]
    fn old_names_are_refused_with_the_new_ones() {
        for (old, new) in RENAMED {
            let set = Override { origin: "--set".to_owned(), field: old.to_owned(), value: "1".to_owned() };
            let error = Settings::resolve("pos", &[set]).unwrap_err().to_string();
            assert!(error.contains(&format!("renamed to {new}")), "{error}");
            let set = Override { origin: "--set".to_owned(), field: new.to_owned(), value: "[]".to_owned() };
            let error = Settings::resolve("pos", &[set]).unwrap_err().to_string();
            assert!(!error.contains("unknown field"), "{new} is a field: {error}");
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
