//! Training of language models.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use seqzoo_datasets::corpus::Corpus;
use seqzoo_datasets::scores::Scores;
use seqzoo_datasets::text::covering;
use seqzoo_models::InvalidShape;
use seqzoo_models::layers::LayerState;
use seqzoo_models::networks::LanguageModel;
use seqzoo_models::state::NamedState;

use super::predict::score;
use super::rows::{EvaluationRows, Rows};
use super::{Codec, Settings, Window, windows};
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Training of a language model.
#[derive(Debug, Clone)]
pub struct LanguageModelTraining {
    codec: Codec,
    spec: ModelSpec,
    train: Rows,
    validation: EvaluationRows,
    windows: Vec<Window>,
}

impl LanguageModelTraining {
    /// Training of a model, with the vocabulary of the training split.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, corpus: &Corpus) -> Result<Self, InvalidShape> {
        let Settings { level, min_count, max_vocabulary, coverage, k1, k2, .. } = spec.settings();
        let cleaning = corpus.cleaning.clone();
        let train = cleaning.apply(&corpus.train);
        let size = covering(level.tokens(&train), coverage).min(max_vocabulary);
        let vocabulary = level.vocabulary(level.tokens(&train), min_count, size);
        let codec = Codec { cleaning, level, vocabulary };
        let train = Rows::new(&codec.encode(&corpus.train), spec.batch.rows);
        let validation = EvaluationRows::new(&codec, &corpus.validation);
        let windows = windows(train.steps(), k1, k2);
        codec.check(spec)?;
        Ok(Self { codec, spec: spec.clone(), train, validation, windows })
    }
}

impl TrainingTask for LanguageModelTraining {
    type Network = LanguageModel;

    fn network(&self, device: &Device) -> LanguageModel {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    /// One window per batch, in text order.
    fn batches(&self, _: u64) -> Vec<Vec<usize>> {
        (0..self.windows.len()).map(|window| vec![window]).collect()
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn loss(
        &self,
        network: &LanguageModel,
        batch: &[usize],
        recurrent_state: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let Window { start, gradient_from, loss_from, state_at, end } = self.windows[batch[0]];
        let rows = self.train.rows.len();
        // Dropout keys differ by segment, in bits above those of the step.
        let key = keys.batch;
        let segment_key = |number: u64| Some(key.with_first(key.first() ^ (number << 56)));
        let mut states = recurrent_state.map(|recurrent_state| unfold(recurrent_state, network.depth()));
        let mut next_state = None;
        let mut features = Vec::new();
        let cuts = [start, gradient_from, loss_from, state_at, end];
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| (start..=end).contains(cut)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        for (number, cut) in (0u64..).zip(cuts.windows(2)) {
            let (from, to) = (cut[0], cut[1]);
            let lengths = vec![to - from; rows];
            let read = match from < gradient_from {
                true => {
                    let inner = device.clone().inner();
                    let tokens = self.train.tokens(from, to, &inner);
                    let detached = states.map(|states| map(states, Tensor::inner));
                    let read = network.valid().forward(tokens, &lengths, detached, segment_key(number));
                    states = Some(map(read.states, Tensor::from_inner));
                    None
                }
                false => {
                    let tokens = self.train.tokens(from, to, device);
                    let read = network.forward(tokens, &lengths, states, segment_key(number));
                    states = Some(read.states);
                    (from >= loss_from).then_some(read.features)
                }
            };
            features.extend(read);
            if to == state_at {
                next_state = states.clone();
            }
        }
        let features = if features.len() == 1 { features.remove(0) } else { Tensor::cat(features, 1) };
        let next = self.train.next(loss_from, end);
        let predictions = next.len();
        BatchLoss {
            loss: network.mean_loss(features, next),
            weight: predictions as f64,
            tokens: rows * (end - start),
            recurrent_state: next_state.map(fold),
        }
    }

    fn validate(&self, network: &LanguageModel, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        score(network, &self.validation, device, stop)
    }

    fn note(&self) -> Option<String> {
        let (rows, length) = (self.train.rows.len(), self.train.steps() + 1);
        let window = self.spec.settings::<Settings>().k1 + 1;
        let advice = match rows * length / window {
            0 => "use a longer text or a smaller task.k1".to_owned(),
            fit => format!("for longer rows, set training.batch_size to {fit} or less"),
        };
        let note = || {
            format!(
                "the training text is split into {rows} rows of {length} tokens each, fewer than task.k1 + 1 = {window}, which shortens the context; {advice}"
            )
        };
        (length < window).then(note)
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// Applies a function to each tensor of a unidirectional stack's states.
fn map(states: Vec<LayerState>, change: impl Fn(Tensor<2>) -> Tensor<2>) -> Vec<LayerState> {
    let named = |NamedState { hidden, cell }| NamedState { hidden: change(hidden), cell: cell.map(&change) };
    states.into_iter().map(|state| LayerState { forward: named(state.forward), backward: None }).collect()
}

/// Detached states by name.
fn fold(states: Vec<LayerState>) -> RecurrentState {
    let mut recurrent_state = RecurrentState::new();
    for (layer, state) in states.into_iter().enumerate() {
        recurrent_state.insert(format!("{layer}.hidden"), state.forward.hidden.inner());
        recurrent_state.extend(state.forward.cell.map(|cell| (format!("{layer}.cell"), cell.inner())));
    }
    recurrent_state
}

/// Inverse of [`fold`], for a stack of `depth` layers.
fn unfold(recurrent_state: &RecurrentState, depth: usize) -> Vec<LayerState> {
    let tensor = |name: String| recurrent_state.get(&name).cloned().map(Tensor::from_inner);
    let layer = |layer: usize| {
        let hidden = tensor(format!("{layer}.hidden")).expect("a recurrent state has every layer");
        LayerState { forward: NamedState { hidden, cell: tensor(format!("{layer}.cell")) }, backward: None }
    };
    (0..depth).map(layer).collect()
}
