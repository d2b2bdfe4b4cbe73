//! Inputs of a dataset: files on disk or in archives, found by location.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use super::containers::{self, Member, decompressed, is_hidden, member_name};
use super::documents::is_document;
use super::{Lines, STANDARD_INPUT, name, open};
use crate::DataError;
use crate::digest::Digest;

/// Maximum depth of nested folders.
const MAX_DEPTH: usize = 16;

/// A file of a dataset: on disk, in an archive, or standard input.
#[derive(Debug, Clone)]
pub struct Input {
    /// Name in messages.
    name: PathBuf,
    /// Path as in the dataset's description, with `/`.
    path: String,
    content: Content,
    latin_1: bool,
}

#[derive(Debug, Clone)]
enum Content {
    File(PathBuf),
    Member(Arc<[u8]>),
}

impl Input {
    /// A file, or standard input if the path is `-`.
    pub fn file(path: &Path) -> Self {
        let content = Content::File(path.to_owned());
        Self { name: path.to_owned(), path: path.to_string_lossy().into_owned(), content, latin_1: false }
    }

    /// Decodes the file as Latin-1 (ISO 8859-1), unless it has a byte-order mark.
    pub fn latin_1(self) -> Self {
        Self { latin_1: true, ..self }
    }

    /// The name of the file in messages.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// The names of the file and of the folder that it is in, without their paths; the folder may be empty.
    pub fn folder_and_file(&self) -> (&str, &str) {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        (folder.rsplit('/').next().unwrap_or(folder), file)
    }

    /// The path of the folder that it is in; may be empty.
    pub(crate) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The location of this file alone, as a user names it, given the folder or archive at which it was found.
    pub(crate) fn location(&self, found_at: &Path) -> PathBuf {
        match &self.content {
            Content::File(path) => path.clone(),
            Content::Member(_) => found_at.join(&self.path),
        }
    }

    /// Whether its name is that of a file about the others, such as README.md.
    pub(crate) fn is_document(&self) -> bool {
        is_document(&self.path)
    }

    /// The bytes of the file, decompressed.
    pub(crate) fn bytes(&self) -> Result<Box<dyn BufRead + '_>, DataError> {
        Ok(match &self.content {
            Content::File(path) => open(path)?,
            Content::Member(bytes) => {
                decompressed(&bytes[..]).map_err(|error| DataError::damaged(&self.name, error))?
            }
        })
    }

    /// The lines of the file.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub fn lines(&self) -> Result<Lines<'_>, DataError> {
        let lines = Lines::new(&self.name, self.bytes()?)?;
        Ok(if self.latin_1 { lines.latin_1() } else { lines })
    }

    /// The text of the file, with LF line ends.
    ///
    /// # Errors
    /// If it cannot be read, or a line is not text.
    pub fn text(&self) -> Result<String, DataError> {
        self.lines()?.into_text()
    }
}

/// Finds the files of a dataset in its folder.
pub(crate) struct Locator<'a> {
    /// Folder that locations are relative to.
    dir: &'a Path,
    /// Archives to search for locations that are not on disk, as paths; the first one that exists is used.
    archives: Vec<PathBuf>,
    /// Every location that will be searched for: an archive is read once for all of them.
    locations: Vec<&'a Path>,
    members: RefCell<HashMap<PathBuf, Rc<Vec<Member>>>>,
}

impl<'a> Locator<'a> {
    /// Searches for `locations` below `dir`, then in the first existing one of `archives`.
    pub(crate) fn new(dir: &'a Path, archives: &[PathBuf], locations: Vec<&'a Path>) -> Self {
        // The data folder may be the archive itself.
        let archives = match !archives.is_empty() && dir.is_file() {
            true => vec![dir.to_owned()],
            false => archives.iter().flat_map(|archive| paths(dir, &slashed(archive))).collect(),
        };
        Self { dir, archives, locations, members: RefCell::default() }
    }

