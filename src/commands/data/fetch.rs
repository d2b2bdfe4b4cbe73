//! `seqzoo data fetch`

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_datasets::catalog::{Dataset, Source};

use super::{Folder, check, dataset, name};
use crate::arguments::data_dir;
use crate::failure::{DATA, Failure, STORAGE, USAGE};
use crate::say::{quoted, say};

/// Download a dataset's published files, or copy them from local files.
///
/// Examples: `seqzoo data fetch pos`, `seqzoo data fetch imdb --from aclImdb_v1.tar.gz`
#[derive(Debug, Args)]
pub struct Fetch {
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

impl Fetch {
    pub fn run(&self) -> Result<(), Failure> {
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
        writeln!(io::stdout().lock(), "next: seqzoo data verify {} --data-dir {}", dataset.name, quoted(&dir))?;
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

/// The published files of a dataset; an error if it has none.
fn files(dataset: &Dataset) -> Result<&'static [Source], Failure> {
    match dataset.files() {
        [] => Err(Failure::new(USAGE, format!("{} has no files: {}", dataset.name, dataset.summary))),
        files => Ok(files),
    }
}
