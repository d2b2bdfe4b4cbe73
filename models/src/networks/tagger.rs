//! A label for every token.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::{Network, cross_entropy, embed, table};
use crate::cell::without_padding;
use crate::invalid_shape::{InvalidShape, expect_fit, positive, rate};
use crate::layers::character_encoder::{CharacterEncoder, CharacterEncoderShape, WordCharacters};
use crate::layers::dropout::dropout;
use crate::layers::{Crf, Linear, Stack, StackShape};

/// Token tagger: embedding, and if asked for what the letters say, recurrent stack, linear layer, and labels that are
/// independent (softmax) or crf (CRF).
///
/// ```text
/// x_t = [E[token_t] ; character_encoder(token_t)]
/// emission_t = dropout(stack(dropout(x_1) … dropout(x_length)))_t W + b
/// softmax:  p(y) = Π_t softmax(emission_t)_{y_t}        CRF:  see layers/crf.rs
/// ```
///
/// Emissions are `[batch, time, labels]`, zero at padding. Lample et al., "Neural architectures for named entity
/// recognition", NAACL 2016.
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

/// The sizes of a [`Tagger`].
#[derive(Debug, Clone, PartialEq)]
pub struct TaggerShape {
    /// Distinct tokens.
    pub vocabulary: usize,
    /// Features of a token's embedding.
    pub embedding_size: usize,
    /// How letters are read, if they are.
    pub character_encoder: Option<CharacterEncoderShape>,
    /// The recurrent layers; their input is the embedding and, behind it, the character_encoder.
    pub stack: StackShape,
    /// Labels to tell apart.
    pub labels: usize,
    /// Whether labels depend on their neighbors (CRF) or not (softmax).
    pub crf: bool,
    /// Share of what the stack reads, and of what it says, that is dropped in training.
    pub dropout: f64,
    /// Share of the tokens whose embedding is dropped in training, each wherever it occurs.
    pub embedding_dropout: f64,
}

/// Sentences as a [`Tagger`] reads them.
#[derive(Debug, Clone)]
pub struct Sentences {
    /// `[batch, time]`.
    pub tokens: Tensor<2, Int>,
    /// True tokens of each.
    pub lengths: Vec<usize>,
    /// Their letters, for a tagger that reads them.
    pub characters: Option<WordCharacters>,
}

impl TaggerShape {
    /// Whether a tagger of this shape makes sense.
    ///
    /// # Errors
    /// The field that does not: `vocabulary`, `embedding_size`, `labels`, a rate, or one of the stacks'.
    pub fn check(&self) -> Result<(), InvalidShape> {
        self.stack.check().map_err(|invalid_shape| invalid_shape.within("stack"))?;
        let characters = match &self.character_encoder {
            Some(character_encoder) => {
                character_encoder.check().map_err(|invalid_shape| invalid_shape.within("character_encoder"))?;
                character_encoder.stack.output_size()
            }
            None => 0,
        };
        positive("vocabulary", self.vocabulary)?;
        positive("embedding_size", self.embedding_size)?;
        positive("labels", self.labels)?;
        rate("dropout", self.dropout)?;
        rate("embedding_dropout", self.embedding_dropout)?;
        let (width, below) = (self.embedding_size + characters, self.stack.input_size);
        if width != below {
            let reason = format!("embedding and character_encoder have {width} features, but the stack reads {below}");
            return Err(InvalidShape::new("stack.input_size", reason));
        }
        if self.crf { Crf::check(self.labels) } else { Ok(()) }
    }
}

impl Tagger {
    /// A tagger with weights drawn from the run's seed.
    ///
    /// # Panics
    /// If [`TaggerShape::check`] refuses the shape.
    pub fn new(shape: TaggerShape, seed: u64, device: &Device) -> Self {
        expect_fit(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let features = shape.stack.output_size();
        Self {
            embedding: table(shape.vocabulary, shape.embedding_size, key.at(0), device),
            character_encoder: shape
                .character_encoder
                .map(|character_encoder| CharacterEncoder::new(character_encoder, key.at(1 << 20), device)),
            stack: Stack::new(shape.stack, key.at(1), device),
            output: Linear::new(features, shape.labels, 0.0, key.at(2), device),
            crf: shape.crf.then(|| Crf::new(shape.labels, key.at(3), device)),
            dropout: shape.dropout,
            embedding_dropout: shape.embedding_dropout,
        }
    }

    /// A score for each label at each step; `noise` is the key of this step's masks.
    ///
    /// # Panics
    /// If the tagger reads letters and the sentences have none.
    pub fn emissions(&self, sentences: &Sentences, noise: Option<Key>) -> Tensor<3> {
        let Sentences { tokens, lengths, characters } = sentences;
        let lengths = Lengths::from(lengths);
        let dropped = |tensor: Tensor<3>, place: u64| dropout(tensor, self.dropout, noise.map(|key| key.place(place)));
        let mut input = embed(&self.embedding, tokens.clone(), self.embedding_dropout, noise);
        if let Some(character_encoder) = &self.character_encoder {
            let characters = characters.as_ref().expect("a tagger that reads letters is given them");
            let noise = noise.map(|key| key.at(key.first() ^ (1 << 62)));
            input = Tensor::cat(vec![input, character_encoder.forward(characters, noise)], 2);
        }
        let outputs = self.stack.read(dropped(input, 2), &lengths, None, noise).outputs;
        without_padding(self.output.forward(dropped(outputs, 3)), &lengths)
    }

    /// Mean negative log-likelihood in nats per token; `labels` is `[batch][length]`.
    ///
    /// # Panics
    /// If the labels do not fit the sentences.
    pub fn loss(&self, sentences: &Sentences, labels: &[Vec<usize>], noise: Option<Key>) -> Tensor<1> {
        let emissions = self.emissions(sentences, noise);
        self.loss_of(emissions, labels)
    }

    /// The same of emissions.
    fn loss_of(&self, emissions: Tensor<3>, labels: &[Vec<usize>]) -> Tensor<1> {
        let tokens: usize = labels.iter().map(Vec::len).sum();
        match &self.crf {
            None => cross_entropy(emissions, labels),
            Some(crf) => crf.log_likelihood(emissions, labels).sum().neg() / tokens as f64,
        }
    }

    /// The most probable labels of each row, and with the true ones, the mean loss as [`Tagger::loss`] has it.
    pub fn decode(&self, sentences: &Sentences, labels: Option<&[Vec<usize>]>) -> (Vec<Vec<usize>>, Option<f64>) {
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