    /// The files at a location: itself, or the files below a folder, sorted by path. `None` if there is none. If `flexible`, folders
    /// of the location may be missing, as in files that a user downloaded without `data fetch`.
    ///
    /// # Errors
    /// If a folder or an archive cannot be read.
    pub(crate) fn find(&self, location: &Path, flexible: bool) -> Result<Option<Vec<Input>>, DataError> {
        if location == Path::new(STANDARD_INPUT) {
            let bytes = standard_input()?;
            let members = containers::members_of(&bytes).map_err(|error| DataError::damaged(location, error))?;
            if members.len() > 1 {
                return Ok(Some(inputs(&name(location), &members, "")));
            }
            let content = Content::Member(members.into_iter().next().map_or(bytes, |member| member.bytes));
            return Ok(Some(vec![Input { content, ..Input::file(location) }]));
        }
        let slashed = slashed(location);
        let paths = if flexible { paths(self.dir, &slashed) } else { vec![self.dir.join(location)] };
        for path in paths {
            // Also a pipe or a device.
            if path.exists() && !path.is_dir() {
                let members = if is_archive(&slashed) { containers::members(&path, |_| true)? } else { Vec::new() };
                if members.len() > 1 {
                    return Ok(Some(inputs(&path, &members, "")));
                }
                // An archive of one file is that file.
                let slashed = members.into_iter().next().map_or(slashed, |member| member.path);
                let content = Content::File(path.clone());
                return Ok(Some(vec![Input { name: path, path: slashed, content, latin_1: false }]));
            }
            if path.is_dir() {
                let mut found = Vec::new();
                walk(&path, &slashed, MAX_DEPTH, &mut found)?;
                found.sort_by(|a: &Input, b| a.path.cmp(&b.path));
                return Ok(Some(found).filter(|found| !found.is_empty()));
            }
            // ARCHIVE/MEMBER
            let mut ancestors = path.ancestors().skip(1);
            if let Some(archive) = ancestors.find(|ancestor| *ancestor != self.dir && ancestor.is_file()) {
                let member = path.strip_prefix(archive).unwrap_or(&path).to_string_lossy().into_owned();
                let inputs = inputs(archive, &containers::members(archive, |path| is_below(path, &member))?, &member);
                return Ok(Some(inputs).filter(|found| !found.is_empty()));
            }
        }
        let Some(archive) = self.archives.iter().find(|path| path.is_file()) else { return Ok(None) };
        let members = self.members(archive)?;
        let found = suffixes(&slashed).map(|suffix| inputs(archive, &members, suffix));
        Ok(found.into_iter().find(|found| !found.is_empty()))
    }

    /// The members of an archive at any of the locations.
    fn members(&self, archive: &Path) -> Result<Rc<Vec<Member>>, DataError> {
        if let Some(members) = self.members.borrow().get(archive) {
            return Ok(members.clone());
        }
        let locations: Vec<String> = self.locations.iter().map(|location| slashed(location)).collect();
        let wanted = |path: &str| locations.iter().flat_map(|location| suffixes(location)).any(|it| is_below(path, it));
        let members = Rc::new(containers::members(archive, wanted)?);
        self.members.borrow_mut().insert(archive.to_owned(), members.clone());
        Ok(members)
    }
}

/// The paths of the files below a folder, or in an archive or a folder of one, relative to it; none at any other location.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn listing(path: &Path) -> Result<Vec<String>, DataError> {
    if path.is_dir() {
        let mut files = Vec::new();
        walk(path, "", MAX_DEPTH, &mut files)?;
        return Ok(files.iter().map(|file| file.path.trim_start_matches('/').to_owned()).collect());
    }
    let archive = path.ancestors().find(|ancestor| ancestor.is_file() && is_archive(&ancestor.to_string_lossy()));
    let Some(archive) = archive else { return Ok(Vec::new()) };
    let folder = slashed(path.strip_prefix(archive).unwrap_or(Path::new("")));
    let names = RefCell::new(Vec::new());
    // The members are not kept.
    containers::members(archive, |member| {
        if is_below(member, &folder) {
            names.borrow_mut().push(member[folder.trim_end_matches('/').len()..].trim_start_matches('/').to_owned());
        }
        false
    })?;
    Ok(names.into_inner())
}

