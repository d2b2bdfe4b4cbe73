//! File system operations of a checkpoint commit, behind a trait so that tests can make each of them fail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Durable writes.
pub trait Disk {
    /// Creates a file, writes it, and flushes it to disk.
    ///
    /// # Errors
    /// The I/O error of the operating system.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Renames a directory and flushes its parent to disk.
    ///
    /// # Errors
    /// The I/O error of the operating system.
    fn commit(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// Creates a folder unless it exists. Its parent must exist: a deleted run is not recreated.
///
/// # Errors
/// The I/O error of the operating system.
pub fn folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The file system of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn commit(&self, from: &Path, to: &Path) -> io::Result<()> {
        sync_directory(from)?;
        fs::rename(from, to)?;
        to.parent().map_or(Ok(()), sync_directory)
    }
}

/// Replaces a file atomically.
///
/// # Errors
/// The I/O error of the operating system.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    RealDisk.commit_file(&new, path)
}

impl RealDisk {
    fn commit_file(self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        to.parent().map_or(Ok(()), sync_directory)
    }
}

/// Flushes a directory to disk; a no-op on systems other than Unix, which do not support it.
fn sync_directory(path: &Path) -> io::Result<()> {
    // The parent of a bare file name is the empty path.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
