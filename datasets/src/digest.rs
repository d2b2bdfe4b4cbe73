//! SHA-256 digests of datasets.

use std::io::{self, BufRead, BufReader, Read};

use sha2::{Digest as _, Sha256};

/// SHA-256 over a sequence of texts and numbers, which a run saves to recognize its data.
///
/// ```
/// use seqzoo_datasets::digest::Digest;
///
/// let digest = |texts: &[&str]| {
///     let mut digest = Digest::default();
///     texts.iter().for_each(|text| digest.text(text));
///     digest.finish()
/// };
/// assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
/// ```
#[derive(Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    /// Adds a text, prefixed with its length, so that adjacent texts cannot be confused.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds bytes, prefixed with their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    /// Adds all bytes of a file, not prefixed: the digest of nothing else is that of the file. Returns their number.
    ///
    /// # Errors
    /// If reading fails.
    pub fn all_of(&mut self, file: impl Read) -> io::Result<u64> {
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut count = 0;
        loop {
            let bytes = file.fill_buf()?;
            let length = bytes.len();
            if length == 0 {
                return Ok(count);
            }
            self.0.update(bytes);
            count += length as u64;
            file.consume(length);
        }
    }

    /// The digest in hexadecimal.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
