//! Checkpoints: each a directory that appears whole or not at all, and proves its bytes.
//!
//! `step-00001234/` (`step-00001234.1/` if another was saved at that step before) holds files and `manifest`, a line `SHA-256  name` for each and a last one for the manifest itself.
//! Order of a save: temporary directory, write and fsync each file, manifest last, rename, fsync of the parent. Which
//! checkpoint is newest is read off the directory names, never stored.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::disk::{self, Disk};
use crate::faults;

/// Names and bytes of the files of a checkpoint.
pub type Files = BTreeMap<String, Vec<u8>>;

const MANIFEST: &str = "manifest";
const PREFIX: &str = "step-";
const TEMPORARY: &str = ".saving-";

/// Why a checkpoint no longer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// Its bytes are not those that were saved, or no training can go on from its numbers.
    Damaged,
    /// Training went back behind it.
    RolledBack,
}

impl Aside {
    fn prefix(self) -> &'static str {
        match self {
            Aside::Damaged => "damaged",
            Aside::RolledBack => "rolled-back",
        }
    }
}

/// Why a checkpoint cannot be saved or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Saving failed; earlier checkpoints are untouched.
    #[error("cannot save checkpoint {}: {source}; earlier checkpoints are intact", path.display())]
    Unwritable {
        /// What was being written.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The bytes are not those that were saved.
    #[error("checkpoint file {} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Another version of the program wrote it.
    #[error(transparent)]
    OtherFormat(#[from] OtherFormat),
    /// Nothing is there that could be loaded.
    #[error("no checkpoint in {} can be used{}", dir.display(), list(skipped))]
    NoneUsable {
        /// Where it was looked for.
        dir: PathBuf,
        /// The checkpoints that are there, and what is wrong with each.
        skipped: Vec<String>,
    },
}

/// The format of runs and checkpoints that this version writes, and the only one that it reads.
pub const FORMAT: u32 = 2;

/// A file in the format of another version of the program.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} has format {found}, but this version of seqzoo ({}) reads format {FORMAT} only: use the version that wrote it ({version}), or \
     train again",
    path.display(), env!("CARGO_PKG_VERSION")
)]
pub struct OtherFormat {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub found: u32,
    /// The version of the program that wrote it.
    pub version: String,
}

/// What every version of the program writes of a file's format.
#[derive(Deserialize)]
struct FormatOnly {
    // The first format did not write it everywhere.
    #[serde(default = "first_format")]
    format: u32,
    #[serde(default)]
    version: String,
}

fn first_format() -> u32 {
    1
}

/// Refuses a JSON file in another format than [`FORMAT`]; what is no such file at all is left to its reader.
///
/// # Errors
/// [`OtherFormat`].
pub fn check_format(path: &Path, bytes: &[u8]) -> Result<(), OtherFormat> {
    match serde_json::from_slice::<FormatOnly>(bytes) {
        Ok(FormatOnly { format, version }) if format != FORMAT => {
            Err(OtherFormat { path: path.to_owned(), found: format, version })
        }
        _ => Ok(()),
    }
}

fn list(skipped: &[String]) -> String {
    match skipped {
        [] => ": there is none yet".to_owned(),
        some => format!(": {}", some.join("; ")),
    }
}

impl CheckpointError {
    /// An error about what a file of a checkpoint holds.
    pub fn damaged(path: impl Into<PathBuf>, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.into(), detail: detail.to_string() }
    }
}

/// The checkpoints of one model of one run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
}

/// A checkpoint whose bytes have been proven.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its directory.
    pub path: PathBuf,
    /// Updates before it was saved.
    pub step: u64,
    /// Its files, the manifest left out.
    pub files: Files,
}

impl Opened {
    /// The bytes of a file.
    ///
    /// # Errors
    /// If the checkpoint has none of that name.
    pub fn file(&self, name: &str) -> Result<&[u8], CheckpointError> {
        let bytes = self.files.get(name).map(Vec::as_slice);
        bytes.ok_or_else(|| CheckpointError::damaged(self.path.join(name), "the manifest does not list it"))
    }

