//! Checkpoints: directories that are created atomically and verified by checksum.
//!
//! `step-00001234/` (`step-00001234.1/` for a second checkpoint of the same step) contains files and `manifest`, with one line
//! `SHA-256  name` per file and a last one for the manifest itself. A save writes to a temporary directory, flushes each file, the
//! manifest last, renames the directory and flushes its parent. The latest checkpoint follows from the directory names; no
//! pointer to it is stored.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::disk::{self, Disk};
use crate::faults;

pub use seqzoo_tasks::Files;

const MANIFEST: &str = "manifest";
const PREFIX: &str = "step-";
const TEMPORARY: &str = ".saving-";

/// Reason for quarantining a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineReason {
    /// Its files are damaged, or contain values that are not finite.
    Damaged,
    /// Training was rolled back to an earlier step.
    RolledBack,
}

impl QuarantineReason {
    fn prefix(self) -> &'static str {
        match self {
            QuarantineReason::Damaged => "damaged",
            QuarantineReason::RolledBack => "rolled-back",
        }
    }
}

/// Error of saving or loading a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Saving failed; earlier checkpoints are intact.
    #[error("cannot save checkpoint {}: {source}; earlier checkpoints are intact", path.display())]
    Unwritable {
        /// The file or directory being written.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// A file is damaged.
    #[error("checkpoint file {} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// It was written by another version of the program.
    #[error(transparent)]
    OtherFormat(#[from] OtherFormat),
    /// There is no valid checkpoint.
    #[error("no usable checkpoint in {}{}", dir.display(), list(skipped))]
    NoneUsable {
        /// Directory of the checkpoints.
        dir: PathBuf,
        /// The error of each checkpoint that exists.
        skipped: Vec<String>,
    },
}

/// Format of runs and checkpoints that this version reads and writes.
pub const FORMAT: u32 = 3;

/// A file has a format that this version does not support.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} has format {found}, but this version of seqzoo ({}) supports format {FORMAT} only; use the version \
     that wrote it ({version}), or train again",
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

/// Fields common to every format.
#[derive(Deserialize)]
struct FormatOnly {
    // Format 1 did not write it everywhere.
    #[serde(default = "first_format")]
    format: u32,
    #[serde(default)]
    version: String,
}

fn first_format() -> u32 {
    1
}

/// Refuses a JSON file in another format than [`FORMAT`]. Malformed files are accepted here, and refused when they are parsed.
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
        [] => ": none has been saved yet".to_owned(),
        some => format!(": {}", some.join("; ")),
    }
}

impl CheckpointError {
    /// An error about the contents of a file.
    pub fn damaged(path: impl Into<PathBuf>, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.into(), detail: detail.to_string() }
    }
}

/// The checkpoints of one model of one run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
}

/// A verified checkpoint.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its directory.
    pub path: PathBuf,
    /// Number of updates before it was saved.
    pub step: u64,
    /// Its files, without the manifest.
    pub files: Files,
}

impl Opened {
    /// Contents of a file.
    ///
    /// # Errors
    /// If the checkpoint has no file of that name.
    pub fn file(&self, name: &str) -> Result<&[u8], CheckpointError> {
        let bytes = self.files.get(name).map(Vec::as_slice);
        bytes.ok_or_else(|| CheckpointError::damaged(self.path.join(name), "not listed in the manifest"))
    }

    /// A file parsed as JSON.
    ///
    /// # Errors
    /// If it is missing or cannot be parsed as `T`.
    pub fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, CheckpointError> {
        serde_json::from_slice(self.file(name)?).map_err(|error| CheckpointError::damaged(self.path.join(name), error))
    }
}

impl Checkpoints {
    /// The checkpoints under `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Their directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Path of the first checkpoint of a step; later ones of the same step have a revision after a dot.
    pub fn path(&self, step: u64) -> PathBuf {
        self.revision(step, 0)
    }

    fn revision(&self, step: u64, revision: u64) -> PathBuf {
        let name = format!("{PREFIX}{step:08}");
        self.dir.join(if revision == 0 { name } else { format!("{name}.{revision}") })
    }

    /// Path of the latest checkpoint of a step.
    ///
    /// # Errors
    /// [`CheckpointError::Unreadable`].
    pub fn of_step(&self, step: u64) -> Result<Option<PathBuf>, CheckpointError> {
        Ok(self.list()?.into_iter().rev().find(|(at, _)| *at == step).map(|(_, path)| path))
    }

