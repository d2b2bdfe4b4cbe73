//! Published datasets: one manifest per dataset in `datasets/published`, with its metadata, files, and `[data]` section.
//!
//! To add a dataset of a known format, add a TOML file; the build script lists them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::data_spec::DataSpec;
use crate::settings::{DataSettings, Paths};
use crate::splits::Splits;

/// Name and text of every file of `datasets/published`, by name.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/manifests.rs"));

/// The manifest of a dataset: metadata, files, and `[data]` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name in `data.dataset`.
    pub name: String,
    /// One line for listings.
    pub summary: String,
    /// Example input for a trained model.
    #[serde(default)]
    pub example: String,
    /// License or terms of use.
    pub license: String,
    /// Published files.
    #[serde(default)]
    pub files: Vec<Source>,
    /// Format, columns and splits.
    pub data: DataSettings,
}

/// A published file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Download URL.
    pub url: String,
    /// Path relative to the data folder.
    pub path: String,
    /// Hexadecimal SHA-256 digest; `None` if the publishers change the file or its digest is unknown.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Whether the dataset can be loaded without it.
    #[serde(default)]
    pub optional: bool,
}

impl Manifest {
    /// Every manifest, in listing order.
    pub fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Manifest>> = LazyLock::new(|| {
            let parse = |text: &str| Manifest::parse(text).expect("a test parses every manifest");
            FILES.iter().map(|(_, text)| parse(text)).collect()
        });
        &ALL
    }

    /// Parses a manifest.
    ///
    /// # Errors
    /// A message that names the line and the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The manifest with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|manifest| manifest.name == name)
    }

    /// The `[data]` section; if it specifies no files, all splits come from the published files.
    pub fn section(&self) -> DataSettings {
        let mut section = self.data.clone();
        if [&section.files, &section.train].iter().all(|Paths(paths)| paths.is_empty()) {
            section.files = Paths(self.files.iter().map(|file| PathBuf::from(&file.path)).collect());
        }
        section
    }

    /// Loads the dataset from a data folder, for a task.
    ///
    /// # Errors
    /// [`DataError`], which names the file and the fix.
    pub fn load(&self, data_dir: &Path, spec: &'static DataSpec) -> Result<Splits, DataError> {
        self.section().load_published(data_dir, spec, self)
    }

    /// The error for a file that was not found.
    pub(crate) fn missing(&self, dir: &Path, file: &Path) -> DataError {
        let published = self.files.iter().find(|source| Path::new(&source.path) == file).or(self.files.first());
        let url = published.map_or_else(String::new, |source| source.url.clone());
        let file = file.display().to_string();
        DataError::Missing { dataset: self.name.clone(), dir: dir.to_owned(), file, url }
    }
}

#[cfg(test)]
mod tests;
