//! Text input: the layer below every format, dataset and prediction.
//!
//! - Input is a file, or standard input if the path is `-`.
//! - Gzip is detected by its first bytes, not by the file name, and decompressed.
//! - Text is UTF-8, UTF-16 with a byte-order mark, or Latin-1 if declared by [`Lines::latin_1`]; anything else is an error that
//!   names file and line. Byte-order marks are removed, also at the start of a line, where concatenating files leaves them.
//! - LF, CR LF and CR end a line.
//! - A line of whitespace is blank, see [`is_blank`].

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::DataError;

/// The path that stands for standard input.
pub const STANDARD_INPUT: &str = "-";

/// U+FEFF, the byte-order mark.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// First bytes of gzip data: the magic number and the compression method, DEFLATE.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// A byte that no valid UTF-8 contains.
const INVALID: u8 = 0xff;

/// A character encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    /// With this byte order.
    Utf16 {
        little_endian: bool,
    },
    Utf32,
    Latin1,
}

/// Byte-order marks; a mark precedes its prefixes.
const MARKS: [(&[u8], Encoding); 5] = [
    (&[0xff, 0xfe, 0, 0], Encoding::Utf32),
    (&[0, 0, 0xfe, 0xff], Encoding::Utf32),
    (&[0xef, 0xbb, 0xbf], Encoding::Utf8),
    (&[0xff, 0xfe], Encoding::Utf16 { little_endian: true }),
    (&[0xfe, 0xff], Encoding::Utf16 { little_endian: false }),
];

/// Whether a line has only whitespace and byte-order marks.
pub fn is_blank(line: &str) -> bool {
    line.chars().all(|c| c.is_whitespace() || c == BYTE_ORDER_MARK)
}

/// Name of an input in messages.
pub(crate) fn name(path: &Path) -> PathBuf {
    if path == Path::new(STANDARD_INPUT) { PathBuf::from("standard input") } else { path.to_owned() }
}

/// Opens a file or standard input as bytes, decompressing gzip.
///
/// # Errors
/// If it cannot be read.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>, DataError> {
    let opened = match path == Path::new(STANDARD_INPUT) {
        true => decompressed(io::stdin().lock()),
        false => File::open(path).and_then(|file| decompressed(BufReader::new(file))),
    };
    opened.map_err(|source| DataError::unreadable(path, source))
}

/// The text of a file or of standard input, with LF line ends.
///
/// # Errors
/// If it cannot be read, or a line is not text.
pub fn text(path: &Path) -> Result<String, DataError> {
    Lines::open(path)?.into_text()
}

/// The bytes of an input, decompressing gzip.
pub(crate) fn decompressed<'a>(bytes: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let (start, bytes) = peek(bytes, &[&GZIP])?;
    let is_gzip = start == GZIP;
    let bytes = Cursor::new(start).chain(bytes);
    Ok(if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(bytes))) } else { Box::new(bytes) })
}

/// Reads the minimum number of bytes that decides which of `marks` the input begins with: a terminal may not have more yet.
fn peek<R: BufRead>(mut bytes: R, marks: &[&[u8]]) -> io::Result<(Vec<u8>, R)> {
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

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// 1-based line number.
    pub number: usize,
    /// The line without its line end.
    pub text: String,
    /// Whether the line has a line end; only the last line may lack it.
    pub is_ended: bool,
}

/// Iterator over the lines of a text.
///
/// A line that is not text yields an error, and iteration continues with the next line; an I/O error ends it.
pub struct Lines<'a> {
    name: PathBuf,
    bytes: Box<dyn BufRead + 'a>,
    encoding: Encoding,
    /// Whether the encoding comes from a byte-order mark.
    is_marked: bool,
    /// Lines read so far.
    count: usize,
    /// Whether the last line ended with CR, so that an immediate LF belongs to the same line end.
    after_cr: bool,
    is_done: bool,
}

impl std::fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("name", &self.name).field("count", &self.count).finish_non_exhaustive()
    }
}

impl Lines<'static> {
    /// The lines of a file or of standard input.
    ///
    /// # Errors
    /// If it cannot be read, or its encoding is UTF-32.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        Self::new(path, open(path)?)
    }
}

