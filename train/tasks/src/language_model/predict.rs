//! Metrics of trained language models.

use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::corpus::{Corpus, add_derived, unknown_share};
use seqzoo_datasets::scores::{Evaluation, Metric, Scores};
use seqzoo_datasets::uncertainty::Resampling;
use seqzoo_models::networks::LanguageModel;

use super::rows::{EVALUATION_STEPS, EvaluationRows};
use super::{Codec, LanguageModelStream, Window, windows};
use crate::{Examples, PredictError, Predictor, TrainedModel, examples_as};

/// A trained language model with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::corpus::Corpus;
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::language_model::{TASK, TextModel};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let data = Corpus { train: "to be or not to be ".repeat(9), ..Corpus::default() };
/// let spec = ModelSpec::new("lstm-8", &TASK, "level = 'characters'".parse()?)?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = TextModel::open(&spec, &training.files(), &weights, &device)?;
/// let (mut stream, mut scores) = (model.stream(), Vec::new());
/// for token in model.codec().encode("to b") {
///     stream.step(token, &mut scores); // scores of the next token
/// }
/// assert_eq!(scores.len(), model.codec().vocabulary.size());
/// # Ok(()) }
/// ```
pub type TextModel = TrainedModel<Codec>;

impl TextModel {
    /// The codec.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Processes a text token by token.
    pub fn stream(&self) -> LanguageModelStream<'_> {
        self.network.stream(&self.device)
    }

    /// Metrics of next-token prediction on a text.
    pub fn evaluate_text(&self, text: &str) -> Evaluation {
        let rows = EvaluationRows::new(&self.codec, text);
        let parts = passages(&self.network, &rows, &self.device, &|| false).expect("never stopped");
        let score = |indices: &mut dyn Iterator<Item = usize>| rows.scores(indices.map(|index| &parts[index]));
        let all = score(&mut (0..parts.len()));
        let evaluation = Evaluation { unknown: unknown_share(&self.codec.encode(text)), ..Evaluation::of(all) };
        let count = parts.len();
        evaluation.with_resampling(Resampling::of_blocks(count, 1, move |indices: &mut dyn Iterator<Item = usize>| {
            rows.scores(indices.map(|index| &parts[index])).named()
        }))
    }
}

impl Predictor for TextModel {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        Ok(self.evaluate_text(examples_as::<Corpus>(examples)?.split(split)))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples_as::<Corpus>(examples)?.baselines(split, self.codec.level, &self.codec.vocabulary))
    }
}

/// Metrics on rows; `None` if stopped.
pub(super) fn score(
    network: &LanguageModel,
    text: &EvaluationRows,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Scores> {
    passages(network, text, device, stop).map(|passages| text.scores(passages.iter()))
}

/// Predictions of the tokens of a passage of each row.
struct Passage {
    predictions: usize,
    correct: usize,
    /// Sum of the losses.
    loss: f64,
}

impl EvaluationRows {
    fn scores<'a>(&self, passages: impl Iterator<Item = &'a Passage>) -> Scores {
        let (mut examples, mut correct, mut loss) = (0, 0, 0.0);
        for passage in passages {
            (examples, correct, loss) =
                (examples + passage.predictions, correct + passage.correct, loss + passage.loss);
        }
        let count = examples.max(1) as f64;
        let metrics = [(Metric::ACCURACY, correct as f64 / count), (Metric::LOSS, loss / count)];
        let mut scores = Scores::new(examples, metrics);
        add_derived(&mut scores, self.characters);
        scores
    }
}

/// Predictions window by window, with the recurrent state passed on; `None` if stopped.
fn passages(
    network: &LanguageModel,
    text: &EvaluationRows,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Passage>> {
    let (mut passages, mut states) = (Vec::new(), None);
    let rows = &text.rows;
    let count = rows.rows.len();
    for window in windows(rows.steps(), EVALUATION_STEPS, 0) {
        if stop() {
            return None;
        }
        let Window { start, end, .. } = window;
        let read = network.forward(rows.tokens(start, end, device), &vec![end - start; count], states, None);
        let (mut features, mut next) = (read.features, rows.next(start, end));
        let counted = text.counted(start, end);
        if counted.len() < next.len() {
            features = select(features, &counted);
            next = counted.iter().map(|&index| next[index]).collect();
        }
        let (mean, correct) = network.evaluate(features, &next);
        passages.push(Passage { predictions: next.len(), correct, loss: mean * next.len() as f64 });
        states = Some(read.states);
    }
    Some(passages)
}

/// Selects steps of `[rows, time, features]` by their row-major index: `[1, steps, features]`.
fn select(features: Tensor<3>, indices: &[usize]) -> Tensor<3> {
    let [rows, time, width] = features.dims();
    let selected: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
    let selected = Tensor::<1, Int>::from_data(TensorData::new(selected, [indices.len()]), &features.device());
    features.reshape([rows * time, width]).select(0, selected).reshape([1, indices.len(), width])
}

#[cfg(test)]
mod tests {
    use super::super::LanguageModelTraining;
    use super::super::rows::Rows;
    use super::*;
    use crate::{Codec as _, TrainingTask as _, test_spec};
    use seqzoo_datasets::corpus::{BITS_PER_CHARACTER, PERPLEXITY};
    use seqzoo_kernels::devices;

    #[test]
    fn evaluation_metrics_do_not_depend_on_the_rows() {
        let text: String = (0..3_500u32).map(|i| char::from(b'a' + (i * i % 19 % 7) as u8)).collect();
        let corpus = Corpus { train: text.clone(), validation: text, ..Corpus::default() };
        let spec = test_spec("language-model", "level = \"characters\"\nk1 = 50", "lstm-8");
        let task = LanguageModelTraining::new(&spec, &corpus).unwrap();
        let device = devices().remove(0).1;
        let network = task.network(&device);
        let codec: Codec = serde_json::from_slice(&task.files()[Codec::FILE]).unwrap();
        let validation = EvaluationRows::new(&codec, &corpus.validation);
        let rows = Rows { rows: vec![codec.encode(&corpus.train)] };
        let whole = EvaluationRows { rows, counted_from: vec![0], characters: 2.0 };
        assert_eq!((validation.rows.rows.len(), whole.rows.steps()), (3, 3_499));
        let of = |text: &EvaluationRows| score(&network, text, &device, &|| false).unwrap();
        let (cut, whole) = (of(&validation), of(&whole));
        assert_eq!((cut.examples, whole.examples), (3_499, 3_499));
        for metric in [Metric::LOSS, Metric::ACCURACY] {
            let (cut, whole) = (cut.get(metric).unwrap(), whole.get(metric).unwrap());
            assert!((cut - whole).abs() < 1e-5, "{cut} is not {whole}");
        }
        // Of characters, each prediction is one.
        let (bits, loss) = (cut.get(BITS_PER_CHARACTER).unwrap(), cut.get(Metric::LOSS).unwrap());
        assert!((bits - loss / 2f64.ln()).abs() < 1e-12 && (cut.get(PERPLEXITY).unwrap() - loss.exp()).abs() < 1e-12);
        assert!((whole.get(BITS_PER_CHARACTER).unwrap() - bits / 2.0).abs() < 1e-5);
    }
}
