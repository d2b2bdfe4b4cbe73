//! Compressed files and archives: gzip, tar and zip.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::DataError;

/// First bytes of gzip data: the magic number and the compression method, DEFLATE.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// First bytes of a zip archive: the signature of a local file header.
const ZIP: [u8; 4] = *b"PK\x03\x04";

/// Position and mark of a tar archive in its first header.
const TAR: (u64, &[u8]) = (257, b"ustar");

/// First bytes of compressed data that is not supported.
const UNSUPPORTED: [(&[u8], &str); 4] =
    [(b"\xfd7zXZ\0", "xz"), (b"BZh91AY&SY", "bzip2"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"7z\xbc\xaf\x27\x1c", "7z")];

/// Maximum size of an archive member in bytes: a larger one is damage or an attack.
const MAX_MEMBER: u64 = 1 << 32;

/// A file in an archive.
pub(super) struct Member {
    /// Path inside the archive, with `/`.
    pub path: String,
    pub bytes: Arc<[u8]>,
}

/// The name of an archive member in messages.
pub(super) fn member_name(archive: &Path, member: &str) -> PathBuf {
    PathBuf::from(format!("{} ({member})", archive.display()))
}

/// The bytes of an input, decompressed: gzip, and zip archives of one file. Anything else is returned unchanged.
pub(super) fn decompressed<'a>(bytes: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let (start, bytes) =
        peek(bytes, &[&GZIP, &ZIP, UNSUPPORTED[0].0, UNSUPPORTED[1].0, UNSUPPORTED[2].0, UNSUPPORTED[3].0])?;
    let (is_gzip, is_zip) = (start.starts_with(&GZIP), start.starts_with(&ZIP));
    if let Some((_, name)) = UNSUPPORTED.iter().find(|(mark, _)| start.starts_with(mark)) {
        let message = format!("{name} compression is not supported; decompress the file first, or use gzip or zip");
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    let mut bytes = Cursor::new(start).chain(bytes);
    if is_zip {
        // The directory of a zip archive is at its end.
        let mut whole = Vec::new();
        bytes.read_to_end(&mut whole)?;
        let members = zip_members(Cursor::new(whole), |_| true)?;
        return Ok(Box::new(Cursor::new(only(members)?.bytes)));
    }
    Ok(if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(bytes))) } else { Box::new(bytes) })
}

/// Opens a file as bytes, decompressed; a tar archive, known by its name, must contain one file.
pub(super) fn open_file(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let bytes = decompressed(BufReader::new(File::open(path)?))?;
    let name = path.to_string_lossy().to_ascii_lowercase();
    if [".tar", ".tar.gz", ".tgz"].iter().any(|end| name.ends_with(end)) {
        return Ok(Box::new(Cursor::new(only(tar_members(bytes, |_| true)?)?.bytes)));
    }
    Ok(bytes)
}

/// The files of a tar or zip archive whose paths are `wanted`, sorted by path.
///
/// # Errors
/// If the file cannot be read or is no intact archive.
pub(super) fn members(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<Member>, DataError> {
    let file = File::open(path).map_err(|source| DataError::unreadable(path, source))?;
    let read = || {
        let (start, rest) = peek(BufReader::new(file), &[&ZIP])?;
        if start == ZIP {
            return zip_members(rest, wanted);
        }
        tar_members(decompressed(Cursor::new(start).chain(rest))?, wanted)
    };
    let mut found = read().map_err(|error| DataError::damaged(path, error))?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The files of an archive, sorted by path; none if the bytes are no archive.
pub(super) fn members_of(bytes: &[u8]) -> io::Result<Vec<Member>> {
    let mut found = if bytes.starts_with(&ZIP) {
        zip_members(Cursor::new(bytes), |_| true)?
    } else {
        let mut start = Vec::new();
        // Whatever cannot be decompressed is reported where it is read.
        let readable =
            decompressed(bytes).and_then(|bytes| bytes.take(TAR.0 + TAR.1.len() as u64).read_to_end(&mut start));
        match readable.is_ok() && start.get(TAR.0 as usize..).is_some_and(|mark| mark == TAR.1) {
            true => tar_members(decompressed(bytes)?, |_| true)?,
            false => Vec::new(),
        }
    };
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn tar_members(bytes: Box<dyn BufRead + '_>, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Member>> {
    let mut archive = tar::Archive::new(bytes);
    let mut found = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = normalized(&String::from_utf8_lossy(&entry.path_bytes()));
        if entry.header().entry_type().is_file() && !is_hidden(&path) && wanted(&path) {
            found.push(member(path, &mut entry)?);
        }
    }
    // The archive ends before its compressed stream; reading the rest verifies the checksum of the stream.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(found)
}

fn zip_members(bytes: impl Read + Seek, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Member>> {
    let failed = |error: ZipError| match error {
        ZipError::Io(error) => error,
        ZipError::UnsupportedArchive(detail) => {
            io::Error::other(format!("{detail}; extract it, or compress it with DEFLATE"))
        }
        error => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
    };
    let mut archive = ZipArchive::new(bytes).map_err(failed)?;
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(failed)?;
        let path = normalized(&entry.name().map_err(failed)?);
        if entry.is_file() && !is_hidden(&path) && wanted(&path) {
            found.push(member(path, &mut entry)?);
        }
    }
    Ok(found)
}

fn member(path: String, bytes: &mut impl Read) -> io::Result<Member> {
    let mut whole = Vec::new();
    bytes.take(MAX_MEMBER + 1).read_to_end(&mut whole)?;
    if whole.len() as u64 > MAX_MEMBER {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} is larger than 4 GiB")));
    }
    Ok(Member { path, bytes: whole.into() })
}

/// The member of an archive that is read as one file.
fn only(mut members: Vec<Member>) -> io::Result<Member> {
    if members.len() == 1 {
        return Ok(members.remove(0));
    }
    members.sort_by(|a, b| a.path.cmp(&b.path));
    let shown: Vec<&str> = members.iter().take(3).map(|member| member.path.as_str()).collect();
    let more = if members.len() > 3 { ", …" } else { "" };
    let (count, shown) = (members.len(), shown.join(", "));
    Err(io::Error::other(format!("the archive has {count} files ({shown}{more}): name one as ARCHIVE/FILE")))
}

fn normalized(path: &str) -> String {
    path.replace('\\', "/").trim_start_matches("./").to_owned()
}

/// Files and folders that file managers and archivers add.
const BY_SYSTEMS: [&str; 3] = ["__MACOSX", "Thumbs.db", "desktop.ini"];

/// Whether a path is hidden, an editor's backup copy (`a.txt~`), or added by a file manager or an archiver.
pub(super) fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.') || part.ends_with('~') || BY_SYSTEMS.contains(&part))
}

/// Whether an error comes from the contents of a compressed file or archive.
pub(super) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// Reads the minimum number of bytes that decides which of `marks` the input begins with: a terminal may not have more yet.
pub(super) fn peek<R: BufRead>(mut bytes: R, marks: &[&[u8]]) -> io::Result<(Vec<u8>, R)> {
    let mut start = Vec::new();
    while marks.iter().any(|mark| mark.len() > start.len() && mark.starts_with(&start)) {
        let mut byte = [0];
        match bytes.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(0) => break,
            Ok(_) => start.extend(byte),
        }
    }
    Ok((start, bytes))
}
