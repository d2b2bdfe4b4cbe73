//! Metrics of trained models of music, and the next frame of a piece.

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::batch;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::music::{self, FRAME_NLL, FramePrediction, Music, NOTE_ACCURACY, Piece};
use seqzoo_datasets::scores::{Evaluation, Metric, Scores};
use seqzoo_models::layers::LayerState;
use seqzoo_models::networks::FrameModel;

use super::{Codec, FrameKind, KEY_COUNT, SYMBOLS, valid_steps};
use crate::{Examples, PredictError, Predictor, TrainedModel, batches, evaluation_limits, examples_as};

/// A trained model of music with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::music::{Music, Piece, parse_frame};
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::music::{MusicModel, TASK};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let frames = ["72,60", "74,60", "76,-"].map(parse_frame).into_iter().collect::<Result<_, _>>()?;
/// let data = Music { train: vec![Piece { frames }], ..Music::default() };
/// let spec = ModelSpec::new("lstm-8", &TASK, "voices = 2".parse()?)?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = MusicModel::open(&spec, &training.files(), &weights, &device)?;
/// let mut stream = model.stream();
/// stream.step(&data.train[0].frames[0]);
/// assert_eq!(stream.voice_scores(0, &[]).len(), 89); // a rest, and the keys of a piano
/// # Ok(()) }
/// ```
pub type MusicModel = TrainedModel<Codec>;

impl MusicModel {
    /// The codec.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Starts a new piece.
    pub fn stream(&self) -> MusicStream<'_> {
        let mut stream = MusicStream { model: self, states: None, features: None, position: 0 };
        stream.read(None);
        stream
    }
}

/// A model that reads a piece frame by frame.
#[derive(Debug)]
pub struct MusicStream<'a> {
    model: &'a MusicModel,
    states: Option<Vec<LayerState>>,
    /// Features of the next frame, `[1, output_size]`.
    features: Option<Tensor<2>>,
    /// Number of frames read.
    position: usize,
}

impl MusicStream<'_> {
    /// Reads the next frame.
    pub fn step(&mut self, frame: &[Option<u8>]) {
        self.position += 1;
        self.read(Some(frame));
    }

    fn read(&mut self, before: Option<&[Option<u8>]>) {
        let MusicModel { codec, network, device, .. } = self.model;
        let mut values = Vec::new();
        codec.push_input(before, self.position, &mut values);
        let size = values.len();
        let input = Tensor::from_data(TensorData::new(values, [1, 1, size]), device);
        let (features, states) = network.forward(input, &[1], self.states.take(), None);
        self.states = Some(states);
        self.features = Some(valid_steps(features, &[1]));
    }

    fn features(&self) -> Tensor<2> {
        self.features.clone().expect("a stream has read its start")
    }

    /// Logits of the keys of the next frame, the lowest first.
    ///
    /// # Panics
    /// If the model has voices.
    pub fn key_logits(&self) -> Vec<f32> {
        host(self.model.network.key_logits(self.features()))
    }

    /// Log probabilities of the symbols of a voice in the next frame, given the symbols of the voices before it: 0 rests, the others are
    /// the keys of a piano.
    ///
    /// # Panics
    /// If the model has keys, or there are not `voice` symbols.
    pub fn voice_scores(&self, voice: usize, symbols: &[usize]) -> Vec<f32> {
        assert_eq!(symbols.len(), voice, "the symbols of all earlier voices");
        let all: Vec<u32> =
            (0..self.model.codec.voices).map(|voice| symbols.get(voice).map_or(0, |&symbol| symbol as u32)).collect();
        let scores = host(self.model.network.voice_log_probabilities(self.features(), &all));
        scores[voice * SYMBOLS..][..SYMBOLS].to_vec()
    }
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().expect("a computed tensor can be read")
}

impl Predictor for MusicModel {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let pieces: Vec<&Piece> = examples_as::<Music>(examples)?.split(split).iter().collect();
        let found = evaluate(&self.codec, &self.network, &pieces, &self.device, &|| false).expect("never stopped");
        let mut evaluation = music::evaluation(found, accuracy(&self.codec));
        let loss = evaluation.all.get(FRAME_NLL).unwrap_or(f64::NAN);
        evaluation.all.insert(Metric::LOSS, loss);
        Ok(evaluation)
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        let data = examples_as::<Music>(examples)?;
        Ok(match self.codec.frame {
            FrameKind::Keys => data.key_baselines(split),
            FrameKind::Voices => data.voice_baselines(split),
        })
    }
}