    /// A file parsed as JSON.
    ///
    /// # Errors
    /// If it is missing or not what `T` is written as.
    pub fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, CheckpointError> {
        serde_json::from_slice(self.file(name)?).map_err(|error| CheckpointError::damaged(self.path.join(name), error))
    }
}

impl Checkpoints {
    /// The checkpoints under `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where the first checkpoint of a step is or would be; a later one of the same step has its revision behind a dot.
    pub fn path(&self, step: u64) -> PathBuf {
        self.revision(step, 0)
    }

    fn revision(&self, step: u64, revision: u64) -> PathBuf {
        let name = format!("{PREFIX}{step:08}");
        self.dir.join(if revision == 0 { name } else { format!("{name}.{revision}") })
    }

    /// The newest checkpoint of a step.
    ///
    /// # Errors
    /// [`CheckpointError::Unreadable`].
    pub fn of_step(&self, step: u64) -> Result<Option<PathBuf>, CheckpointError> {
        Ok(self.list()?.into_iter().rev().find(|(at, _)| *at == step).map(|(_, path)| path))
    }

    /// Saves `files` as the newest checkpoint of `step`, unless that holds them already.
    ///
    /// # Errors
    /// [`CheckpointError::Unwritable`]; what was there before is untouched.
    pub fn save(&self, step: u64, files: &Files, disk: &impl Disk) -> Result<PathBuf, CheckpointError> {
        let target = match self.of_step(step)? {
            None => self.path(step),
            Some(newest) if verify(&newest).is_ok_and(|held| held == *files) => return Ok(newest),
            Some(newest) => self.revision(step, id(&newest).map_or(0, |(_, revision)| revision) + 1),
        };
        let temporary = self.dir.join(format!("{TEMPORARY}{step:08}"));
        let unwritable = |path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Unwritable { path, source }
        };
        faults::point("save-begin").map_err(unwritable(&target))?;
        remove_if_there(&temporary).map_err(unwritable(&temporary))?;
        for folder in self.dir.parent().into_iter().chain([&*self.dir, &temporary]) {
            disk::folder(folder).map_err(unwritable(folder))?;
        }
        for (name, bytes) in files {
            let path = temporary.join(name);
            faults::point("save-write").map_err(unwritable(&path))?;
            disk.write(&path, bytes).map_err(unwritable(&path))?;
        }
        let path = temporary.join(MANIFEST);
        faults::point("save-manifest").map_err(unwritable(&path))?;
        disk.write(&path, manifest(files).as_bytes()).map_err(unwritable(&path))?;
        faults::point("save-commit").map_err(unwritable(&target))?;
        disk.commit(&temporary, &target).map_err(unwritable(&target))?;
        faults::point("save-committed").map_err(unwritable(&target))?;
        Ok(target)
    }

    /// Steps and directories of all checkpoints, the oldest first; a directory that does not exist has none.
    ///
    /// # Errors
    /// [`CheckpointError::Unreadable`].
    pub fn list(&self) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
        let mut found = Vec::new();
        for path in self.entries()? {
            if let Some(id) = id(&path) {
                found.push((id, path));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|((step, _), path)| (step, path)).collect())
    }

    fn entries(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        let unreadable = |source| CheckpointError::Unreadable { path: self.dir.clone(), source };
        match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(unreadable(error)),
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(unreadable),
        }
    }

    /// The newest checkpoint that verifies, and the newer ones with what is wrong with each.
    ///
    /// # Errors
    /// [`CheckpointError::NoneUsable`] if there is none.
    pub fn newest(&self) -> Result<(Opened, Vec<(PathBuf, CheckpointError)>), CheckpointError> {
        let mut skipped = Vec::new();
        for (_, path) in self.list()?.into_iter().rev() {
            match open(&path) {
                Ok(opened) => return Ok((opened, skipped)),
                Err(error) => skipped.push((path, error)),
            }
        }
        let skipped = skipped.iter().map(|(_, error)| error.to_string()).collect();
        Err(CheckpointError::NoneUsable { dir: self.dir.clone(), skipped })
    }

    /// Renames a checkpoint so that it no longer counts as one, but can still be looked at; `why` begins its new name.
    ///
    /// # Errors
    /// [`CheckpointError::Unwritable`].
    pub fn quarantine(&self, path: &Path, why: Aside) -> Result<(), CheckpointError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let why = why.prefix();
        let aside = (1u32..).map(|number| self.dir.join(format!("{why}-{number}-{name}")));
        let aside = aside.take(1_000_000).find(|path| !path.exists()).unwrap_or_else(|| self.dir.join(why));
        let rename = faults::point("aside-rename").and_then(|()| fs::rename(path, aside));
        rename.map_err(|source| CheckpointError::Unwritable { path: path.to_owned(), source })
    }

    /// Removes every checkpoint whose step is not in `keep` or that a later one of its step replaces, the oldest first, and
    /// what interrupted saves left.
    ///
    /// # Errors
    /// [`CheckpointError::Unwritable`].
    pub fn prune(&self, keep: &[u64]) -> Result<(), CheckpointError> {
        let listed = self.list()?;
        let next = listed.iter().skip(1).map(|(step, _)| Some(*step)).chain([None]).collect::<Vec<_>>();
        let is_old = |((step, _), next): &((u64, PathBuf), Option<u64>)| !keep.contains(step) || *next == Some(*step);
        let old = listed.into_iter().zip(next).filter(is_old).map(|((_, path), _)| path);
        let interrupted = self
            .entries()?
            .into_iter()
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY)));
        for path in old.chain(interrupted) {
            let remove = || faults::point("prune-remove").and_then(|()| remove_if_there(&path));
            remove().map_err(|source| CheckpointError::Unwritable { path: path.clone(), source })?;
        }
        Ok(())
    }
}

