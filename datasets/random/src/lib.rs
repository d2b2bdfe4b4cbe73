//! Random numbers as a pure function of a key: no generator state is kept or saved.
//!
//! Every random choice (weight initialization, order of examples, dropout masks, generated data) is drawn from a ChaCha8
//! stream whose 256-bit key is the tuple (run seed, purpose, first index, second index). Resuming a run, changing the backend
//! or running tests in parallel therefore cannot change a draw.

pub use rand::seq::{IndexedRandom, SliceRandom};
pub use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Purpose of a random stream; streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Weight initialization.
    Weights = 1,
    /// The order of examples within an epoch.
    Order = 2,
    /// Dropout masks.
    Dropout = 3,
    /// Generated datasets.
    Data = 4,
    /// Sampling in text generation.
    Generation = 5,
    /// Negative examples: items that are drawn to be compared with the actual one.
    Negatives = 6,
}

/// Key of a random stream: run seed, purpose, and two indices such as a step and a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    seed: u64,
    purpose: Purpose,
    first: u64,
    second: u64,
}

impl Key {
    /// The key for `purpose` with the seed of a run; both indices are zero.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Self { seed, purpose, first: 0, second: 0 }
    }

    /// Sets the first index: an epoch or a step.
    pub fn with_first(self, first: u64) -> Self {
        Self { first, ..self }
    }

    /// The first index.
    pub fn first(self) -> u64 {
        self.first
    }

    /// Sets the second index: a parameter, a layer, or an index within the step.
    pub fn offset(self, second: u64) -> Self {
        Self { second, ..self }
    }

    /// The random stream of this key, from its start.
    ///
    /// ```
    /// use seqzoo_random::{Key, Purpose, RngExt};
    /// let key = Key::new(7, Purpose::Order).with_first(3);
    /// let (first, again): (u32, u32) = (key.stream().random(), key.stream().random());
    /// assert_eq!(first, again);
    /// assert_ne!(first, key.with_first(4).stream().random::<u32>());
    /// ```
    pub fn stream(self) -> ChaCha8Rng {
        let mut bytes = [0; 32];
        let words = [self.seed, self.purpose as u64, self.first, self.second];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(bytes)
    }

    /// The random stream of one example under this key, independent of that of any other example and of [`Key::stream`].
    pub fn example_stream(self, example: u64) -> ChaCha8Rng {
        let mut stream = self.stream();
        // ChaCha has 2⁶⁴ streams for each key; the first one is `Key::stream`.
        stream.set_stream(example.wrapping_add(1));
        stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_same_on_every_machine_and_version() {
        let mut stream = Key::new(42, Purpose::Weights).with_first(1).offset(2).stream();
        let drawn: Vec<u64> = (0..3).map(|_| stream.random()).collect();
        assert_eq!(drawn, GOLDEN);
    }

    #[test]
    fn each_example_has_a_stream_of_its_own() {
        let key = Key::new(1, Purpose::Dropout);
        let streams = [key.stream(), key.example_stream(0), key.example_stream(1), key.offset(1).example_stream(0)];
        let drawn: std::collections::BTreeSet<u64> = streams.into_iter().map(|mut stream| stream.random()).collect();
        assert_eq!(drawn.len(), 4);
        assert_eq!(key.example_stream(7).random::<u64>(), key.example_stream(7).random::<u64>());
    }

    /// Recorded output of this stream: detects a change of generator, which would break existing runs.
    const GOLDEN: [u64; 3] = [8902829084396245550, 14063374798700758802, 5721998541527408515];

    #[test]
    fn each_component_of_the_key_changes_the_stream() {
        let key = Key::new(1, Purpose::Order);
        let others = [Key::new(2, Purpose::Order), Key::new(1, Purpose::Dropout), key.with_first(1), key.offset(1)];
        let draw = |key: Key| key.stream().random::<u64>();
        for other in others {
            assert_ne!(draw(key), draw(other), "{other:?}");
        }
    }
}
