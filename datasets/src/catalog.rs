//! The list of all datasets.

use std::path::Path;
use std::sync::LazyLock;

use crate::DataError;
use crate::columns::Columns;
use crate::data_spec::DataSpec;
use crate::generators;
use crate::published::Manifest;
pub use crate::published::Source;
use crate::settings::DataSettings;
use crate::splits::Splits;

/// A dataset and its metadata.
#[derive(Debug)]
pub struct Dataset {
    /// The name in recipes.
    pub name: &'static str,
    /// Columns by role, which determine the tasks that it is for, see [`DataSpec::fits`]; none for a table of the user.
    pub columns: Columns,
    /// One line for listings.
    pub summary: &'static str,
    /// Example input for a trained model.
    pub example: &'static str,
    /// License or terms of use.
    pub license: &'static str,
    /// Source of the data.
    pub origin: Origin,
}

/// Source of a dataset.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// Generated, identical on every machine.
    BuiltIn,
    /// Published files in the data folder.
    Files {
        /// The published files.
        files: &'static [Source],
    },
    /// A CSV file of the user, see [`table`](crate::table).
    Table,
}

/// Every dataset, in listing order: generated datasets first.
pub fn all() -> &'static [Dataset] {
    static ALL: LazyLock<Vec<Dataset>> = LazyLock::new(|| {
        let generated = generators::ALL.iter().map(|generator| Dataset {
            name: generator.name,
            columns: generator.columns(),
            summary: generator.summary,
            example: generator.example,
            license: "same as seqzoo",
            origin: Origin::BuiltIn,
        });
        let published = Manifest::all().iter().map(|manifest| Dataset {
            name: &manifest.name,
            columns: manifest.data.columns.clone(),
            summary: &manifest.summary,
            example: &manifest.example,
            license: &manifest.license,
            origin: if manifest.files.is_empty() { Origin::Table } else { Origin::Files { files: &manifest.files } },
        });
        generated.chain(published).collect()
    });
    &ALL
}

impl Dataset {
    /// The dataset with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        all().iter().find(|dataset| dataset.name == name)
    }

    /// Published files; empty if there are none.
    pub fn files(&self) -> &'static [Source] {
        match self.origin {
            Origin::BuiltIn | Origin::Table => &[],
            Origin::Files { files } => files,
        }
    }

    /// Loads the dataset for a task; published files are searched for in `dir`.
    ///
    /// # Errors
    /// [`DataError`], which names the file and the fix.
    pub fn load(&self, dir: &Path, spec: &'static DataSpec) -> Result<Splits, DataError> {
        DataSettings { dataset: Some(self.name.to_owned()), ..DataSettings::default() }.load(dir, spec)
    }
}
