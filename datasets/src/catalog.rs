//! The closed list of data sets that a recipe may name.

use std::path::Path;

use crate::classification::Classification;
use crate::{DataError, agreement, imdb};

/// A data set that a recipe may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dataset {
    /// Subject–verb agreement, generated.
    Agreement,
    /// Movie reviews, positive or negative.
    Imdb,
}

impl Dataset {
    /// Every data set.
    pub const ALL: [Dataset; 2] = [Dataset::Agreement, Dataset::Imdb];

    /// The name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Dataset::Agreement => "agreement",
            Dataset::Imdb => "imdb",
        }
    }

    /// One line for listings.
    pub fn summary(self) -> &'static str {
        match self {
            Dataset::Agreement => "30,000 generated sentences: which verb form continues them? Built in",
            Dataset::Imdb => "25,000 (or 50,000) movie reviews, positive or negative; Maas et al. 2011",
        }
    }

    /// A text to try a trained model on.
    pub fn example(self) -> &'static str {
        match self {
            Dataset::Agreement => "the keys to the cabinet",
            Dataset::Imdb => "a slow start, but what a moving story!",
        }
    }

    /// The data set of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dataset| dataset.name() == name)
    }

    /// Loads it; data sets that are files are looked for in `dir`.
    ///
    /// # Errors
    /// [`DataError`], which names the file and the way out.
    pub fn load(self, dir: Option<&Path>) -> Result<Classification, DataError> {
        match self {
            Dataset::Agreement => Ok(agreement::load()),
            Dataset::Imdb => {
                let dir = dir.ok_or_else(|| DataError::NoFolder { dataset: "imdb", hint: imdb::hint() })?;
                imdb::load(dir)
            }
        }
    }
}