impl<'a> Lines<'a> {
    /// The lines of `bytes`; `name` is the file name in errors.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub fn new(name: &Path, bytes: impl BufRead + 'a) -> Result<Self, DataError> {
        let (mut start, bytes) = peek(bytes, &MARKS.map(|(mark, _)| mark)).map_err(|error| failed(name, 0, error))?;
        let mark = MARKS.iter().find(|(mark, _)| start.starts_with(mark));
        let (length, encoding) = mark.map_or((0, Encoding::Utf8), |(mark, encoding)| (mark.len(), *encoding));
        let bytes = Cursor::new(start.split_off(length)).chain(bytes);
        let bytes: Box<dyn BufRead + 'a> = match encoding {
            Encoding::Utf32 => {
                return Err(DataError::line(name, 1, "UTF-32 is not supported; convert the file to UTF-8 first"));
            }
            Encoding::Utf16 { little_endian } => Box::new(BufReader::new(Utf16 {
                bytes,
                little_endian,
                pending: Vec::new(),
                decoded: Cursor::default(),
            })),
            Encoding::Utf8 | Encoding::Latin1 => Box::new(bytes),
        };
        let is_marked = mark.is_some();
        Ok(Self { name: name.to_owned(), bytes, encoding, is_marked, count: 0, after_cr: false, is_done: false })
    }

    /// Decodes as Latin-1 (ISO 8859-1), unless there is a byte-order mark.
    pub fn latin_1(self) -> Self {
        let encoding = if self.is_marked { self.encoding } else { Encoding::Latin1 };
        Self { encoding, ..self }
    }

    /// All lines as one text, with LF line ends.
    ///
    /// # Errors
    /// If a line is not text, or the input cannot be read.
    pub fn into_text(self) -> Result<String, DataError> {
        let mut whole = String::new();
        for line in self {
            let Line { text, is_ended, .. } = line?;
            whole += &text;
            whole.extend(is_ended.then_some('\n'));
        }
        Ok(whole)
    }

    /// Appends the bytes of the next line. Returns whether it has a line end, which is consumed.
    fn read(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            let buffer = match self.bytes.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if std::mem::take(&mut self.after_cr) && buffer.first() == Some(&b'\n') {
                self.bytes.consume(1);
                continue;
            }
            if buffer.is_empty() {
                return Ok(false);
            }
            let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let length = end.unwrap_or(buffer.len());
            line.extend_from_slice(&buffer[..length]);
            self.after_cr = end.is_some_and(|end| buffer[end] == b'\r');
            self.bytes.consume(length + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    fn decode(&self, line: Vec<u8>) -> Result<String, &'static str> {
        let text = match self.encoding {
            Encoding::Latin1 => line.into_iter().map(char::from).collect(),
            Encoding::Utf8 => String::from_utf8(line).map_err(|_| "not UTF-8; convert the file first")?,
            Encoding::Utf16 { .. } | Encoding::Utf32 => String::from_utf8(line)
                .map_err(|_| "not valid UTF-16 despite its byte-order mark; convert the file to UTF-8 first")?,
        };
        if text.contains('\0') {
            return Err(
                "a NUL character: binary data, or UTF-16 without a byte-order mark; convert the file to UTF-8 first",
            );
        }
        Ok(text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned).unwrap_or(text))
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Line, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let mut line = Vec::new();
        let is_ended = match self.read(&mut line) {
            Ok(is_ended) => is_ended,
            Err(error) => {
                self.is_done = true;
                return Some(Err(failed(&self.name, self.count, error)));
            }
        };
        self.is_done = !is_ended;
        if self.is_done && line.is_empty() {
            return None;
        }
        self.count += 1;
        let number = self.count;
        let line = self.decode(line).map(|text| Line { number, text, is_ended });
        Some(line.map_err(|detail| DataError::line(&self.name, number, detail)))
    }
}

/// The error for an I/O error after `lines` lines: damaged if decompression failed, else unreadable.
fn failed(name: &Path, lines: usize, error: io::Error) -> DataError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        InvalidData | InvalidInput | UnexpectedEof => DataError::damaged(name, format!("after line {lines}: {error}")),
        _ => DataError::unreadable(name, error),
    }
}