    /// Saves `files` as the latest checkpoint of `step`, unless that has the same files.
    ///
    /// # Errors
    /// [`CheckpointError::Unwritable`]; existing checkpoints remain intact.
    pub fn save(&self, step: u64, files: &Files, disk: &impl Disk) -> Result<PathBuf, CheckpointError> {
        let target = match self.of_step(step)? {
            None => self.path(step),
            Some(latest) if verify(&latest).is_ok_and(|saved| saved == *files) => return Ok(latest),
            Some(latest) => self.revision(step, id(&latest).map_or(0, |(_, revision)| revision) + 1),
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

    /// Steps and paths of all checkpoints, oldest first; empty if the directory does not exist.
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

    /// Opens the latest valid checkpoint; also returns the later ones, each with its error.
    ///
    /// # Errors
    /// [`CheckpointError::NoneUsable`] if there is none.
    pub fn latest(&self) -> Result<(Opened, Vec<(PathBuf, CheckpointError)>), CheckpointError> {
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

    /// Quarantines a checkpoint: renames it to `<reason>-<number>-<name>`, so that it is ignored but can be inspected.
    ///
    /// # Errors
    /// [`CheckpointError::Unwritable`].
    pub fn quarantine(&self, path: &Path, reason: QuarantineReason) -> Result<(), CheckpointError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = reason.prefix();
        let targets = (1u32..).map(|number| self.dir.join(format!("{prefix}-{number}-{name}")));
        let target = targets.take(1_000_000).find(|path| !path.exists()).unwrap_or_else(|| self.dir.join(prefix));
        let rename = faults::point("quarantine-rename").and_then(|()| fs::rename(path, target));
        rename.map_err(|source| CheckpointError::Unwritable { path: path.to_owned(), source })
    }

    /// Removes the checkpoints whose step is not in `keep`, older revisions of a step, and leftovers of interrupted saves; oldest
    /// first.
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

/// Reads and verifies a checkpoint.
///
/// # Errors
/// [`CheckpointError::Damaged`] or [`CheckpointError::Unreadable`], with the file.
pub fn open(path: &Path) -> Result<Opened, CheckpointError> {
    let (step, _) = id(path).ok_or_else(|| CheckpointError::damaged(path, "its name is not step-NUMBER"))?;
    let files = verify(path)?;
    Ok(Opened { path: path.to_owned(), step, files })
}

/// Step and revision from a checkpoint's name.
fn id(path: &Path) -> Option<(u64, u64)> {
    let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    let (step, revision) = name.split_once('.').map_or((name, None), |(step, revision)| (step, Some(revision)));
    Some((step.parse().ok()?, revision.map_or(Some(0), |revision| revision.parse().ok())?))
}

/// Reads every file listed in the manifest and compares checksums. The manifest must equal, byte for byte, the one that saving
/// these files would write.
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
        let (digest, name) = line.split_once("  ").ok_or_else(|| damaged_manifest("a line is not `digest  name`"))?;
        if name == MANIFEST {
            continue;
        }
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(damaged_manifest("a file name points outside the checkpoint directory"));
        }
        let bytes = read(name)?;
        if sha256(&bytes) != digest {
            return Err(CheckpointError::damaged(path.join(name), "its SHA-256 does not match the manifest"));
        }
        files.insert(name.to_owned(), bytes);
    }
    match manifest(&files).as_bytes() == written {
        true => Ok(files),
        false => Err(damaged_manifest("its SHA-256 does not match")),
    }
}

/// One line `digest  name` per file, sorted by name, then one with the digest of these lines.
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

    /// Fails at the n-th operation like a full disk: a failed write leaves half of its bytes.
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
    fn a_deleted_run_is_not_recreated() {
        let dir = tempfile::tempdir().unwrap();
        let folder = ModelFolder { path: dir.path().join("run/lstm") };
        let error = folder.checkpoints().save(1, &Files::new(), &RealDisk).unwrap_err().to_string();
        assert!(error.contains("lstm"), "{error}");
        assert!(folder.append(Journal::Metrics, &serde_json::json!({})).is_err());
        assert!(!dir.path().join("run").exists());
    }

    #[test]
    fn saved_files_round_trip_exactly() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path());
        checkpoints.save(3, &files("three"), &RealDisk).unwrap();
        checkpoints.save(12, &files("twelve"), &RealDisk).unwrap();
        let (opened, skipped) = checkpoints.latest().unwrap();
        assert_eq!((opened.step, &opened.files, skipped.len()), (12, &files("twelve"), 0));
        checkpoints.prune(&[3]).unwrap();
        assert_eq!(checkpoints.latest().unwrap().0.files, files("three"));
    }

    #[test]
    fn any_flipped_bit_or_truncation_is_detected_and_the_older_checkpoint_used() {
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
                let (opened, skipped) = checkpoints.latest().unwrap();
                assert_eq!((opened.step, skipped.len()), (1, 1), "{name}");
            }
            fs::write(&path, good).unwrap();
        }
        assert_eq!(checkpoints.latest().unwrap().0.step, 2);
    }

    #[test]
    fn a_full_disk_at_any_operation_leaves_the_previous_checkpoint_intact() {
        for operation in 0..4 {
            let dir = tempfile::tempdir().unwrap();
            let checkpoints = Checkpoints::new(dir.path());
            checkpoints.save(1, &files("old"), &RealDisk).unwrap();
            let full = FailingDisk(Cell::new(operation));
            let error = checkpoints.save(2, &files("new"), &full).unwrap_err();
            assert!(matches!(error, CheckpointError::Unwritable { .. }), "{error}");
            assert_eq!(checkpoints.latest().unwrap().0.files, files("old"));
            checkpoints.save(2, &files("new"), &RealDisk).unwrap();
            assert_eq!(checkpoints.latest().unwrap().0.files, files("new"));
        }
    }

    #[test]
    fn a_manifest_cannot_name_files_outside_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path());
        fs::write(dir.path().join("secret"), "x").unwrap();
        let path = checkpoints.save(1, &files("old"), &RealDisk).unwrap();
        let hostile = Files::from([("../secret".to_owned(), b"x".to_vec())]);
        fs::write(path.join(MANIFEST), manifest(&hostile)).unwrap();
        assert!(matches!(open(&path), Err(CheckpointError::Damaged { .. })));
    }
}
