//! Sequence labeling: one label per token, and possibly one of the whole sentence.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::{Network, column, cross_entropy, embed, table};
use crate::cell::zero_padding;
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::character_encoder::{CharacterEncoder, CharacterEncoderShape, WordCharacters};
use crate::layers::dropout::dropout;
use crate::layers::{Crf, Linear, Pooling, SequencePooling, Stack, StackShape};
use crate::names::{FieldNames, names};

/// Token tagger: embedding, optional character encoder, recurrent stack, linear layer, and a softmax or CRF output; with a second
/// output, it also classifies the sentence.
///
/// ```text
/// x_t = [E[token_t] ; character_encoder(token_t)]
/// emission_t = dropout(stack(dropout(x_1) … dropout(x_length)))_t W + b
/// softmax:  p(y) = Π_t softmax(emission_t)_{y_t}        CRF:  see layers/crf.rs
/// logits = dropout(pooling(stack(…))) V + c             of the sentence, if it has labels
/// loss = −log p(y) per token − log softmax(logits)_label per sentence
/// ```
///
/// `x` is `[batch, time, embedding_size + character encoder size]`, `W` is `[output_size, labels]`; emissions are
/// `[batch, time, labels]`, zero at padding; `V` is `[output_size, sentence labels]`.
///
/// Lample et al., "Neural architectures for named entity recognition", NAACL 2016; labels of
/// sentences and tokens together after Liu and Lane, "Attention-based recurrent neural network models for joint intent detection and
/// slot filling", Interspeech 2016, without attention.
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
///     sentence: None,
///     dropout: 0.5,
///     embedding_dropout: 0.0,
/// };
/// let tagger = Tagger::new(shape, 1, &Device::flex());
/// let tokens = Tensor::from_data([[5, 9, 2], [7, 1, 0]], &Device::flex());
/// let input = TaggerInput { tokens, lengths: vec![3, 2], characters: None };
/// assert_eq!(tagger.emissions(&input, None).dims(), [2, 3, 5]);
/// let labels = tagger.decode(&input, None).labels;
/// assert_eq!((labels[0].len(), labels[1].len()), (3, 2));
/// ```
#[derive(Module, Debug)]
pub struct Tagger {
    embedding: Embedding,
    character_encoder: Option<CharacterEncoder>,
    stack: Stack,
    output: Linear,
    crf: Option<Crf>,
    sentence: Option<SentenceOutput>,
    dropout: f64,
    embedding_dropout: f64,
}

/// Pooling and output layer for the label of a sentence.
#[derive(Module, Debug)]
struct SentenceOutput {
    pooling: SequencePooling,
    output: Linear,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[
    names!(Tagger {
        embedding: "embedding",
        character_encoder: "character_encoder",
        stack: "stack",
        output: "output",
        crf: "crf",
        sentence: "sentence"
    }),
    names!(SentenceOutput { pooling: "pooling", output: "output" }),
];

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
    /// Number of labels of sentences and pooling of the outputs for them, if sentences have a label.
    pub sentence: Option<(usize, Pooling)>,
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

/// The true labels of a batch.
#[derive(Debug, Clone, Copy)]
pub struct TaggerTargets<'a> {
    /// Of the tokens, `[batch][length]`.
    pub tokens: &'a [Vec<usize>],
    /// Of the sentences, `[batch]`; empty if they have none.
    pub sentences: &'a [usize],
}

/// Predictions for a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct TaggerOutput {
    /// The most probable label sequence of each row.
    pub labels: Vec<Vec<usize>>,
    /// Log probabilities of the labels of each sentence; empty if they have none.
    pub sentences: Vec<Vec<f32>>,
    /// Mean negative log-likelihood, as [`Tagger::loss`], if the true labels are given.
    pub loss: Option<f64>,
}