/// Transcodes UTF-16 to UTF-8; invalid input yields invalid output.
struct Utf16<R> {
    bytes: R,
    little_endian: bool,
    /// Bytes of an incomplete character.
    pending: Vec<u8>,
    decoded: Cursor<Vec<u8>>,
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.decoded.position() == self.decoded.get_ref().len() as u64 {
            let buffer = self.bytes.fill_buf()?;
            let (length, is_end) = (buffer.len(), buffer.is_empty());
            self.pending.extend_from_slice(buffer);
            self.bytes.consume(length);
            if is_end && self.pending.is_empty() {
                return Ok(0);
            }
            self.decoded = Cursor::new(self.decode(is_end));
        }
        self.decoded.read(out)
    }
}

impl<R> Utf16<R> {
    fn decode(&mut self, is_end: bool) -> Vec<u8> {
        let unit = |pair: &[u8]| match self.little_endian {
            true => u16::from_le_bytes([pair[0], pair[1]]),
            false => u16::from_be_bytes([pair[0], pair[1]]),
        };
        let mut units: Vec<u16> = self.pending.chunks_exact(2).map(unit).collect();
        // The second half of a surrogate pair may follow.
        if !is_end && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop();
        }
        self.pending.drain(..2 * units.len());
        let mut decoded = Vec::new();
        for character in char::decode_utf16(units) {
            match character {
                Ok(character) => decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(_) => decoded.push(INVALID),
            }
        }
        if is_end && !self.pending.is_empty() {
            self.pending.clear();
            decoded.push(INVALID);
        }
        decoded
    }
}

/// Every encoding, line end and compression of the same lines.
#[cfg(test)]
pub(crate) mod variants {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
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
            all.extend(encoded);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Data;
    use crate::table::{self, CsvColumns};
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<Result<Line, String>> {
        let bytes = decompressed(bytes).unwrap();
        match Lines::new(Path::new("some.txt"), bytes) {
            Ok(lines) => lines.map(|line| line.map_err(|error| error.to_string())).collect(),
            Err(error) => vec![Err(error.to_string())],
        }
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        read(bytes).into_iter().map(|line| line.unwrap().text).collect()
    }

    #[test]
    fn every_line_end_ends_one_line() {
        for (text, lines) in [
            ("", &[][..]),
            ("\n", &[""]),
            ("a", &["a"]),
            ("a\n", &["a"]),
            ("a\rb", &["a", "b"]),
            ("a\r\nb\r\n", &["a", "b"]),
            ("a\n\rb", &["a", "", "b"]),
            ("a\r\r\n\nb\r", &["a", "", "", "b"]),
            ("a\u{85}b\u{2028}c\u{b}d", &["a\u{85}b\u{2028}c\u{b}d"]),
        ] {
            assert_eq!(texts(text.as_bytes()), lines, "{text:?}");
        }
        let last = |text: &str| read(text.as_bytes()).pop().unwrap().unwrap().is_ended;
        assert!(last("a\nb\r") && !last("a\nb"));
    }

    #[test]
    fn whitespace_and_byte_order_marks_are_blank() {
        assert!(["", " \t", "\u{a0}\u{2003}", "\u{feff}"].into_iter().all(is_blank));
        assert!(!is_blank(" x") && !is_blank("\u{200b}"));
        assert_eq!(texts("\u{feff}a\n\u{feff}b".as_bytes()), ["a", "b"], "concatenated files");
    }