/// The metric of right decisions.
fn accuracy(codec: &Codec) -> Metric {
    match codec.frame {
        FrameKind::Keys => NOTE_ACCURACY,
        FrameKind::Voices => Metric::ACCURACY,
    }
}

/// Metrics of predictions, the loss among them.
pub(super) fn scores(codec: &Codec, found: &[Vec<FramePrediction>]) -> Scores {
    let mut scores = music::scores(found.iter().flatten().copied(), accuracy(codec));
    scores.insert(Metric::LOSS, scores.get(FRAME_NLL).unwrap_or(f64::NAN));
    scores
}

/// Predictions of all frames of each piece but its first; `None` if stopped.
pub(super) fn evaluate(
    codec: &Codec,
    network: &FrameModel,
    pieces: &[&Piece],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<FramePrediction>>> {
    let lengths: Vec<usize> = pieces.iter().map(|piece| piece.frames.len()).collect();
    let batches = batch::sorted(&lengths, &lengths, evaluation_limits(16));
    let compute = |network: &FrameModel, batch: &[usize]| {
        let pieces: Vec<&Piece> = batch.iter().map(|&index| pieces[index]).collect();
        let (inputs, lengths) = codec.inputs(&pieces, device);
        let features = valid_steps(network.forward(inputs, &lengths, None, None).0, &lengths);
        let (outputs, size) = match codec.frame {
            FrameKind::Keys => (host(network.key_logits(features)), KEY_COUNT),
            FrameKind::Voices => {
                let scores = network.voice_log_probabilities(features, &Codec::symbols(&pieces));
                (host(scores), codec.voices * SYMBOLS)
            }
        };
        let mut outputs = outputs.chunks_exact(size);
        pieces.iter().map(|piece| predictions(codec, piece, outputs.by_ref())).collect::<Vec<_>>()
    };
    let found = batches::each(network, &batches, device, compute, stop)?;
    let mut ordered = vec![Vec::new(); pieces.len()];
    batches.iter().flatten().zip(found.into_iter().flatten()).for_each(|(&index, found)| ordered[index] = found);
    Some(ordered)
}

/// Predictions of the frames of a piece but its first, from the outputs for all of its frames.
fn predictions<'a>(codec: &Codec, piece: &Piece, outputs: impl Iterator<Item = &'a [f32]>) -> Vec<FramePrediction> {
    let outputs = outputs.take(piece.frames.len()).enumerate();
    let all = outputs.map(|(index, outputs)| {
        let frame = &piece.frames[index];
        let is_changed = index > 0 && piece.frames[index - 1] != *frame;
        let mut found = FramePrediction { is_changed, ..FramePrediction::default() };
        match codec.frame {
            FrameKind::Keys => {
                let mut sounds = [false; KEY_COUNT];
                frame.iter().filter_map(|&note| Codec::symbol(note).checked_sub(1)).for_each(|key| sounds[key] = true);
                for (&logit, sounds) in outputs.iter().zip(sounds) {
                    let logit = f64::from(logit);
                    // −ln σ(z) or −ln σ(−z), without overflow.
                    let signed = if sounds { -logit } else { logit };
                    found.nll += signed.max(0.0) + (-signed.abs()).exp().ln_1p();
                    found.right += usize::from(sounds && logit >= 0.0);
                    found.decisions += usize::from(sounds || logit >= 0.0);
                }
            }
            FrameKind::Voices => {
                for (scores, &note) in outputs.chunks_exact(SYMBOLS).zip(frame) {
                    let symbol = Codec::symbol(note);
                    found.nll -= f64::from(scores[symbol]);
                    found.right += usize::from(scores.iter().all(|&score| score <= scores[symbol]));
                    found.decisions += 1;
                }
            }
        }
        found
    });
    all.collect::<Vec<_>>().split_off(1.min(piece.frames.len()))
}
