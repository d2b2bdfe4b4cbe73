//! `seqzoo data`

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use seqzoo_datasets::catalog::{self, Dataset, Origin, Source};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::published::Manifest;
use seqzoo_run::did_you_mean;
use seqzoo_tasks::Examples;
use sha2::{Digest, Sha256};

use super::data_dir;
use crate::failure::{CHECK, CONFIGURATION, DATA, Failure, STORAGE, USAGE};
use crate::say::say;

/// Download and verify datasets that are not built in.
///
/// Examples: `seqzoo data fetch pos`, `seqzoo data verify pos --data-dir data`
#[derive(Debug, Args)]
pub struct DataCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Fetch(Fetch),
    Verify(Verify),
    Show(Show),
}

/// Download a dataset's published files, or copy them from local files.
///
/// Examples: `seqzoo data fetch pos`, `seqzoo data fetch imdb --from aclImdb_v1.tar.gz`
#[derive(Debug, Args)]
struct Fetch {
    /// Dataset (see `seqzoo list datasets`).
    name: String,
    /// Local file to use in place of the download of the same name; may be repeated.
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// Base URL to download the files from instead, each by its name.
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    #[command(flatten)]
    folder: Folder,
}

/// Verify a dataset's files against their published checksums and load them.
///
/// Examples: `seqzoo data verify pos`, `seqzoo data verify imdb --data-dir data`
#[derive(Debug, Args)]
struct Verify {
    /// Dataset (see `seqzoo list datasets`).
    name: String,
    #[command(flatten)]
    folder: Folder,
}

/// Show a dataset's source, license, format and file locations.
///
/// Examples: `seqzoo data show ptb`, `seqzoo data show agreement`
#[derive(Debug, Args)]
struct Show {
    /// Dataset (see `seqzoo list datasets`).
    name: String,
}

#[derive(Debug, Args)]
struct Folder {
    /// Folder of the downloaded datasets [default: data] [env: SEQZOO_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataCommand {
    pub fn run(&self) -> Result<(), Failure> {
        match &self.what {
            What::Fetch(fetch) => fetch.run(),
            What::Verify(verify) => verify.run(),
            What::Show(show) => show.run(),
        }
    }
}

fn dataset(name: &str) -> Result<&'static Dataset, Failure> {
    Dataset::named(name).ok_or_else(|| {
        let hint = did_you_mean(name, catalog::all().iter().map(|dataset| dataset.name));
        Failure::new(USAGE, format!("no dataset `{name}`{hint}; `seqzoo list datasets` shows all"))
    })
}

/// The published files of a dataset; an error if it has none.
fn files(dataset: &Dataset) -> Result<&'static [Source], Failure> {
    match dataset.files() {
        [] => Err(Failure::new(USAGE, format!("{} has no files: {}", dataset.name, dataset.summary))),
        files => Ok(files),
    }
}

impl Fetch {
    fn run(&self) -> Result<(), Failure> {
        let dataset = dataset(&self.name)?;
        let files = files(dataset)?;
        let dir = data_dir(self.folder.data_dir.as_deref());
        let is_named = |path: &PathBuf| files.iter().any(|file| path.file_name() == Path::new(&file.path).file_name());
        if let Some(path) = self.from.iter().find(|path| !is_named(path)) {
            let names: Vec<&str> = files.iter().map(name).collect();
            let message = format!("--from {}: {} has {}", path.display(), dataset.name, names.join(", "));
            return Err(Failure::new(USAGE, message));
        }
        say(format_args!("{}: {}", dataset.name, dataset.license));
        for file in files {
            let target = dir.join(&file.path);
            let local = self.from.iter().find(|path| path.file_name() == Path::new(&file.path).file_name());
            if local.is_none() && check(file, &target).is_ok() {
                say(format_args!("{} already exists", target.display()));
                continue;
            }
            match self.get(file, local, &target) {
                Ok(()) => say(format_args!("fetched {}", target.display())),
                Err(failure) if file.optional => say(format_args!("skipped {}: {failure}", target.display())),
                Err(failure) => return Err(failure),
            }
        }
        writeln!(
            io::stdout().lock(),
            "next: seqzoo data verify {} --data-dir {}",
            dataset.name,
            crate::say::quoted(&dir)
        )?;
        Ok(())
    }

    /// Copies or downloads a file, verifies it and moves it into place atomically.
    fn get(&self, file: &Source, local: Option<&PathBuf>, target: &Path) -> Result<(), Failure> {
        let cannot = |what: String, error: &dyn std::fmt::Display| Failure::new(DATA, format!("{what}: {error}"));
        let write = |error: io::Error| Failure::new(STORAGE, format!("cannot write {}: {error}", target.display()));
        let mut reader: Box<dyn Read> = match local {
            Some(path) => {
                Box::new(File::open(path).map_err(|error| cannot(format!("--from {}", path.display()), &error))?)
            }
            None => {
                let address = match &self.mirror {
                    Some(mirror) => format!("{}/{}", mirror.trim_end_matches('/'), name(file)),
                    None => file.url.to_owned(),
                };
                say(format_args!("downloading {address} …"));
                let failed = |error: ureq::Error| {
                    let hint = format!("download {} by other means and pass it with --from FILE", name(file));
                    Failure::new(DATA, format!("{address}: {error}; {hint}"))
                };
                Box::new(ureq::get(&address).call().map_err(failed)?.into_body().into_reader())
            }
        };
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(write)?;
        let part = target.with_file_name(format!("{}.part", name(file)));
        let mut copy = File::create(&part).map_err(write)?;
        io::copy(&mut reader, &mut copy).map_err(|error| cannot(format!("{} was cut off", name(file)), &error))?;
        copy.sync_all().map_err(write)?;
        check(file, &part).inspect_err(|_| {
            let _ = fs::remove_file(&part);
        })?;
        fs::rename(&part, target).map_err(write)
    }
}

impl Verify {
    fn run(&self) -> Result<(), Failure> {
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
        writeln!(out, "{} can be read: {}", dataset.name, counts.join(", "))?;
        Ok(())
    }
}

impl Show {
    fn run(&self) -> Result<(), Failure> {
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

/// The file name of a source.
fn name(file: &Source) -> &str {
    file.path.rsplit('/').next().unwrap_or(&file.path)
}

/// Checks that a file exists, is not empty and matches its published checksum.
fn check(file: &Source, path: &Path) -> Result<(), Failure> {
    let failed = |detail: String| Failure::new(CHECK, format!("{}: {detail}", path.display()));
    let mut opened = File::open(path).map_err(|error| failed(error.to_string()))?;
    let (mut hash, mut bytes, mut some) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match opened.read(&mut some).map_err(|error| failed(error.to_string()))? {
            0 => break,
            length => {
                hash.update(&some[..length]);
                bytes += length;
            }
        }
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    match file.sha256.as_deref() {
        _ if bytes == 0 => Err(failed("empty; fetch it again".to_owned())),
        Some(expected) if expected != found => {
            Err(failed(format!("SHA-256 is {found}, expected {expected}; fetch it again")))
        }
        _ => Ok(()),
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