    #[test]
    fn invalid_lines_are_errors_and_iteration_continues() {
        let found = read(b"a\r\xff\r\nc");
        assert_eq!(found[0].as_ref().unwrap().text, "a");
        assert_eq!(found[1], Err("some.txt, line 2: not UTF-8; convert the file first".to_owned()));
        assert_eq!((found.len(), &found[2].as_ref().unwrap().text), (3, &"c".to_owned()));
        // A lone surrogate on line 2, half a code unit on line 3.
        let utf_16 = [b"\xff\xfea\0\n\0".as_slice(), b"\0\xd8b\0\n\0", b"c"].concat();
        let found = read(&utf_16);
        assert_eq!(found[0].as_ref().unwrap().text, "a");
        for (index, line) in [(1, 2), (2, 3)] {
            let error = found[index].as_ref().unwrap_err();
            assert!(error.starts_with(&format!("some.txt, line {line}: not valid UTF-16")), "{error}");
        }
        assert!(read(b"a\nb\0\n")[1].as_ref().unwrap_err().contains("line 2: a NUL character"));
        assert!(read(b"\xff\xfe\0\0a\0\0\0")[0].as_ref().unwrap_err().contains("line 1: UTF-32"));
    }

    #[test]
    fn a_byte_order_mark_overrides_the_declared_encoding() {
        let text = |bytes: &'static [u8]| Lines::new(Path::new("x"), bytes).unwrap().latin_1().into_text().unwrap();
        assert_eq!(text(b"caf\xe9\r\n"), "café\n");
        assert_eq!(text(b"\xef\xbb\xbfcaf\xc3\xa9"), "café");
    }

    #[test]
    fn damaged_gzip_is_an_error_and_gzip_members_are_concatenated() {
        let text = "so it goes, and so it went\n".repeat(5_000);
        let mut bytes = variants::gzip(text.as_bytes());
        bytes.extend(variants::gzip(b"the end"));
        assert_eq!(texts(&bytes).last().unwrap(), "the end");
        bytes.truncate(bytes.len() / 2);
        let error = read(&bytes).pop().unwrap().unwrap_err();
        assert!(error.starts_with("some.txt is damaged or incomplete: after line "), "{error}");
    }

    #[test]
    fn a_line_is_returned_before_the_next_is_read() {
        struct Terminal(std::vec::IntoIter<&'static [u8]>);
        impl Read for Terminal {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let typed = self.0.next().expect("no reading ahead");
                out[..typed.len()].copy_from_slice(typed);
                Ok(typed.len())
            }
        }
        for (typed, lines) in [
            (vec![&b"a\n"[..], b"b\r", b"\nc\n"], ["a", "b", "c"]),
            (vec![b"\xff\xfea\0\r\0".as_slice(), b"\n\0b\0\n\0", b"c\0\n\0"], ["a", "b", "c"]),
        ] {
            let mut found = Lines::new(Path::new("-"), BufReader::new(Terminal(typed.into_iter()))).unwrap();
            for line in lines {
                assert_eq!(found.next().unwrap().unwrap().text, line);
            }
        }
    }

