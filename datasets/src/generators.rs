//! Generated datasets: each generates [`Records`] that are identical on every machine.
//!
//! To add a generator, add a file to this folder and its name to the list below.

use toml::Table;

use crate::DataError;
use crate::baselines::Baseline;
use crate::columns::Columns;
use crate::problems::Parameters;
use crate::records::Records;
use crate::splits::Splits;

/// Collects the `GENERATOR` of each module.
macro_rules! generators {
    ($($module:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// Every generator, in listing order.
        pub static ALL: [&Generator; [$(stringify!($module)),*].len()] = [$(&$module::GENERATOR),*];
    };
}

generators![agreement, recall, sentences, execute, scenes, memory, headlines];

/// A generated dataset.
#[derive(Debug)]
pub struct Generator {
    /// The name in `data.dataset`.
    pub name: &'static str,
    /// One line for listings.
    pub summary: &'static str,
    /// Example input for a trained model.
    pub example: &'static str,
    /// Columns by role: role and name of the column.
    roles: &'static [(&'static str, &'static str)],
    /// Columns of groups for per-group metrics.
    groups: &'static [&'static str],
    /// Names of the labels, in order.
    labels: &'static [&'static str],
    /// Rule-based baselines.
    baselines: &'static [Baseline],
    /// Options of `data.options`: name and description.
    pub options: &'static [(&'static str, &'static str)],
    /// Generates training, validation and test split.
    generate: Generate,
}

/// How a dataset is generated.
#[derive(Debug)]
enum Generate {
    /// Always the same records.
    Fixed(fn() -> [Records; 3]),
    /// Examples of a problem, which the options choose.
    Problem(fn(&Parameters) -> [Records; 3]),
}

impl Generator {
    /// The generator with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|generator| generator.name == name)
    }

    /// Columns by role.
    pub fn columns(&self) -> Columns {
        let single = self.roles.iter().fold(Columns::default(), |columns, (role, name)| columns.with(role, name));
        if self.groups.is_empty() { single } else { single.with_several("groups", self.groups.iter().copied()) }
    }

    /// Checks options.
    ///
    /// # Errors
    /// If an option is unknown, or its value is not valid.
    pub fn check(&self, options: &Table) -> Result<(), DataError> {
        match (&self.generate, options.iter().next()) {
            (Generate::Problem(_), _) => Parameters::of(options).map(drop),
            (Generate::Fixed(_), None) => Ok(()),
            (Generate::Fixed(_), Some((key, value))) => {
                let expected = format!("not applicable: dataset {} has no options; remove this field", self.name);
                Err(DataError::setting(format!("data.options.{key}"), value, expected))
            }
        }
    }

    /// Generates the dataset.
    ///
    /// # Errors
    /// As [`Generator::check`].
    pub fn splits(&self, options: &Table) -> Result<Splits, DataError> {
        self.check(options)?;
        let (problem, [train, validation, test]) = match self.generate {
            Generate::Fixed(generate) => (None, generate()),
            Generate::Problem(generate) => {
                let parameters = Parameters::of(options)?;
                let records = generate(&parameters);
                (Some(parameters), records)
            }
        };
        let columns = self.columns();
        Ok(Splits {
            train,
            validation,
            test,
            columns,
            labels: self.labels.iter().map(|&label| label.to_owned()).collect(),
            baselines: self.baselines.to_vec(),
            problem,
            ..Splits::default()
        })
    }
}
