//! Generated datasets: each generates [`Records`] that are identical on every machine.
//!
//! To add a generator, add a file to this folder and its name to the list below.

use crate::baselines::Baseline;
use crate::columns::Columns;
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

generators![agreement, recall, sentences, execute, scenes];

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
    /// Generates training, validation and test split.
    generate: fn() -> [Records; 3],
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

    /// Generates the dataset.
    pub fn splits(&self) -> Splits {
        let [train, validation, test] = (self.generate)();
        let columns = self.columns();
        Splits {
            train,
            validation,
            test,
            columns,
            labels: self.labels.iter().map(|&label| label.to_owned()).collect(),
            baselines: self.baselines.to_vec(),
            ..Splits::default()
        }
    }
}
