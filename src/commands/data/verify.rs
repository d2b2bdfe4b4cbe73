//! `seqzoo data verify`

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use seqzoo_datasets::catalog::{Dataset, Origin};
use seqzoo_datasets::classification::Split;
use seqzoo_tasks::Examples;

use super::{Folder, check, dataset};
use crate::arguments::data_dir;
use crate::failure::{CONFIGURATION, DATA, Failure, USAGE};

/// Verify a dataset's files against their published checksums and load them.
///
/// Examples: `seqzoo data verify pos`, `seqzoo data verify imdb --data-dir data`
#[derive(Debug, Args)]
pub struct Verify {
    /// Dataset (see `seqzoo list datasets`).
    name: String,
    #[command(flatten)]
    folder: Folder,
}

impl Verify {
    pub fn run(&self) -> Result<(), Failure> {
        let dataset = dataset(&self.name)?;
        let dir = data_dir(self.folder.data_dir.as_deref());
        let mut out = io::stdout().lock();
        for file in dataset.files() {
            let target = dir.join(&file.path);
            match (target.is_file(), &file.sha256) {
                (false, _) if file.optional => writeln!(out, "absent   {} (optional)", target.display())?,
                (false, _) => writeln!(out, "absent   {}", target.display())?,
                (true, None) => writeln!(out, "present  {} (no published checksum)", target.display())?,
                (true, Some(_)) => {
                    check(file, &target)?;
                    writeln!(out, "verified {}", target.display())?;
                }
            }
        }
        if matches!(dataset.origin, Origin::Table) {
            return Err(Failure::new(
                USAGE,
                "table is your own CSV file; `seqzoo train forecast --csv FILE` checks it",
            ));
        }
        let examples = examples(dataset, &dir)?;
        let counts = Split::ALL.map(|split| {
            let (size, unit) = examples.size(split);
            format!("{} {size} {unit}", split.name())
        });
        writeln!(out, "{}: loaded successfully: {}", dataset.name, counts.join(", "))?;
        Ok(())
    }
}

/// The examples of a dataset, with the default settings of its task.
fn examples(dataset: &Dataset, dir: &Path) -> Result<Box<dyn Examples>, Failure> {
    let unsupported = || Failure::new(DATA, "no task supports this dataset");
    let task = seqzoo_tasks::of_columns(&dataset.columns).ok_or_else(unsupported)?;
    let data = dataset.load(dir, task.data)?;
    let settings = task.resolve(toml::Table::new()).map_err(|error| Failure::new(CONFIGURATION, error))?;
    Ok(task.examples(&data, &settings)?.examples)
}
