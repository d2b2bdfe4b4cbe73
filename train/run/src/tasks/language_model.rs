//! Language modeling with truncated backpropagation through time (TBPTT).

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::cleaning::Cleaning;
use seqzoo_datasets::corpus::{Corpus, unknown_share};
use seqzoo_datasets::scores::{Evaluation, Metric, Scores};
use seqzoo_datasets::text::{Tokenization, Vocabulary};
use seqzoo_kernels::Execution;
use seqzoo_models::invalid_shape::InvalidShape;
use seqzoo_models::layers::LayerState;
pub use seqzoo_models::networks::TextReader;
use seqzoo_models::networks::{LanguageModel, LanguageModelShape, Network};
use seqzoo_models::state::NamedState;
use seqzoo_random::Key;
use serde::{Deserialize, Serialize};

use super::{BatchLoss, Codec as _, RecurrentState, Task, Trained};
use crate::checkpoint::Files;
use crate::faults;
use crate::recipe::{BpttSettings, ModelSpec};

/// Maximum number of rows of an evaluation, minimum number of predictions per row, and time steps per window.
const EVALUATION_ROWS: usize = 10;
const EVALUATION_LEAST: usize = 1_000;
const EVALUATION_STEPS: usize = 100;

/// Number of context tokens before the first counted prediction of each row of an evaluation but the first.
const CONTEXT: usize = 200;

/// Cleaning, tokenization and vocabulary. With the weights, it is all that inference needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Cleaning of texts before encoding; codecs of older versions have none.
    #[serde(default = "Cleaning::none")]
    pub cleaning: Cleaning,
    /// Level of tokenization.
    pub level: Tokenization,
    /// Vocabulary of tokens.
    pub vocabulary: Vocabulary,
}

/// Window of one TBPTT update, in time steps of the text.
///
/// From the state at `start`, the forward pass runs without gradients to `gradient_from`, then with gradients to `end`.
/// The loss counts from `loss_from`. The next window starts from the state at `carry_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Step of the initial recurrent state.
    pub start: usize,
    /// First step with gradients.
    pub gradient_from: usize,
    /// First step whose loss counts.
    pub loss_from: usize,
    /// Step of the recurrent state that is passed to the next window.
    pub carry_at: usize,
    /// End of the window (exclusive).
    pub end: usize,
}

/// The windows of TBPTT(`k1`, `k2`) over `steps` time steps: an update every `k1` steps that backpropagates over `k2`.
///
/// `k1` = 0 means all steps, `k2` = 0 means `k1`. Williams and Peng, "An efficient gradient-based algorithm for
/// on-line training of recurrent network trajectories", 1990.
pub fn windows(steps: usize, BpttSettings { k1, k2 }: BpttSettings) -> Vec<Window> {
    let k1 = if k1 == 0 { steps } else { k1.min(steps) }.max(1);
    let k2 = if k2 == 0 { k1 } else { k2 };
    let ends: Vec<usize> = (1..=steps.div_ceil(k1)).map(|window| (window * k1).min(steps)).collect();
    // Gradients of an update reach back to the previous update, or further if k2 > k1.
    let updated_at = |index: usize| index.checked_sub(1).map_or(0, |previous| ends[previous]);
    let gradient_from = |index: usize| {
        let back = ends[index].saturating_sub(k2);
        if k2 <= k1 { back.max(updated_at(index)) } else { back }
    };
    let mut start = 0;
    let each = |index: usize| {
        let (end, from) = (ends[index], gradient_from(index));
        let carry_at = if index + 1 < ends.len() { gradient_from(index + 1).min(end) } else { end };
        let window = Window { start, gradient_from: from, loss_from: updated_at(index).max(from), carry_at, end };
        start = carry_at;
        window
    };
    (0..ends.len()).map(each).collect()
}

/// Text split into rows of equal length, which form a batch.
#[derive(Debug, Clone)]
struct Rows {
    rows: Vec<Vec<u32>>,
}

impl Rows {
    /// Splits tokens into `count` rows and drops the remainder; fewer rows if one would have fewer than two tokens.
    fn new(tokens: &[u32], count: usize) -> Self {
        let count = count.min(tokens.len() / 2).max(1);
        let length = tokens.len() / count;
        Self { rows: tokens.chunks_exact(length.max(1)).take(count).map(<[u32]>::to_vec).collect() }
    }

    /// Number of predictions per row.
    fn steps(&self) -> usize {
        self.rows.first().map_or(0, |row| row.len().saturating_sub(1))
    }

    /// Next tokens of the given steps, row by row.
    fn next(&self, from: usize, to: usize) -> Vec<u32> {
        self.rows.iter().flat_map(|row| row[from + 1..=to].iter().copied()).collect()
    }

