//! `seqzoo data show`

use std::io::{self, Write};

use clap::Args;
use seqzoo_datasets::published::Manifest;

use super::dataset;
use crate::failure::Failure;

/// Show a dataset's source, license, format and file locations.
///
/// Examples: `seqzoo data show ptb`, `seqzoo data show agreement`
#[derive(Debug, Args)]
pub struct Show {
    /// Dataset (see `seqzoo list datasets`).
    name: String,
}

impl Show {
    pub fn run(&self) -> Result<(), Failure> {
        let dataset = dataset(&self.name)?;
        let mut out = io::stdout().lock();
        writeln!(out, "{}: {}\nlicense: {}", dataset.name, dataset.summary, dataset.license)?;
        if let Some(manifest) = Manifest::named(dataset.name).filter(|manifest| !manifest.data.to_toml().is_empty()) {
            writeln!(out, "\nformat, columns and splits:\n{}", manifest.data.to_toml().trim_end())?;
        }
        for file in dataset.files() {
            let digest = file.sha256.as_deref().unwrap_or("unknown");
            let optional = if file.optional { " (optional)" } else { "" };
            writeln!(out, "\n{}\n  to DIR/{}{optional}\n  SHA-256 {digest}", file.url, file.path)?;
        }
        if !dataset.files().is_empty() {
            writeln!(out, "\nnext: seqzoo data fetch {}", dataset.name)?;
        }
        Ok(())
    }
}
