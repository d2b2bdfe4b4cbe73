//! Lines of text, in any supported encoding, with any line end.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use super::containers::{is_damage, peek};
use super::encodings::{Encoding, MARKS, Utf16};
use super::{BYTE_ORDER_MARK, open};
use crate::DataError;

/// Message about a line that is not UTF-8.
pub(crate) const NOT_UTF_8: &str = "not UTF-8; convert the file first";

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// 1-based line number.
    pub number: usize,
    /// The line without its line end.
    pub text: String,
    /// Whether the line has a line end; only the last line of a file may have none.
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
            Encoding::Utf16 { little_endian } => Box::new(BufReader::new(Utf16::new(bytes, little_endian))),
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
            Encoding::Utf8 => String::from_utf8(line).map_err(|_| NOT_UTF_8)?,
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
    match is_damage(&error) {
        true => DataError::damaged(name, format!("after line {lines}: {error}")),
        false => DataError::unreadable(name, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::containers::decompressed;
    use crate::reading::{is_blank, variants};
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
    fn unsupported_compression_is_named() {
        let bytes: &[u8] = b"\xfd7zXZ\0\0\x04";
        let error = decompressed(bytes).err().unwrap().to_string();
        assert!(error.starts_with("xz compression is not supported; decompress the file first"), "{error}");
        assert_eq!(texts(b"BZhang\n"), ["BZhang"]);
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