    fn tokens(&self, from: usize, to: usize, device: &Device) -> Tensor<2, Int> {
        let tokens: Vec<i32> =
            self.rows.iter().flat_map(|row| row[from..to].iter().map(|&token| token as i32)).collect();
        Tensor::from_data(TensorData::new(tokens, [self.rows.len(), to - from]), device)
    }
}

/// Text split into overlapping rows of equal length for evaluation: each token but the first is predicted once, with at
/// least [`CONTEXT`] tokens before it unless the text begins there.
#[derive(Debug, Clone)]
struct EvaluationRows {
    rows: Rows,
    /// First step of each row whose prediction counts.
    counted_from: Vec<usize>,
}

impl EvaluationRows {
    fn new(tokens: &[u32]) -> Self {
        let predictions = tokens.len().saturating_sub(1);
        let count = (predictions / EVALUATION_LEAST).clamp(1, EVALUATION_ROWS);
        let steps = (predictions + (count - 1) * CONTEXT).div_ceil(count);
        let (mut rows, mut counted_from, mut counted) = (Vec::new(), Vec::new(), 0);
        for row in 0..count {
            // The last row starts earlier if it would exceed the text.
            let start = (row * steps.saturating_sub(CONTEXT)).min(predictions - steps);
            rows.push(tokens[start..tokens.len().min(start + steps + 1)].to_vec());
            counted_from.push(counted - start);
            counted = start + steps;
        }
        Self { rows: Rows { rows }, counted_from }
    }

    /// Indices of the counted steps among all steps from `start` to `end`, row by row.
    fn counted(&self, start: usize, end: usize) -> Vec<usize> {
        let of_row = |(row, &from): (usize, &usize)| (from.clamp(start, end)..end).map(move |step| (row, step - start));
        let counted = self.counted_from.iter().enumerate().flat_map(of_row);
        counted.map(|(row, step)| row * (end - start) + step).collect()
    }
}

impl Codec {
    fn shape(&self, spec: &ModelSpec) -> LanguageModelShape {
        LanguageModelShape {
            vocabulary: self.vocabulary.size(),
            stack: spec.stack(),
            tied: spec.recipe.network.tied,
            dropout: spec.recipe.dropout.output,
            embedding_dropout: spec.recipe.dropout.embedding,
        }
    }
}

impl super::Codec for Codec {
    type Network = LanguageModel;

    fn fits(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> LanguageModel {
        LanguageModel::new(self.shape(spec), spec.recipe.training.seed, device)
    }
}

/// Training task of a language model.
#[derive(Debug, Clone)]
pub struct LanguageModelTask {
    codec: Codec,
    spec: ModelSpec,
    train: Rows,
    validation: EvaluationRows,
    windows: Vec<Window>,
}

impl LanguageModelTask {
    /// The task of a recipe's model, with the vocabulary of the training split.
    ///
    /// # Errors
    /// If the model does not fit the data's sizes.
    pub fn new(spec: &ModelSpec, corpus: &Corpus) -> Result<Self, InvalidShape> {
        let recipe = &spec.recipe;
        let level = recipe.text.level;
        let cleaning = Cleaning::default();
        let train = cleaning.apply(&corpus.train);
        let vocabulary = Vocabulary::build(level.tokens(&train), recipe.text.min_count, recipe.text.max_vocabulary);
        let codec = Codec { cleaning, level, vocabulary };
        let train = Rows::new(&codec.encode(&corpus.train), recipe.training.batch_size);
        let validation = EvaluationRows::new(&codec.encode(&corpus.validation));
        let windows = windows(train.steps(), recipe.bptt);
        codec.fits(spec)?;
        Ok(Self { codec, spec: spec.clone(), train, validation, windows })
    }
}

impl Codec {
    /// Tokens of a text.
    pub fn tokens(&self, text: &str) -> Vec<String> {
        self.level.tokens(&self.cleaning.apply(text)).collect()
    }

    /// Token ids of a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.vocabulary.encode(self.level, &self.cleaning.apply(text))
    }
}

impl Task for LanguageModelTask {
    type Network = LanguageModel;

    fn network(&self, device: &Device) -> LanguageModel {
        self.spec.recipe.begin(self.codec.network(&self.spec, device))
    }