/// Reads a checkpoint and proves its bytes.
///
/// # Errors
/// [`CheckpointError::Damaged`] or [`CheckpointError::Unreadable`], by file.
pub fn open(path: &Path) -> Result<Opened, CheckpointError> {
    let (step, _) = id(path).ok_or_else(|| CheckpointError::damaged(path, "its name is not step-NUMBER"))?;
    let files = verify(path)?;
    Ok(Opened { path: path.to_owned(), step, files })
}

/// The step and revision that a checkpoint's name tells.
fn id(path: &Path) -> Option<(u64, u64)> {
    let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    let (step, revision) = name.split_once('.').map_or((name, None), |(step, revision)| (step, Some(revision)));
    Some((step.parse().ok()?, revision.map_or(Some(0), |revision| revision.parse().ok())?))
}

/// Reads every file that the manifest lists and compares digests; the manifest must be, to the byte, the one that a save
/// of these files writes.
fn verify(path: &Path) -> Result<Files, CheckpointError> {
    let read = |name: &str| {
        let path = path.join(name);
        let read = faults::point("load-read").and_then(|()| fs::read(&path));
        read.map_err(|source| CheckpointError::Unreadable { path, source })
    };
    let written = read(MANIFEST)?;
    let damaged_manifest = |detail: &str| CheckpointError::damaged(path.join(MANIFEST), detail);
    let text = std::str::from_utf8(&written).map_err(|_| damaged_manifest("not UTF-8"))?;
    let mut files = Files::new();
    for line in text.lines() {
        let (digest, name) = line.split_once("  ").ok_or_else(|| damaged_manifest("not lines of digest and name"))?;
        if name == MANIFEST {
            continue;
        }
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(damaged_manifest("a name that leaves the checkpoint's directory"));
        }
        let bytes = read(name)?;
        if sha256(&bytes) != digest {
            return Err(CheckpointError::damaged(path.join(name), "its SHA-256 is not the one in the manifest"));
        }
        files.insert(name.to_owned(), bytes);
    }
    match manifest(&files).as_bytes() == written {
        true => Ok(files),
        false => Err(damaged_manifest("its own SHA-256 does not match")),
    }
}

