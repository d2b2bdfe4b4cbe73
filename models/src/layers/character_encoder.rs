//! A vector for each word from its letters.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::Key;

use super::{Pooling, Stack, StackShape, Summary};
use crate::init;
use crate::invalid_shape::{InvalidShape, positive};

/// Reads each word letter by letter; its vector is what each direction has at the end.
///
/// ```text
/// v_word = last(stack(L[letter_1] … L[letter_n]))
/// ```
///
/// `L` is `[letters, input_size]`, `v` `[words, output_size]`. So words that were never seen have vectors too. Ling et al.,
/// "Finding function in form: compositional character models for open vocabulary word representation", EMNLP 2015.
#[derive(Module, Debug)]
pub struct CharacterEncoder {
    table: Embedding,
    stack: Stack,
    summary: Summary,
}

/// The sizes of a [`CharacterEncoder`].
#[derive(Debug, Clone, PartialEq)]
pub struct CharacterEncoderShape {
    /// Distinct letters.
    pub letters: usize,
    /// The recurrent layers; their input is the letters' embedding.
    pub stack: StackShape,
}

/// Words characters out: each distinct word of a batch once.
#[derive(Debug, Clone)]
pub struct WordCharacters {
    /// `[words, longest]`.
    pub letters: Tensor<2, Int>,
    /// True letters of each word.
    pub lengths: Vec<usize>,
    /// Which of the words stands where, `[batch, time]`.
    pub places: Tensor<2, Int>,
}

impl CharacterEncoderShape {
    /// Whether the sizes make sense.
    ///
    /// # Errors
    /// The field that does not: `letters`, or one of the stack's.
    pub fn check(&self) -> Result<(), InvalidShape> {
        positive("letters", self.letters)?;
        self.stack.check().map_err(|invalid_shape| invalid_shape.within("stack"))
    }
}

impl CharacterEncoder {
    /// A character_encoder with initial weights drawn from `key`: letters uniform in ±0.05, the cells' own for the stack.
    ///
    /// # Panics
    /// If [`CharacterEncoderShape::check`] refuses the shape.
    pub fn new(shape: CharacterEncoderShape, key: Key, device: &Device) -> Self {
        let (size, features) = (shape.stack.input_size, shape.stack.output_size());
        Self {
            table: Embedding { weight: init::uniform([shape.letters, size], 0.05, key.place(200), device) },
            stack: Stack::new(shape.stack, key, device),
            summary: Summary::new(Pooling::Last, features, key, device),
        }
    }

    /// Sets how its layers are computed.
    pub fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
    }

    /// The vector of the word at each place, `[batch, time, output_size]`.
    pub fn forward(&self, characters: &WordCharacters, noise: Option<Key>) -> Tensor<3> {
        let letters = embedding(self.table.weight.val(), characters.letters.clone());
        let lengths = Lengths::from(&characters.lengths);
        let outputs = self.stack.read(letters, &lengths, None, noise).outputs;
        let words = self.summary.forward(outputs, lengths, self.stack.shape().architecture.directions());
        embedding(words, characters.places.clone())
    }
}