/// Whether a path is named as an archive of several files is.
fn is_archive(path: &str) -> bool {
    let path = path.to_lowercase();
    [".zip", ".tar", ".tar.gz", ".tgz"].iter().any(|end| path.ends_with(end))
}

/// SHA-256 digest of a file as it is on disk, of the files below a folder with their paths, or of the archive of ARCHIVE/FILE; `None` if
/// it cannot be read, or only once, as a pipe.
pub fn file_digest(path: &Path) -> Option<String> {
    let mut digest = Digest::default();
    if !path.is_dir() {
        let file = path.ancestors().find(|file| file.is_file())?;
        digest.all_of(fs::File::open(file).ok()?).ok()?;
        return Some(digest.finish());
    }
    let mut files = Vec::new();
    walk(path, "", MAX_DEPTH, &mut files).ok()?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in &files {
        digest.text(&file.path);
        digest.text(&file_digest(&file.name)?);
    }
    Some(digest.finish())
}

/// The bytes of standard input, which is read once: to recognize its format, and to parse it.
fn standard_input() -> Result<Arc<[u8]>, DataError> {
    static BYTES: OnceLock<Arc<[u8]>> = OnceLock::new();
    if let Some(bytes) = BYTES.get() {
        return Ok(bytes.clone());
    }
    let mut bytes = Vec::new();
    let read = std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes);
    read.map_err(|source| DataError::unreadable(Path::new(STANDARD_INPUT), source))?;
    Ok(BYTES.get_or_init(|| bytes.into()).clone())
}

/// A path with `/` between its folders.
fn slashed(path: &Path) -> String {
    path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}

/// The paths at which a location is searched for: in the folder of the dataset (the first folder of the location) below `dir`, then in
/// `dir` itself, in each case with all or only the last of the remaining folders.
fn paths(dir: &Path, location: &str) -> Vec<PathBuf> {
    match location.split_once('/') {
        Some((dataset, rest)) if !dataset.is_empty() => {
            let folders = [dir.join(dataset), dir.to_owned()];
            folders.iter().flat_map(|folder| suffixes(rest).map(|suffix| folder.join(suffix))).collect()
        }
        _ => vec![dir.join(location)],
    }
}

/// A path, then the path without its first folder, and so on, down to the file name.
fn suffixes(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.split_once('/').map(|(_, rest)| rest)).filter(|path| !path.is_empty())
}