    fn set_execution(&self, network: &mut Self::Network, execution: Execution) {
        network.set_execution(execution);
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
        noise: Key,
        device: &Device,
    ) -> BatchLoss {
        let Window { start, gradient_from, loss_from, carry_at, end } = self.windows[batch[0]];
        let rows = self.train.rows.len();
        // Dropout keys differ by segment, in the bits above those that count steps.
        let segment_key = |number: u64| Some(noise.at(noise.first() ^ (number << 56)));
        let mut states = recurrent_state.map(|recurrent_state| unfold(recurrent_state, network.depth()));
        let mut passed_on = None;
        let mut features = Vec::new();
        let cuts = [start, gradient_from, loss_from, carry_at, end];
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
                    let read = network.valid().read(tokens, &lengths, detached, segment_key(number));
                    states = Some(map(read.states, Tensor::from_inner));
                    None
                }
                false => {
                    let tokens = self.train.tokens(from, to, device);
                    let read = network.read(tokens, &lengths, states, segment_key(number));
                    states = Some(read.states);
                    (from >= loss_from).then_some(read.features)
                }
            };
            features.extend(read);
            if to == carry_at {
                passed_on = states.clone();
            }
        }
        let mut features = if features.len() == 1 { features.remove(0) } else { Tensor::cat(features, 1) };
        if let Some(value) = faults::value("activation") {
            features = features * value;
        }
        let next = self.train.next(loss_from, end);
        let predictions = next.len();
        BatchLoss {
            loss: network.mean_loss(features, next),
            weight: predictions as f64,
            tokens: rows * (end - start),
            recurrent_state: passed_on.map(fold),
        }
    }

    fn validate(&self, network: &LanguageModel, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        score(network, &self.validation, device, stop)
    }

    fn note(&self) -> Option<String> {
        let (rows, length) = (self.train.rows.len(), self.train.steps() + 1);
        let window = self.spec.recipe.bptt.k1 + 1;
        let advice = match rows * length / window {
            0 => "use a longer text or a smaller bptt.k1".to_owned(),
            fit => format!("for longer rows, set training.batch_size to {fit} or less"),
        };
        let note = || {
            format!(
                "{rows} rows of {length} training tokens each, fewer than bptt.k1 + 1 = {window}, shorten the context; {advice}"
            )
        };
        (length < window).then(note)
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// A trained language model with its codec.
pub type TextModel = Trained<Codec>;

impl TextModel {
    /// The codec.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Processes a text token by token.
    pub fn reader(&self) -> TextReader<'_> {
        self.network.reader(&self.device)
    }

    /// Metrics of next-token prediction on a text.
    pub fn evaluate(&self, text: &str) -> Evaluation {
        let tokens = self.codec.encode(text);
        let rows = EvaluationRows::new(&tokens);
        let all = score(&self.network, &rows, &self.device, &|| false).expect("never stopped");
        Evaluation { unknown: unknown_share(&tokens), ..Evaluation::of(all) }
    }

    /// Metrics of the baselines on the same tokens.
    pub fn baselines(&self, corpus: &Corpus, split: Split) -> Vec<(&'static str, Evaluation)> {
        corpus.baselines(split, self.codec.level, &self.codec.vocabulary)
    }
}

/// Metrics on rows, window by window, with the recurrent state passed on; `None` if stopped.
fn score(network: &LanguageModel, text: &EvaluationRows, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
    let (mut correct, mut loss, mut examples, mut states) = (0.0, 0.0, 0, None);
    let rows = &text.rows;
    let count = rows.rows.len();
    for window in windows(rows.steps(), BpttSettings { k1: EVALUATION_STEPS, k2: 0 }) {
        if stop() {
            return None;
        }
        let Window { start, end, .. } = window;
        let read = network.read(rows.tokens(start, end, device), &vec![end - start; count], states, None);
        let (mut features, mut next) = (read.features, rows.next(start, end));
        let counted = text.counted(start, end);
        if counted.len() < next.len() {
            features = select(features, &counted);
            next = counted.iter().map(|&index| next[index]).collect();
        }
        let (mean, hits) = network.grade(features, &next);
        correct += hits as f64;
        loss += mean * next.len() as f64;
        examples += next.len();
        states = Some(read.states);
    }
    let count = examples.max(1) as f64;
    Some(Scores::new(examples, [(Metric::Accuracy, correct / count), (Metric::Loss, loss / count)]))
}

