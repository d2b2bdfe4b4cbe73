//! `seqzoo data`

mod fetch;
mod inspect;
mod show;
mod verify;

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use seqzoo_datasets::catalog::{self, Dataset, Source};
use seqzoo_datasets::digest::Digest;
use seqzoo_run::did_you_mean;

use crate::failure::{CHECK, Failure, USAGE};

/// Download, verify and show datasets that are not built in; inspect your own files.
///
/// Examples: `seqzoo data fetch pos`, `seqzoo data verify pos --data-dir data`
#[derive(Debug, Args)]
pub struct Data {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Fetch(fetch::Fetch),
    Verify(verify::Verify),
    Show(show::Show),
    Inspect(Box<inspect::Inspect>),
}

impl Data {
    pub fn run(&self) -> Result<(), Failure> {
        match &self.what {
            What::Fetch(fetch) => fetch.run(),
            What::Verify(verify) => verify.run(),
            What::Show(show) => show.run(),
            What::Inspect(inspect) => inspect.run(),
        }
    }
}

#[derive(Debug, Args)]
struct Folder {
    /// Folder of the downloaded datasets [default: data] [env: SEQZOO_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

fn dataset(name: &str) -> Result<&'static Dataset, Failure> {
    Dataset::named(name).ok_or_else(|| {
        let hint = did_you_mean(name, catalog::all().iter().map(|dataset| dataset.name));
        Failure::new(USAGE, format!("no dataset `{name}`{hint}; `seqzoo list datasets` shows all"))
    })
}

/// The file name of a source.
fn name(file: &Source) -> &str {
    file.path.rsplit('/').next().unwrap_or(&file.path)
}

/// Checks that a file exists, is not empty and matches its published checksum.
fn check(file: &Source, path: &Path) -> Result<(), Failure> {
    let failed = |detail: String| Failure::new(CHECK, format!("{}: {detail}", path.display()));
    let mut digest = Digest::default();
    let bytes = File::open(path).and_then(|file| digest.all_of(file)).map_err(|error| failed(error.to_string()))?;
    let found = digest.finish();
    match file.sha256.as_deref() {
        _ if bytes == 0 => Err(failed("empty; fetch it again".to_owned())),
        Some(expected) if expected != found => {
            Err(failed(format!("SHA-256 is {found}, expected {expected}; fetch it again")))
        }
        _ => Ok(()),
    }
}