/// A line `digest  name` for each file in the order of names, then one for the lines themselves.
fn manifest(files: &Files) -> String {
    let mut lines: String = files.iter().map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes))).collect();
    lines += &format!("{}  {MANIFEST}\n", sha256(lines.as_bytes()));
    lines
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::folder::{Journal, ModelFolder};
    use std::cell::Cell;

    fn files(text: &str) -> Files {
        [("state.json", text), ("weights.safetensors", "0123456789")]
            .map(|(name, bytes)| (name.to_owned(), bytes.as_bytes().to_vec()))
            .into()
    }

    /// Fails at the n-th operation, as a full disk does: a write leaves half of its bytes behind.
    struct FailingDisk(Cell<usize>);

    impl FailingDisk {
        fn fails_now(&self) -> bool {
            self.0.set(self.0.get().wrapping_sub(1));
            self.0.get() == usize::MAX
        }
    }

    impl Disk for FailingDisk {
        fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
            if self.fails_now() {
                fs::write(path, &bytes[..bytes.len() / 2])?;
                return Err(io::ErrorKind::StorageFull.into());
            }
            RealDisk.write(path, bytes)
        }

        fn commit(&self, from: &Path, to: &Path) -> io::Result<()> {
            if self.fails_now() { Err(io::ErrorKind::StorageFull.into()) } else { RealDisk.commit(from, to) }
        }
    }

    #[test]
    fn nothing_is_made_anew_where_the_run_was_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let folder = ModelFolder { path: dir.path().join("run/lstm") };
        let error = folder.checkpoints().save(1, &Files::new(), &RealDisk).unwrap_err().to_string();
        assert!(error.contains("lstm"), "{error}");
        assert!(folder.append(Journal::Metrics, &serde_json::json!({})).is_err());
        assert!(!dir.path().join("run").exists());
    }

    #[test]
    fn what_was_saved_is_read_back_to_the_byte() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path());
        checkpoints.save(3, &files("three"), &RealDisk).unwrap();
        checkpoints.save(12, &files("twelve"), &RealDisk).unwrap();
        let (opened, skipped) = checkpoints.newest().unwrap();
        assert_eq!((opened.step, &opened.files, skipped.len()), (12, &files("twelve"), 0));
        checkpoints.prune(&[3]).unwrap();
        assert_eq!(checkpoints.newest().unwrap().0.files, files("three"));
    }

    #[test]
    fn any_flipped_or_missing_byte_of_any_file_is_found_and_the_older_checkpoint_used() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path());
        checkpoints.save(1, &files("old"), &RealDisk).unwrap();
        let newer = checkpoints.save(2, &files("new"), &RealDisk).unwrap();
        for name in ["state.json", "weights.safetensors", MANIFEST] {
            let path = newer.join(name);
            let good = fs::read(&path).unwrap();
            let flips = (0..good.len() * 8).map(|bit| {
                let mut bytes = good.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes
            });
            let cuts = (0..good.len()).map(|length| good[..length].to_vec());
            for bad in flips.chain(cuts) {
                fs::write(&path, bad).unwrap();
                let (opened, skipped) = checkpoints.newest().unwrap();
                assert_eq!((opened.step, skipped.len()), (1, 1), "{name}");
            }
            fs::write(&path, good).unwrap();
        }
        assert_eq!(checkpoints.newest().unwrap().0.step, 2);
    }

    #[test]
    fn a_full_disk_at_any_write_leaves_the_previous_checkpoint_and_names_the_file() {
        for operation in 0..4 {
            let dir = tempfile::tempdir().unwrap();
            let checkpoints = Checkpoints::new(dir.path());
            checkpoints.save(1, &files("old"), &RealDisk).unwrap();
            let full = FailingDisk(Cell::new(operation));
            let error = checkpoints.save(2, &files("new"), &full).unwrap_err();
            assert!(matches!(error, CheckpointError::Unwritable { .. }), "{error}");
            assert_eq!(checkpoints.newest().unwrap().0.files, files("old"));
            checkpoints.save(2, &files("new"), &RealDisk).unwrap();
            assert_eq!(checkpoints.newest().unwrap().0.files, files("new"));
        }
    }

    #[test]
    fn a_manifest_cannot_reach_outside_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path());
        fs::write(dir.path().join("secret"), "x").unwrap();
        let path = checkpoints.save(1, &files("old"), &RealDisk).unwrap();
        let hostile = Files::from([("../secret".to_owned(), b"x".to_vec())]);
        fs::write(path.join(MANIFEST), manifest(&hostile)).unwrap();
        assert!(matches!(open(&path), Err(CheckpointError::Damaged { .. })));
    }
}
