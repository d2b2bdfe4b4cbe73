//! Runs under one parent folder: created atomically, found by name.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::disk::{Disk as _, RealDisk};
use crate::folder::{ENVIRONMENT, Environment, FolderError, Run, is_run, trained};

/// File under the root with one JSON line per run created elsewhere, so that `last` finds it.
const ELSEWHERE: &str = "elsewhere.jsonl";

/// The name of the most recently started run.
const LAST: &str = "last";

/// The parent folder of runs.
#[derive(Debug, Clone)]
pub struct RunStore {
    root: PathBuf,
}

impl RunStore {
    /// The runs under a folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Creates a run at `out`, or at the first free `<root>/<recipe>-<number>`; atomic.
    ///
    /// # Errors
    /// [`FolderError::Exists`] if `out` exists.
    pub fn create(&self, out: Option<&Path>, environment: Environment) -> Result<Run, FolderError> {
        if let Some(path) = out.filter(|path| path.symlink_metadata().is_ok()) {
            return Err(FolderError::Exists(path.to_owned()));
        }
        let numbered = |number: u32| self.root.join(format!("{}-{number}", environment.settings.name));
        let first = out.map_or_else(|| numbered(1), Path::to_owned);
        let mut run = Run { path: draft(&first)?, environment: environment.clone() };
        let published = run.record().and_then(|()| match out {
            Some(path) => {
                commit(&run.path, path)?.then(|| path.to_owned()).ok_or_else(|| FolderError::Exists(path.to_owned()))
            }
            None => {
                let mut free = (1u32..).map(numbered).filter(|path| path.symlink_metadata().is_err());
                let path = free.find_map(|path| commit(&run.path, &path).map(|new| new.then_some(path)).transpose());
                path.expect("a folder has fewer than 2^32 entries")
            }
        });
        match published {
            Ok(path) => run.path = path,
            Err(error) => {
                // Best effort: a draft that remains is ignored.
                let _ = fs::remove_dir_all(&run.path);
                return Err(error);
            }
        }
        Ok(run)
    }

    /// Creates the first free folder `<root>/<name>-<number>`, for several runs.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create_folder(&self, name: &str) -> Result<PathBuf, FolderError> {
        fs::create_dir_all(&self.root).map_err(|source| FolderError::Io { path: self.root.clone(), source })?;
        for number in 1u32.. {
            let path = self.root.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(FolderError::Io { path, source }),
            }
        }
        unreachable!("a folder has fewer than 2^32 entries")
    }

    /// Finds a run by its path, by its name under the root, by a unique prefix of that name, or as `last`: the most recently started
    /// run, including those registered from elsewhere. A folder of that name is `./last`.
    ///
    /// # Errors
    /// If no run matches, or several do.
    pub fn find(&self, name: &str) -> Result<Run, FolderError> {
        let given = Path::new(name);
        if name != LAST && is_run(given) {
            return Run::open(given);
        }
        let (runs, mut damaged) = self.all()?;
        let not_found =
            |known: Vec<String>| FolderError::NotFound { name: name.to_owned(), root: self.root.clone(), known };
        if name == LAST {
            let (others, others_damaged) = opened(&self.elsewhere());
            damaged.extend(others_damaged);
            // The damaged run could be the last one; silently using another would be wrong.
            if let Some(damaged) = damaged.into_iter().next() {
                return Err(damaged);
            }
            let last = runs.into_iter().chain(others).max_by_key(|run| (run.environment.started, run.path.clone()));
            return last.ok_or_else(|| not_found(Vec::new()));
        }
        let path = self.root.join(name);
        if !name.is_empty() && is_run(&path) {
            return Run::open(&path);
        }
        let has_prefix = |run: &&Run| !name.is_empty() && run.name().starts_with(name);
        let mut matching: Vec<Run> = runs.iter().filter(has_prefix).cloned().collect();
        match matching.len() {
            // Not a run: opening it gives an error that says what is missing.
            0 if !name.is_empty() && given.is_dir() => Run::open(given),
            0 => Err(not_found(runs.iter().map(Run::name).collect())),
            1 => Ok(matching.remove(0)),
            _ => Err(FolderError::Ambiguous { name: name.to_owned(), found: matching.iter().map(Run::name).collect() }),
        }
    }

    /// All runs under the root, sorted by name, and the errors of those that cannot be opened.
    ///
    /// # Errors
    /// If the folder exists but cannot be read.
    pub fn all(&self) -> Result<(Vec<Run>, Vec<FolderError>), FolderError> {
        let unreadable = |source| FolderError::Io { path: self.root.clone(), source };
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            entries => entries.map_err(unreadable)?,
        };
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(unreadable)?;
        // Hidden folders are left by interrupted creations.
        paths.retain(|path| !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.'));
        paths.sort();
        Ok(opened(&paths))
    }

    /// Records a run that was created outside the root, so that `last` finds it. Best effort: errors are ignored.
    pub fn register_external(&self, run: &Run) {
        let note = || {
            let run = fs::canonicalize(&run.path)?;
            if fs::canonicalize(&self.root).is_ok_and(|runs| run.parent() == Some(&runs)) {
                return Ok(());
            }
            let Some(path) = run.to_str() else { return Ok(()) };
            fs::create_dir_all(&self.root)?;
            let mut file = OpenOptions::new().create(true).append(true).open(self.root.join(ELSEWHERE))?;
            file.write_all(format!("{}\n", serde_json::json!({"path": path})).as_bytes())
        };
        let _: io::Result<()> = note();
    }

    /// Paths of runs created outside the root, which may no longer exist.
    fn elsewhere(&self) -> Vec<PathBuf> {
        let text = fs::read_to_string(self.root.join(ELSEWHERE)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut paths: Vec<PathBuf> = lines.filter_map(|line| Some(PathBuf::from(line["path"].as_str()?))).collect();
        paths.sort();
        paths.dedup();
        paths
    }
}

/// Opens the runs among `paths`; also returns the errors of those that cannot be opened.
fn opened(paths: &[PathBuf]) -> (Vec<Run>, Vec<FolderError>) {
    let (mut runs, mut damaged) = (Vec::new(), Vec::new());
    for path in paths.iter().filter(|path| path.join(ENVIRONMENT).is_file() || !trained(path).is_empty()) {
        match Run::open(path) {
            Ok(run) => runs.push(run),
            Err(error) => damaged.push(error),
        }
    }
    (runs, damaged)
}

/// Creates the hidden folder in which a new run is prepared, next to its final path.
fn draft(run: &Path) -> Result<PathBuf, FolderError> {
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let path = run.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let make = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir(&path)
    };
    make().map_err(|source| FolderError::Io { path: path.clone(), source })?;
    Ok(path)
}

/// Moves a prepared run to its final path; returns `false` if the path exists.
fn commit(draft: &Path, path: &Path) -> Result<bool, FolderError> {
    match RealDisk.commit(draft, path) {
        Ok(()) => Ok(true),
        Err(_) if draft.is_dir() && path.symlink_metadata().is_ok() => Ok(false),
        Err(source) => Err(FolderError::Io { path: path.to_owned(), source }),
    }
}
