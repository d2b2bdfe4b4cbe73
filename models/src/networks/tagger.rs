//! Sequence labeling: one label per token.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::{Network, cross_entropy, embed, table};
use crate::cell::zero_padding;
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::character_encoder::{CharacterEncoder, CharacterEncoderShape, WordCharacters};
use crate::layers::dropout::dropout;
use crate::layers::{Crf, Linear, Stack, StackShape};
use crate::names::{FieldNames, names};

/// Token tagger: embedding, optional character encoder, recurrent stack, linear layer, and a softmax or CRF output.
///
/// ```text
/// x_t = [E[token_t] ; character_encoder(token_t)]
/// emission_t = dropout(stack(dropout(x_1) … dropout(x_length)))_t W + b
/// softmax:  p(y) = Π_t softmax(emission_t)_{y_t}        CRF:  see layers/crf.rs
/// ```
///
/// `x` is `[batch, time, embedding_size + character encoder size]`, `W` is `[output_size, labels]`; emissions are
/// `[batch, time, labels]`, zero at padding.
///
/// Lample et al., "Neural architectures for named entity recognition", NAACL 2016.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::StackShape;
/// use seqzoo_models::networks::{Tagger, TaggerInput, TaggerShape};
///
/// let shape = TaggerShape {
///     vocabulary: 100,
///     embedding_size: 8,
///     character_encoder: None,
///     stack: StackShape::plain(Architecture::BiLstm, 8, vec![16]),
///     labels: 5,
///     crf: true,
///     dropout: 0.5,
///     embedding_dropout: 0.0,
/// };
/// let tagger = Tagger::new(shape, 1, &Device::flex());
/// let tokens = Tensor::from_data([[5, 9, 2], [7, 1, 0]], &Device::flex());
/// let input = TaggerInput { tokens, lengths: vec![3, 2], characters: None };
/// assert_eq!(tagger.emissions(&input, None).dims(), [2, 3, 5]);
/// let (labels, _) = tagger.decode(&input, None);
/// assert_eq!((labels[0].len(), labels[1].len()), (3, 2));
/// ```
#[derive(Module, Debug)]
pub struct Tagger {
    embedding: Embedding,
    character_encoder: Option<CharacterEncoder>,
    stack: Stack,
    output: Linear,
    crf: Option<Crf>,
    dropout: f64,
    embedding_dropout: f64,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[names!(Tagger {
    embedding: "embedding",
    character_encoder: "character_encoder",
    stack: "stack",
    output: "output",
    crf: "crf"
})];

/// The sizes of a [`Tagger`].
#[derive(Debug, Clone, PartialEq)]
pub struct TaggerShape {
    /// Number of distinct tokens.
    pub vocabulary: usize,
    /// Embedding size.
    pub embedding_size: usize,
    /// Character encoder, if any.
    pub character_encoder: Option<CharacterEncoderShape>,
    /// The recurrent layers; their input is the embedding, concatenated with the character encoder's word vector.
    pub stack: StackShape,
    /// Number of labels.
    pub labels: usize,
    /// Whether the output is a CRF instead of a softmax.
    pub crf: bool,
    /// Dropout rate of the stack's inputs and outputs.
    pub dropout: f64,
    /// Embedding dropout rate: share of the vocabulary dropped in training.
    pub embedding_dropout: f64,
}

/// Input batch of a [`Tagger`].
#[derive(Debug, Clone)]
pub struct TaggerInput {
    /// Token ids, `[batch, time]`.
    pub tokens: Tensor<2, Int>,
    /// Number of tokens of each sentence.
    pub lengths: Vec<usize>,
    /// Characters of the words, for a tagger with a character encoder.
    pub characters: Option<WordCharacters>,
}

impl TaggerShape {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first invalid field: `vocabulary`, `embedding_size`, `labels`, a dropout rate, or a field of the stack or
    /// character encoder.
    pub fn check(&self) -> Result<(), InvalidShape> {
        self.stack.check().map_err(|error| error.within("stack"))?;
        let characters = match &self.character_encoder {
            Some(character_encoder) => {
                character_encoder.check().map_err(|error| error.within("character_encoder"))?;
                character_encoder.stack.output_size()
            }
            None => 0,
        };
        positive("vocabulary", self.vocabulary)?;
        positive("embedding_size", self.embedding_size)?;
        positive("labels", self.labels)?;
        probability("dropout", self.dropout)?;
        probability("embedding_dropout", self.embedding_dropout)?;
        let (width, below) = (self.embedding_size + characters, self.stack.input_size);
        if width != below {
            let reason = format!("embedding and character encoder have {width} features, the stack expects {below}");
            return Err(InvalidShape::new("stack.input_size", reason));
        }
        if self.crf { Crf::check(self.labels) } else { Ok(()) }
    }
}

impl Tagger {
    /// A tagger with initial weights drawn from `seed`.
    ///
    /// # Panics
    /// If [`TaggerShape::check`] fails.
    pub fn new(shape: TaggerShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let features = shape.stack.output_size();
        Self {
            embedding: table(shape.vocabulary, shape.embedding_size, key.with_first(0), device),
            character_encoder: shape
                .character_encoder
                .map(|character_encoder| CharacterEncoder::new(character_encoder, key.with_first(1 << 20), device)),
            stack: Stack::new(shape.stack, key.with_first(1), device),
            output: Linear::new(features, shape.labels, 0.0, key.with_first(2), device),
            crf: shape.crf.then(|| Crf::new(shape.labels, key.with_first(3), device)),
            dropout: shape.dropout,
            embedding_dropout: shape.embedding_dropout,
        }
    }

