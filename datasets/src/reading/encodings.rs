//! Character encodings: byte-order marks, and transcoding to UTF-8.

use std::io::{self, BufRead, Cursor, Read};

/// A byte that no valid UTF-8 contains.
const INVALID: u8 = 0xff;

/// A character encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    /// With this byte order.
    Utf16 {
        little_endian: bool,
    },
    Utf32,
    Latin1,
}

/// Byte-order marks; a mark precedes its prefixes.
pub(super) const MARKS: [(&[u8], Encoding); 5] = [
    (&[0xff, 0xfe, 0, 0], Encoding::Utf32),
    (&[0, 0, 0xfe, 0xff], Encoding::Utf32),
    (&[0xef, 0xbb, 0xbf], Encoding::Utf8),
    (&[0xff, 0xfe], Encoding::Utf16 { little_endian: true }),
    (&[0xfe, 0xff], Encoding::Utf16 { little_endian: false }),
];

/// Transcodes UTF-16 to UTF-8; invalid input yields invalid output.
pub(super) struct Utf16<R> {
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
    pub(super) fn new(bytes: R, little_endian: bool) -> Self {
        Self { bytes, little_endian, pending: Vec::new(), decoded: Cursor::default() }
    }

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
