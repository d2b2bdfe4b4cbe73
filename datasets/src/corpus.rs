//! What a data set of running text consists of.

use sha2::{Digest, Sha256};

use crate::classification::Split;

/// Running text in parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corpus {
    /// Text to learn from.
    pub train: String,
    /// Text that decides when to stop.
    pub validation: String,
    /// Text to report on; empty where there is none.
    pub test: String,
}

impl Corpus {
    /// The text of a part.
    pub fn split(&self, split: Split) -> &str {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// SHA-256 over the training and validation parts: two runs with the same digest learn from the same text.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.train, &self.validation] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
