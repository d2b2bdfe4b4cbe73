//! Environment variables that set recipe fields: `SEQZOO_TRAINING_SEED` sets `training.seed`.

use std::collections::BTreeMap;

use super::{Override, Settings, known_fields};
use crate::did_you_mean;
use crate::recipe::Section;

const PREFIX: &str = "SEQZOO_";

/// Variables with this prefix that set no field.
const OTHERS: [&str; 6] =
    ["SEQZOO_CI_CACHE", "SEQZOO_DATA_DIR", "SEQZOO_FAULTS", "SEQZOO_FAULTS_TRACE", "SEQZOO_TEST_GPU", "SEQZOO_TORTURE"];

fn variable(field: &str) -> String {
    format!("{PREFIX}{}", field.replace('.', "_").to_uppercase())
}

impl Settings {
    /// Overrides from environment variables.
    pub fn from_environment(&self, variables: impl Iterator<Item = (String, String)>) -> Vec<Override> {
        let fields = known_fields(&self.recipe);
        let named: BTreeMap<String, String> = fields.into_keys().map(|field| (variable(&field), field)).collect();
        variables
            .filter_map(|(name, value)| {
                let field = named.get(&name)?.clone();
                Some(Override { origin: name, field, value })
            })
            .collect()
    }
}

/// Messages about variables that begin with `SEQZOO_` but are no field of any task, with the nearest name.
pub fn unknown_variables<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let field = |section: &Section| {
        let name = section.name;
        section.fields.iter().map(|field| variable(&format!("{name}.{}", field.name))).collect::<Vec<_>>()
    };
    let sections = seqzoo_tasks::ALL.into_iter().flat_map(Section::all);
    let mut known: Vec<String> = sections.flat_map(|section| field(&section)).collect();
    known.extend(["models", "summary"].map(variable));
    known.extend(OTHERS.map(str::to_owned));
    let is_unknown = |name: &&str| name.starts_with(PREFIX) && !known.iter().any(|known| known == name);
    let unknown = names.into_iter().filter(is_unknown);
    unknown
        .map(|name| {
            let hint = did_you_mean(name, known.iter().map(String::as_str));
            format!("environment variable {name} sets no field of a recipe{hint}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_are_misspelled_are_reported_with_the_nearest_name() {
        let names = ["SEQZOO_TRAINING_SED", "SEQZOO_TRAINING_SEED", "SEQZOO_TASK_HORIZON", "SEQZOO_DATA_DIR", "PATH"];
        let found = unknown_variables(names);
        assert_eq!(
            found,
            [
                "environment variable SEQZOO_TRAINING_SED sets no field of a recipe (did you mean `SEQZOO_TRAINING_SEED`?)"
            ]
        );
        let settings = Settings::read("agreement").unwrap();
        let given = |name: &str| (name.to_owned(), "3".to_owned());
        let found = settings.from_environment(names.map(given).into_iter());
        assert_eq!(found.iter().map(|change| change.field.as_str()).collect::<Vec<_>>(), ["training.seed"]);
    }
}
