//! One file per command; what several of them take is here.

pub mod describe;
pub mod evaluate;
pub mod list;
pub mod predict;
pub mod train;

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use seqzoo_datasets::classification::Classification;
use seqzoo_run::recipe::Recipe;
use seqzoo_run::{Backend, BackendError};

use crate::failure::Failure;

/// Where to compute.
#[derive(Debug, Args)]
pub struct BackendChoice {
    /// Backend to compute with, among those linked in (`seqzoo list backends`); the best one with real hardware unless
    /// given.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
}

impl BackendChoice {
    pub fn open(&self) -> Result<(Backend, Device), BackendError> {
        let backend = match &self.backend {
            Some(name) => Backend::named(name)?,
            None => Backend::best()?,
        };
        Ok((backend, backend.device()?))
    }
}

/// Where data sets that are files lie.
#[derive(Debug, Args)]
pub struct DataFolder {
    /// Folder of the data sets that are not built in [env: SEQZOO_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataFolder {
    /// Loads a recipe's data set, saying so where it takes a while.
    pub fn load(&self, recipe: &Recipe) -> Result<Classification, Failure> {
        let dir = self.data_dir.clone().or_else(|| std::env::var_os("SEQZOO_DATA_DIR").map(PathBuf::from));
        eprintln!("loading {} …", recipe.dataset);
        Ok(recipe.dataset()?.load(dir.as_deref())?)
    }
}
