//! Character encoder: a vector for each word, computed from its characters.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::Key;

use super::{Pooling, RegularizationRates, SequencePooling, Stack, StackShape};
use crate::dropout_key::DropoutKey;
use crate::init;
use crate::invalid_shape::{InvalidShape, positive};
use crate::names::{FieldNames, names};

/// Character encoder: a recurrent stack over the characters of each word; the word's vector is the final hidden state
/// of each direction.
///
/// ```text
/// v_word = last(stack(C[character_1] … C[character_n]))
/// ```
///
/// `C` is `[characters, input_size]`, `v` is `[words, output_size]`. Out-of-vocabulary words have vectors too.
///
/// Ling et al., "Finding function in form: compositional character models for open vocabulary word representation",
/// EMNLP 2015.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use seqzoo_models::layers::{CharacterEncoder, CharacterEncoderShape, StackShape, WordCharacters};
/// use seqzoo_models::{Architecture, Key, Purpose};
///
/// let device = Device::flex();
/// let stack = StackShape::plain(Architecture::BiLstm, 3, vec![4]);
/// let shape = CharacterEncoderShape { characters: 9, stack };
/// let encoder = CharacterEncoder::new(shape, Key::new(1, Purpose::Weights), &device);
/// // "to be or not to be" has four distinct words.
/// let characters = Tensor::<2, Int>::from_data([[1, 2, 0], [3, 4, 0], [2, 5, 0], [6, 2, 1]], &device);
/// let word_indices = Tensor::from_data([[0, 1, 2, 3, 0, 1]], &device);
/// let words = WordCharacters { characters, lengths: vec![2, 2, 2, 3], word_indices };
/// assert_eq!(encoder.forward(&words, None).dims(), [1, 6, 8]);
/// ```
#[derive(Module, Debug)]
pub struct CharacterEncoder {
    embedding: Embedding,
    stack: Stack,
    pooling: SequencePooling,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] =
    &[names!(CharacterEncoder { embedding: "table", stack: "stack", pooling: "summary" })];

/// The sizes of a [`CharacterEncoder`].
#[derive(Debug, Clone, PartialEq)]
pub struct CharacterEncoderShape {
    /// Number of distinct characters.
    pub characters: usize,
    /// The recurrent layers; their input is the character embedding.
    pub stack: StackShape,
}

/// The words of a batch as characters, each distinct word once.
#[derive(Debug, Clone)]
pub struct WordCharacters {
    /// Character ids, `[words, longest word]`.
    pub characters: Tensor<2, Int>,
    /// Number of characters of each word.
    pub lengths: Vec<usize>,
    /// Index of the word at each position, `[batch, time]`.
    pub word_indices: Tensor<2, Int>,
}

impl CharacterEncoderShape {
    /// Checks the sizes.
    ///
    /// # Errors
    /// The first invalid field: `characters`, or a field of the stack.
    pub fn check(&self) -> Result<(), InvalidShape> {
        positive("characters", self.characters)?;
        self.stack.check().map_err(|error| error.within("stack"))
    }
}

impl WordCharacters {
    /// A hash of each word that depends only on its characters (FNV-1a).
    fn identities(&self) -> Vec<u64> {
        let [_, longest] = self.characters.dims();
        let characters = self.characters.clone().try_into_vec_as::<i64>().expect("token ids can be read");
        let hash = |hash: u64, &character: &i64| (hash ^ character as u64).wrapping_mul(0x0000_0100_0000_01b3);
        let words = characters.chunks_exact(longest).zip(&self.lengths);
        words.map(|(word, &length)| word[..length].iter().fold(0xcbf2_9ce4_8422_2325, hash)).collect()
    }
}

impl CharacterEncoder {
    /// A character encoder with initial weights drawn from `key`; the character embedding is uniform in ±0.05.
    ///
    /// # Panics
    /// If [`CharacterEncoderShape::check`] fails for the stack.
    pub fn new(shape: CharacterEncoderShape, key: Key, device: &Device) -> Self {
        let (size, features) = (shape.stack.input_size, shape.stack.output_size());
        Self {
            embedding: Embedding { weight: init::uniform([shape.characters, size], 0.05, key.offset(200), device) },
            stack: Stack::new(shape.stack, key, device),
            pooling: SequencePooling::new(Pooling::Last, features, key, device),
        }
    }

    /// Sets how the layers are computed.
    pub fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        self.pooling.set_execution(execution);
    }

    /// The word vector at each position, `[batch, time, output_size]`.
    ///
    /// Dropout masks belong to a word's characters, so every occurrence of a word has the same vector.
    pub fn forward(&self, characters: &WordCharacters, dropout_key: impl Into<DropoutKey>) -> Tensor<3> {
        let mut dropout_key = dropout_key.into();
        if !dropout_key.is_none() && self.stack.shape().rates != RegularizationRates::default() {
            dropout_key = dropout_key.with_examples(characters.identities());
        }
        let embedded = embedding(self.embedding.weight.val(), characters.characters.clone());
        let lengths = Lengths::from(&characters.lengths);
        let outputs = self.stack.forward(embedded, &lengths, None, dropout_key).outputs;
        let words = self.pooling.forward(outputs, lengths, self.stack.shape().architecture.directions());
        embedding(words, characters.word_indices.clone())
    }
}