/// Selects steps of `[rows, time, features]` by their row-major index: `[1, steps, features]`.
fn select(features: Tensor<3>, indices: &[usize]) -> Tensor<3> {
    let [rows, time, width] = features.dims();
    let selected: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
    let selected = Tensor::<1, Int>::from_data(TensorData::new(selected, [indices.len()]), &features.device());
    features.reshape([rows * time, width]).select(0, selected).reshape([1, indices.len(), width])
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_loss_counts_once_unless_k2_is_smaller_than_k1(
            steps in 1..60usize, k1 in 0..70usize, k2 in 0..70usize
        ) {
            prop_assume!(k1 > 0 || k2 == 0);
            let all = windows(steps, BpttSettings { k1, k2 });
            let every = if k1 == 0 { steps } else { k1.min(steps) };
            prop_assert_eq!(all.last().unwrap().end, steps);
            let mut counted = 0;
            for (index, window) in all.iter().enumerate() {
                let Window { start, gradient_from, loss_from, carry_at, end } = *window;
                prop_assert!(start <= gradient_from && gradient_from <= loss_from && loss_from < end);
                prop_assert!((start..=end).contains(&carry_at));
                prop_assert_eq!(end, ((index + 1) * every).min(steps));
                // Gradients span k2 steps, limited by the start or, if windows do not overlap, by the previous update.
                let last = if index == 0 { 0 } else { all[index - 1].end };
                let least = if k2 == 0 || k2 <= every { last } else { 0 };
                prop_assert_eq!(gradient_from, end.saturating_sub(if k2 == 0 { every } else { k2 }).max(least));
                if let Some(next) = all.get(index + 1) {
                    prop_assert_eq!(next.start, carry_at);
                }
                counted += end - loss_from;
            }
            if k2 == 0 || k2 >= every {
                prop_assert_eq!(counted, steps);
            }
        }
    }

    proptest! {
        #[test]
        fn evaluation_predicts_every_token_but_the_first_once_with_context(length in 0..25_000usize) {
            let tokens: Vec<u32> = (0..length as u32).collect();
            let text = EvaluationRows::new(&tokens);
            prop_assert!(text.rows.rows.iter().all(|row| row.len() == text.rows.rows[0].len()));
            prop_assert!(text.rows.rows.len() == 1 || text.rows.rows[0].len() > EVALUATION_LEAST);
            let mut predicted: Vec<u32> = Vec::new();
            for (row, &from) in text.rows.rows.iter().zip(&text.counted_from) {
                prop_assert!(from >= CONTEXT || row.first() == Some(&0) || row.is_empty());
                predicted.extend(row.get(from + 1..).unwrap_or_default());
            }
            prop_assert_eq!(predicted, tokens.get(1..).unwrap_or_default());
            // Windows count the same predictions.
            let mut counted: Vec<u32> = Vec::new();
            for Window { start, end, .. } in windows(text.rows.steps(), BpttSettings { k1: EVALUATION_STEPS, k2: 0 }) {
                let next = text.rows.next(start, end);
                counted.extend(text.counted(start, end).into_iter().map(|index| next[index]));
            }
            counted.sort_unstable();
            prop_assert_eq!(counted, tokens.get(1..).unwrap_or_default());
        }
    }

    #[test]
    fn evaluation_metrics_do_not_depend_on_the_rows() {
        let text: String = (0..3_500u32).map(|i| char::from(b'a' + (i * i % 19 % 7) as u8)).collect();
        let corpus = Corpus { train: text.clone(), validation: text, test: String::new() };
        let recipe = crate::settings::Settings::read("sentences").unwrap().recipe;
        let task = LanguageModelTask::new(&recipe.spec("lstm").unwrap(), &corpus).unwrap();
        let device = crate::devices().remove(0).1;
        let network = task.network(&device);
        let whole =
            EvaluationRows { rows: Rows { rows: vec![task.codec.encode(&corpus.train)] }, counted_from: vec![0] };
        assert_eq!((task.validation.rows.rows.len(), whole.rows.steps()), (3, 3_499));
        let of = |text: &EvaluationRows| score(&network, text, &device, &|| false).unwrap();
        let (cut, whole) = (of(&task.validation), of(&whole));
        assert_eq!((cut.examples, whole.examples), (3_499, 3_499));
        for metric in [Metric::Loss, Metric::Accuracy] {
            let (cut, whole) = (cut.get(metric).unwrap(), whole.get(metric).unwrap());
            assert!((cut - whole).abs() < 1e-5, "{cut} is not {whole}");
        }
    }

    #[test]
    fn windows_of_typical_tbptt_settings() {
        let of = |k1, k2| -> Vec<[usize; 5]> {
            let each = |w: Window| [w.start, w.gradient_from, w.loss_from, w.carry_at, w.end];
            windows(6, BpttSettings { k1, k2 }).into_iter().map(each).collect()
        };
        assert_eq!(of(0, 0), [[0, 0, 0, 6, 6]]);
        assert_eq!(of(6, 6), of(0, 0));
        assert_eq!(of(1, 6)[..3], [[0, 0, 0, 0, 1], [0, 0, 1, 0, 2], [0, 0, 2, 0, 3]]);
        assert_eq!(of(3, 1), [[0, 2, 2, 3, 3], [3, 5, 5, 6, 6]]);
        assert_eq!(of(2, 3), [[0, 0, 0, 1, 2], [1, 1, 2, 3, 4], [3, 3, 4, 6, 6]]);
        assert_eq!(of(3, 3), [[0, 0, 0, 3, 3], [3, 3, 3, 6, 6]]);
        assert_eq!(of(4, 0), [[0, 0, 0, 4, 4], [4, 4, 4, 6, 6]]);
    }
}
