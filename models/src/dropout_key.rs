//! Random keys of dropout masks.

use std::sync::Arc;

use burn::tensor::{Bool, Device, Tensor, TensorData};
use seqzoo_random::{Key, Rng, RngExt};

/// Random keys of the dropout masks of a training step; none at inference, where nothing is dropped.
///
/// Masks are drawn on the host, so they are identical on every backend and when a step is repeated. What is dropped from an example is a
/// function of the key and the example only, not of its row in the batch or of the other examples. Embedding dropout and
/// DropConnect have one mask for the whole batch.
///
/// Networks take `impl Into<DropoutKey>`: `None`, or `Some(key)` with a key that differs in each step, with row numbers
/// as examples, or keys from [`DropoutKey::new`].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::dropout_key::DropoutKey;
/// use seqzoo_models::layers::dropout::dropout;
/// use seqzoo_random::{Key, Purpose};
///
/// let key = Key::new(7, Purpose::Dropout);
/// let (epoch, steps) = (key.with_first(3), [key.with_first(40), key.with_first(41)]);
/// let ones = || Tensor::<2>::ones([2, 8], &Device::flex());
/// let one = dropout(ones(), 0.5, DropoutKey::new(steps[0], epoch, &[12, 5]));
/// let other = dropout(ones(), 0.5, DropoutKey::new(steps[1], epoch, &[5, 12]));
/// assert_eq!(one.into_data(), other.flip([0]).into_data());
/// ```
#[derive(Debug, Clone)]
pub struct DropoutKey(Option<Keys>);

#[derive(Debug, Clone)]
struct Keys {
    batch: Key,
    epoch: Key,
    /// The example in each row; `None` if the row number is the example.
    examples: Option<Arc<[u64]>>,
}

impl DropoutKey {
    /// No dropout: inference.
    pub const NONE: Self = Self(None);

    /// Keys of a step: `batch`, which differs in each step, for masks of the whole batch; `epoch`, which differs in
    /// each epoch, for the masks of `examples`, which are the example in each row.
    pub fn new(batch: Key, epoch: Key, examples: &[u64]) -> Self {
        Self(Some(Keys { batch, epoch, examples: Some(examples.into()) }))
    }

    /// Whether nothing is dropped.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The same examples with other keys, such as those of a segment of the sequences.
    #[must_use]
    pub fn map(&self, change: impl Fn(Key) -> Key) -> Self {
        let changed = |keys: &Keys| Keys { batch: change(keys.batch), epoch: change(keys.epoch), ..keys.clone() };
        Self(self.0.as_ref().map(changed))
    }

    /// The same keys for other rows.
    pub(crate) fn with_examples(&self, examples: Vec<u64>) -> Self {
        Self(self.0.as_ref().map(|keys| Keys { examples: Some(examples.into()), ..keys.clone() }))
    }

    /// The keys of rows of which `parts` take the place of each row, such as the lines of an image.
    pub(crate) fn divided(&self, parts: usize) -> Self {
        let parts = parts as u64;
        let divided = |examples: &Arc<[u64]>| {
            examples.iter().flat_map(|example| (0..parts).map(move |part| example.wrapping_mul(parts) + part)).collect()
        };
        Self(self.0.as_ref().map(|keys| Keys { examples: keys.examples.as_ref().map(divided), ..keys.clone() }))
    }

    /// The keys of a component of the network; `bits` are the bits of the first index that identify the component.
    pub(crate) fn part(&self, bits: u64) -> Self {
        self.map(|key| key.with_first(key.first() ^ bits))
    }

    /// The keys of one mask of a component.
    pub(crate) fn offset(&self, mask: u64) -> Self {
        self.map(|key| key.offset(mask))
    }

    /// The key of masks of the whole batch.
    pub(crate) fn batch(&self) -> Option<Key> {
        self.0.as_ref().map(|keys| keys.batch)
    }

    /// Bernoulli mask of the given shape, whose first dimension is the batch: each element is true with probability
    /// `rate`. `None` at inference.
    ///
    /// # Panics
    /// If there is not one example per row.
    pub(crate) fn mask<const D: usize>(
        &self,
        shape: [usize; D],
        rate: f64,
        device: &Device,
    ) -> Option<Tensor<D, Bool>> {
        let Keys { epoch, examples, .. } = self.0.as_ref()?;
        let (rows, size) = (shape[0], shape[1..].iter().product());
        let given = examples.as_ref().map_or(rows, |examples| examples.len());
        assert_eq!(given, rows, "a batch of {rows} rows needs as many examples in its dropout key, got {given}");
        let mut values = Vec::with_capacity(rows * size);
        for row in 0..rows {
            let example = examples.as_ref().map_or(row as u64, |examples| examples[row]);
            extend(&mut values, size, rate, epoch.example_stream(example));
        }
        Some(Tensor::from_data(TensorData::new(values, shape), device))
    }
}

impl From<Option<Key>> for DropoutKey {
    fn from(key: Option<Key>) -> Self {
        Self(key.map(|key| Keys { batch: key, epoch: key, examples: None }))
    }
}

impl From<&DropoutKey> for DropoutKey {
    fn from(key: &DropoutKey) -> Self {
        key.clone()
    }
}

/// Bernoulli mask of a whole batch: each element is true with probability `rate`, drawn from `key`.
pub(crate) fn bernoulli_mask<const D: usize>(
    shape: [usize; D],
    rate: f64,
    key: Key,
    device: &Device,
) -> Tensor<D, Bool> {
    let mut values = Vec::new();
    extend(&mut values, shape.iter().product(), rate, key.stream());
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn extend(values: &mut Vec<bool>, count: usize, rate: f64, mut stream: impl Rng) {
    values.extend((0..count).map(|_| stream.random_bool(rate)));
}