/// Scores of a batch.
struct Scores {
    /// `[batch, time, labels]`
    emissions: Tensor<3>,
    /// Logits of the labels of sentences, `[batch, labels]`.
    sentences: Option<Tensor<2>>,
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
        if let Some((labels, _)) = self.sentence {
            positive("sentence", labels)?;
        }
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
            sentence: shape.sentence.map(|(labels, pooling)| SentenceOutput {
                pooling: SequencePooling::new(pooling, features, key.with_first(4), device),
                output: Linear::new(features, labels, 0.0, key.with_first(5), device),
            }),
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
        self.scores(sentences, dropout_key).emissions
    }

    fn scores(&self, sentences: &TaggerInput, dropout_key: impl Into<DropoutKey>) -> Scores {
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
        let sentences = self.sentence.as_ref().map(|SentenceOutput { pooling, output }| {
            let directions = self.stack.shape().architecture.directions();
            let pooled = pooling.forward(outputs.clone(), &lengths, directions);
            output.forward(dropout(pooled, self.dropout, dropout_key.offset(4)))
        });
        Scores { emissions: zero_padding(self.output.forward(dropped(outputs, 3)), &lengths), sentences }
    }

    /// Mean negative log-likelihood in nats per token, plus that of the labels of sentences per sentence, if they have any.
    ///
    /// # Panics
    /// If the labels do not match the sentences.
    pub fn loss(
        &self,
        sentences: &TaggerInput,
        targets: TaggerTargets<'_>,
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<1> {
        self.loss_of(self.scores(sentences, dropout_key), targets)
    }

    /// As [`Tagger::loss`], from scores.
    fn loss_of(&self, scores: Scores, targets: TaggerTargets<'_>) -> Tensor<1> {
        let Scores { emissions, sentences } = scores;
        let tokens: usize = targets.tokens.iter().map(Vec::len).sum();
        let of_tokens = match &self.crf {
            None => cross_entropy(emissions, targets.tokens),
            Some(crf) => crf.log_likelihood(emissions, targets.tokens).sum().neg() / tokens as f64,
        };
        match sentences {
            None => of_tokens,
            Some(logits) => {
                assert_eq!(logits.dims()[0], targets.sentences.len(), "a label for each sentence");
                let labels: Vec<u32> = targets.sentences.iter().map(|&label| label as u32).collect();
                let labels = column(&labels, &logits.device());
                of_tokens + log_softmax(logits, 1).gather(1, labels).mean().neg()
            }
        }
    }

    /// The most probable labels of each row and, given the true ones, the loss as in [`Tagger::loss`].
    pub fn decode(&self, sentences: &TaggerInput, targets: Option<TaggerTargets<'_>>) -> TaggerOutput {
        let scores = self.scores(sentences, None);
        let Scores { emissions, sentences: logits } = &scores;
        let lengths = &sentences.lengths;
        let labels = match &self.crf {
            Some(crf) => crf.decode(emissions.clone(), lengths),
            None => {
                let [_, time, _] = emissions.dims();
                let best = emissions.clone().argmax(2).try_into_vec_as::<i64>().expect("a computed tensor can be read");
                let row =
                    |(row, &length): (&[i64], &usize)| row[..length].iter().map(|&label| label as usize).collect();
                best.chunks_exact(time).zip(lengths).map(row).collect()
            }
        };
        let rows = |logits: &Tensor<2>| {
            let count = logits.dims()[1];
            let logs = log_softmax(logits.clone(), 1);
            let values = logs.try_into_vec_as::<f32>().expect("a computed tensor can be read");
            values.chunks_exact(count).map(<[f32]>::to_vec).collect()
        };
        let sentences = logits.as_ref().map_or_else(Vec::new, rows);
        let loss = targets.map(|targets| self.loss_of(scores, targets).into_scalar::<f32>().into());
        TaggerOutput { labels, sentences, loss }
    }
}

impl Network for Tagger {
    fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        self.output.set_execution(execution);
        if let Some(SentenceOutput { pooling, output }) = &mut self.sentence {
            pooling.set_execution(execution);
            output.set_execution(execution);
        }
        if let Some(character_encoder) = &mut self.character_encoder {
            character_encoder.set_execution(execution);
        }
    }
}
