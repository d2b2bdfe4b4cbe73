//! The few things that a commit asks of a file system, so that tests can make each of them fail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writing that can be relied on after a crash.
pub trait Disk {
    /// Writes a new file and waits until it is on the device.
    ///
    /// # Errors
    /// What the operating system says.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Renames a directory and waits until its parent is on the device.
    ///
    /// # Errors
    /// What the operating system says.
    fn commit(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// Makes a folder where there is none, in one that is there: what was deleted meanwhile is not made anew.
///
/// # Errors
/// What the operating system says.
pub fn folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The operating system's file system.
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

/// Replaces a file as a whole: readers see the old one or the new one.
///
/// # Errors
/// What the operating system says.
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

/// Directories can be synchronized on Unix alone; elsewhere a rename is as durable as it gets.
fn sync_directory(path: &Path) -> io::Result<()> {
    // The parent of a name alone is written as nothing.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