    /// Emissions: a score for each label at each token, `[batch, time, labels]`.
    ///
    /// `dropout_key` is the key of this step's dropout masks; `None` at inference.
    ///
    /// # Panics
    /// If the tagger has a character encoder and the sentences have no characters.
    pub fn emissions(&self, sentences: &TaggerInput, dropout_key: impl Into<DropoutKey>) -> Tensor<3> {
        let TaggerInput { tokens, lengths, characters } = sentences;
        let lengths = Lengths::from(lengths);
        let dropout_key = dropout_key.into();
        let dropped = |tensor: Tensor<3>, index: u64| dropout(tensor, self.dropout, dropout_key.offset(index));
        let mut input = embed(&self.embedding, tokens.clone(), self.embedding_dropout, &dropout_key);
        if let Some(character_encoder) = &self.character_encoder {
            let characters = characters.as_ref().expect("a tagger with a character encoder needs characters");
            let words = character_encoder.forward(characters, dropout_key.part(1 << 62));
            input = Tensor::cat(vec![input, words], 2);
        }
        let outputs = self.stack.forward(dropped(input, 2), &lengths, None, &dropout_key).outputs;
        zero_padding(self.output.forward(dropped(outputs, 3)), &lengths)
    }

    /// Mean negative log-likelihood in nats per token; `labels` is `[batch][length]`.
    ///
    /// # Panics
    /// If the labels do not match the sentences.
    pub fn loss(
        &self,
        sentences: &TaggerInput,
        labels: &[Vec<usize>],
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<1> {
        let emissions = self.emissions(sentences, dropout_key);
        self.loss_of(emissions, labels)
    }

    /// As [`Tagger::loss`], from emissions.
    fn loss_of(&self, emissions: Tensor<3>, labels: &[Vec<usize>]) -> Tensor<1> {
        let tokens: usize = labels.iter().map(Vec::len).sum();
        match &self.crf {
            None => cross_entropy(emissions, labels),
            Some(crf) => crf.log_likelihood(emissions, labels).sum().neg() / tokens as f64,
        }
    }

    /// The most probable label sequence of each row and, given the true labels, the loss as in [`Tagger::loss`].
    pub fn decode(&self, sentences: &TaggerInput, labels: Option<&[Vec<usize>]>) -> (Vec<Vec<usize>>, Option<f64>) {
        let emissions = self.emissions(sentences, None);
        let loss = labels.map(|labels| self.loss_of(emissions.clone(), labels).into_scalar::<f32>().into());
        let lengths = &sentences.lengths;
        if let Some(crf) = &self.crf {
            return (crf.decode(emissions, lengths), loss);
        }
        let [_, time, _] = emissions.dims();
        let best = emissions.argmax(2).try_into_vec_as::<i64>().expect("a computed tensor can be read");
        let row = |(row, &length): (&[i64], &usize)| row[..length].iter().map(|&label| label as usize).collect();
        (best.chunks_exact(time).zip(lengths).map(row).collect(), loss)
    }
}

impl Network for Tagger {
    fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        self.output.set_execution(execution);
        if let Some(character_encoder) = &mut self.character_encoder {
            character_encoder.set_execution(execution);
        }
    }
}