/// Whether a path is `location` or below it; every path is below the empty one.
fn is_below(path: &str, location: &str) -> bool {
    if location.is_empty() {
        return true;
    }
    path.strip_prefix(location.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The members of an archive at a location.
fn inputs(archive: &Path, members: &[Member], location: &str) -> Vec<Input> {
    let found = members.iter().filter(|member| is_below(&member.path, location));
    let input = |member: &Member| Input {
        name: member_name(archive, &member.path),
        path: member.path.clone(),
        content: Content::Member(member.bytes.clone()),
        latin_1: false,
    };
    found.map(input).collect()
}

/// Adds the files below a folder.
fn walk(folder: &Path, path: &str, depth: usize, found: &mut Vec<Input>) -> Result<(), DataError> {
    let unreadable = |source| DataError::unreadable(folder, source);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let file_name = entry.file_name().to_string_lossy().into_owned();
        if is_hidden(&file_name) {
            continue;
        }
        let (on_disk, path) = (entry.path(), format!("{}/{file_name}", path.trim_end_matches('/')));
        if on_disk.is_dir() {
            if depth > 0 {
                walk(&on_disk, &path, depth - 1, found)?;
            }
        } else {
            found.push(Input { name: on_disk.clone(), path, content: Content::File(on_disk), latin_1: false });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{text, variants};

    fn found(dir: &Path, location: &str) -> Result<Option<Vec<String>>, String> {
        let location = Path::new(location);
        let found = Locator::new(dir, &[], vec![location]).find(location, false);
        let texts = |inputs: Vec<Input>| inputs.iter().map(|input| input.text().unwrap()).collect();
        found.map(|found| found.map(texts)).map_err(|error| error.to_string())
    }

    #[test]
    fn files_are_found_in_folders_and_archives_sorted_by_path() {
        let dir = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 5] =
            [("a/b.txt", b"b"), ("a/a.txt", b"a"), ("a/.hidden", b"x"), ("__MACOSX/a/a.txt", b"x"), ("c.txt", b"c")];
        for (path, bytes) in files {
            let path = dir.path().join("folder").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        std::fs::write(dir.path().join("all.zip"), variants::zip(&files)).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_dir_all(".", dir.path().join("folder")).unwrap();
        std::fs::write(dir.path().join("all.tgz"), variants::gzip(&tar.into_inner().unwrap())).unwrap();
        let texts = |texts: &[&str]| Ok(Some(texts.iter().map(|text| (*text).to_owned()).collect()));
        for container in ["folder", "all.zip", "all.tgz"] {
            let found = |path: &str| found(dir.path(), &format!("{container}/{path}"));
            assert_eq!(found("a"), texts(&["a", "b"]), "{container}");
            assert_eq!(found("c.txt"), texts(&["c"]));
            assert_eq!(found("absent"), Ok(None));
        }
        // An archive is like a folder.
        for archive in ["all.zip", "all.tgz"] {
            assert_eq!(found(dir.path(), archive), texts(&["a", "b", "c"]), "{archive}");
        }
        for archive in ["all.zip", "all.tgz"] {
            let error = text(&dir.path().join(archive)).unwrap_err().to_string();
            let expected = "the archive has 3 files (a/a.txt, a/b.txt, c.txt): name one as ARCHIVE/FILE";
            assert!(error.contains(archive) && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn digests_are_those_of_files_of_folders_and_of_archives() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(path("folder/inner")).unwrap();
        std::fs::write(path("folder/a.txt"), "abc").unwrap();
        std::fs::write(path("folder/inner/b.txt"), "b").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(file_digest(&path("folder/a.txt")).as_deref(), Some(abc));
        let before = file_digest(&path("folder"));
        assert!(before.is_some());
        std::fs::write(path("folder/.hidden"), "x").unwrap();
        assert_eq!(file_digest(&path("folder")), before);
        std::fs::write(path("folder/inner/b.txt"), "c").unwrap();
        let changed = file_digest(&path("folder"));
        std::fs::rename(path("folder/inner/b.txt"), path("folder/inner/c.txt")).unwrap();
        let renamed = file_digest(&path("folder"));
        assert!(changed != before && renamed != changed && renamed != before);
        std::fs::write(path("all.zip"), variants::zip(&[("a.txt", b"abc")])).unwrap();
        assert!(file_digest(&path("all.zip")).is_some());
        assert_eq!(file_digest(&path("all.zip/a.txt")), file_digest(&path("all.zip")));
        assert_eq!(file_digest(&path("absent")), None);
    }

    #[test]
    fn an_archive_of_one_file_is_read_as_that_file_and_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.zip");
        let bytes = variants::zip(&[("some/text.txt", &b"so it goes\n".repeat(99))]);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(text(&path).unwrap().len(), 99 * 11);
        for length in [bytes.len() - 1, bytes.len() / 2, 4] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = text(&path).unwrap_err().to_string();
            assert!(error.contains("one.zip is damaged"), "{error}");
        }
        let mut flipped = bytes;
        flipped[60] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(text(&path).unwrap_err().to_string().contains("one.zip is damaged"));
    }
}
