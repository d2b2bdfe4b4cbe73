//! Text input for formats, datasets and prediction.
//!
//! - Input is a file, a file in an archive, or standard input if the path is `-`.
//! - Gzip and zip are detected by their first bytes, not by the file name, and decompressed; tar archives are known by their names.
//!   A file in an archive is named `ARCHIVE/FILE`; an archive of one file is read as that file.
//! - Text is UTF-8, UTF-16 with a byte-order mark, or Latin-1 if declared by [`Lines::latin_1`]; anything else is an error that
//!   names file and line. Byte-order marks are removed, also at the start of a line, where concatenating files leaves them.
//! - LF, CR LF and CR end a line.
//! - A line of whitespace is blank, see [`is_blank`].

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use crate::DataError;

mod containers;
mod documents;
mod encodings;
mod input;
mod lines;

pub(crate) use documents::is_document;
pub use input::{Input, file_digest};
pub(crate) use input::{Locator, listing};
pub(crate) use lines::NOT_UTF_8;
pub use lines::{Line, Lines};

/// The path of standard input.
pub const STANDARD_INPUT: &str = "-";

/// U+FEFF, the byte-order mark.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// Whether a line has only whitespace and byte-order marks.
pub fn is_blank(line: &str) -> bool {
    line.chars().all(|c| c.is_whitespace() || c == BYTE_ORDER_MARK)
}

/// Name of an input in messages.
pub(crate) fn name(path: &Path) -> PathBuf {
    if path == Path::new(STANDARD_INPUT) { PathBuf::from("standard input") } else { path.to_owned() }
}

/// Opens a file or standard input as bytes, decompressed.
///
/// # Errors
/// If it cannot be read, or is an archive of several files.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>, DataError> {
    let opened = match path == Path::new(STANDARD_INPUT) {
        true => containers::decompressed(io::stdin().lock()),
        false => containers::open_file(path),
    };
    opened.map_err(|error| match containers::is_damage(&error) {
        true => DataError::damaged(path, error),
        false => DataError::unreadable(path, error),
    })
}

/// The text of a file or of standard input, with LF line ends.
///
/// # Errors
/// If it cannot be read, or a line is not text.
pub fn text(path: &Path) -> Result<String, DataError> {
    Lines::open(path)?.into_text()
}

/// Every encoding, line end and compression of the same lines.
#[cfg(test)]
pub(crate) mod variants {
    use std::io::{Cursor, Write};

    use flate2::{Compression, write::GzEncoder};
    use zip::write::SimpleFileOptions;

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A zip archive of files with these paths and bytes.
    pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (path, bytes) in files {
            archive.start_file(*path, SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    /// A text with LF line ends, in every combination of line end, encoding and compression.
    pub(crate) fn of(text: &str) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for end in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', end);
            let marked = format!("\u{feff}{text}");
            let units = |bytes: fn(u16) -> [u8; 2]| marked.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
            let encoded = [
                text.clone().into_bytes(),
                marked.clone().into_bytes(),
                units(u16::to_le_bytes),
                units(u16::to_be_bytes),
            ];
            all.extend(encoded.iter().map(|bytes| gzip(bytes)));
            all.extend(encoded.iter().map(|bytes| zip(&[("some.txt", bytes.as_slice())])));
            all.extend(encoded);
        }
        all
    }
}
