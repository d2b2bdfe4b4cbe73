//! `seqzoo data show`

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_datasets::captions::{self, Captions};
use seqzoo_datasets::catalog::Dataset;
use seqzoo_datasets::published::Manifest;

use super::dataset;
use crate::failure::{Failure, STORAGE, USAGE};

/// Show a dataset's source, license, format and file locations, or write some of its images.
///
/// Examples: `seqzoo data show ptb`, `seqzoo data show scenes --png scenes -n 20`
#[derive(Debug, Args)]
pub struct Show {
    /// Dataset (see `seqzoo list datasets`).
    name: String,
    /// Write images of the test split to this new folder, as PNG files, with a table of their captions.
    #[arg(long, value_name = "DIR")]
    png: Option<PathBuf>,
    /// Number of images
    #[arg(short = 'n', long, value_name = "N", default_value_t = 8, requires = "png")]
    count: usize,
}

impl Show {
    pub fn run(&self) -> Result<(), Failure> {
        let dataset = dataset(&self.name)?;
        if let Some(dir) = &self.png {
            return self.write_images(dataset, dir);
        }
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

    /// Writes images, and the table `captions.csv`, which can be trained on; prints the captions.
    fn write_images(&self, dataset: &Dataset, dir: &Path) -> Result<(), Failure> {
        if !captions::DATA.fits(&dataset.columns) {
            let message = format!("--png: dataset {} has no images; scenes has", dataset.name);
            return Err(Failure::new(USAGE, message));
        }
        if dir.exists() {
            return Err(Failure::new(USAGE, format!("--png: {} exists; name a new folder", dir.display())));
        }
        let data = Captions::from_records(&dataset.load(Path::new("data"), &captions::DATA)?)?;
        let failed = |path: &Path, error: io::Error| Failure::new(STORAGE, format!("{}: {error}", path.display()));
        fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
        let (mut table, mut out) = ("image,caption\n".to_owned(), io::stdout().lock());
        for (number, example) in (1..).zip(data.test.iter().take(self.count)) {
            let name = format!("{number}.png");
            let path = dir.join(&name);
            fs::write(&path, example.picture.image().to_png()).map_err(|error| failed(&path, error))?;
            table += &format!("{name},\"{}\"\n", example.caption.replace('"', "\"\""));
            writeln!(out, "{}  {}", path.display(), example.caption)?;
        }
        let path = dir.join("captions.csv");
        fs::write(&path, table).map_err(|error| failed(&path, error))
    }
}