    /// The result of a loader for a folder with these bytes at `path`, and valid other files.
    fn loaded<T>(path: &str, bytes: &[u8], load: &dyn Fn(&Path) -> Result<T, DataError>) -> Result<T, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        for (other, text) in [
            ("en_ewt-ud-dev.conllu", "1\tGo\t_\tVERB\t_\t_\t_\t_\t_\t_\n"),
            ("ptb.valid.txt", "so it goes\n"),
            ("aclImdb/train/neg/0_1.txt", "dull"),
            ("aclImdb/train/neg/1_1.txt", "dull"),
            ("aclImdb/train/pos/0_9.txt", "great"),
            ("aclImdb/train/pos/1_9.txt", "great"),
        ] {
            let other = dir.path().join(other);
            std::fs::create_dir_all(other.parent().unwrap()).unwrap();
            std::fs::write(other, text).unwrap();
        }
        for language in crate::names::LANGUAGES {
            let names: String = ('a'..='j').map(|letter| format!("A{letter}\n")).collect();
            std::fs::write(dir.path().join(format!("{language}.txt")), names).unwrap();
        }
        std::fs::write(file, bytes).unwrap();
        load(dir.path()).map_err(|error| error.to_string().rsplit('/').next().unwrap().to_owned())
    }

    #[test]
    fn loaders_do_not_depend_on_encoding_line_ends_and_compression() {
        let rows: String = (1..=40).map(|row| format!("{row},{}\n", row * row % 17)).collect();
        let table = format!("t,y\n\"1\n2\",7\n{rows}");
        let names = "Nguyễn\n\nAb\n \t\nAc\n".to_owned() + &('a'..='j').map(|c| format!("B{c}\n")).collect::<String>();
        let conllu = "# a\n1\tDö\t_\tNOUN\t_\t_\t_\t_\t_\t_\n\t\n \n1\tGo\t_\tVERB\t_\t_\t_\t_\t_\t_\n";
        let columns = CsvColumns { time: None, target: "y".to_owned(), features: Vec::new() };
        type Load = Box<dyn Fn(&Path) -> Result<String, DataError>>;
        let debug = |load: fn(&Path) -> Result<Data, DataError>| -> Load {
            Box::new(move |dir: &Path| Ok(format!("{:?}", load(dir)?)))
        };
        let cases: [(&str, String, Load); 6] = [
            ("Czech.txt", names, debug(|dir| crate::names::load(dir).map(Data::Labeled))),
            (
                "aclImdb/train/pos/2_9.txt",
                "Schön.<br />\nSo\n".to_owned(),
                debug(|dir| crate::imdb::load(dir).map(Data::Labeled)),
            ),
            ("en_ewt-ud-train.conllu", conllu.to_owned(), debug(|dir| crate::pos::load(dir).map(Data::Tagged))),
            ("ptb.train.txt", "sö it\n\n goes\n".to_owned(), debug(|dir| crate::ptb::load(dir).map(Data::Text))),
            ("input.txt", "Tö be,\n\nor not.\n".repeat(9), debug(|dir| crate::shakespeare::load(dir).map(Data::Text))),
            ("y.csv", table, Box::new(move |dir| Ok(format!("{:?}", table::read(&dir.join("y.csv"), &columns)?)))),
        ];
        for (path, text, load) in cases {
            let plain = loaded(path, text.as_bytes(), &load);
            assert!(plain.is_ok(), "{plain:?}");
            for bytes in variants::of(&text) {
                assert_eq!(loaded(path, &bytes, &load), plain, "{path}");
            }
        }
    }

    #[test]
    fn line_numbers_do_not_depend_on_encoding_line_ends_and_compression() {
        let rows: String =
            (2..=40).map(|row| if row == 8 { "8,oops\n".to_owned() } else { format!("{row},{row}\n") }).collect();
        let columns = CsvColumns { time: None, target: "y".to_owned(), features: Vec::new() };
        type Load = Box<dyn Fn(&Path) -> Result<(), DataError>>;
        let cases: [(&str, String, &str, Load); 3] = [
            (
                "Czech.txt",
                "Ab\n\n\nAc2\n".to_owned(),
                "Czech.txt, line 4: ",
                Box::new(|dir| crate::names::load(dir).map(drop)),
            ),
            (
                "en_ewt-ud-train.conllu",
                "\n# a\n1\tGo\t_\tVERB\n".to_owned(),
                "en_ewt-ud-train.conllu, line 3: ",
                Box::new(|dir| crate::pos::load(dir).map(drop)),
            ),
            (
                "y.csv",
                format!("t,y\n{rows}"),
                "y.csv, line 8: ",
                Box::new(move |dir| table::read(&dir.join("y.csv"), &columns).map(drop)),
            ),
        ];
        for (path, text, message, load) in cases {
            for bytes in variants::of(&text) {
                let error = loaded(path, &bytes, &load).unwrap_err();
                assert!(error.starts_with(message), "{error}");
            }
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_encoding_line_ends_and_compression(text in "[a-cäß€𝄞 \t\n]{0,40}") {
            let expected: Vec<&str> = text.lines().collect();
            for bytes in variants::of(&text) {
                prop_assert_eq!(&texts(&bytes), &expected);
                let lines = Lines::new(Path::new("x"), decompressed(&bytes[..]).unwrap()).unwrap();
                prop_assert_eq!(lines.into_text().unwrap(), &*text);
            }
        }

        #[test]
        fn any_bytes_are_read_or_rejected(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let lines = read(&bytes);
            prop_assert!(lines.iter().flatten().all(|line| !line.text.contains(['\n', '\r', '\0'])));
        }
    }
}
