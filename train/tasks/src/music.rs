//! Music: the next frame of simultaneous notes, as keys of a piano or as voices.

mod predict;
mod settings;
mod training;

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::midi;
use seqzoo_datasets::music::{self, FRAME_NLL, Frame, KEYS, Music, NOTE_ACCURACY, Piece};
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::wording::counted;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{FrameModel, FrameModelShape, FrameOutput};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::skipped::joined;
use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, Item, ModelSpec, Prepared, Task, fields, open, resolve,
    vocabularies,
};
pub use predict::{MusicModel, MusicStream};
pub use settings::{FrameKind, Settings};
pub use training::MusicTraining;

/// Music: the next frame of simultaneous notes, as keys of a piano or as voices.
pub static TASK: Task = Task {
    data: &music::DATA,
    summary: "the next frame of notes of a piece of music",
    metrics: &[FRAME_NLL, Metric::ACCURACY, NOTE_ACCURACY, Metric::LOSS],
    command: Command::Generate,
    shared: &["frame", "voices", "every"],
    averages: false,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

/// Number of keys of a piano.
const KEY_COUNT: usize = (*KEYS.end() - *KEYS.start()) as usize + 1;

/// Number of symbols of a voice: 0 is a rest, the others are the keys.
const SYMBOLS: usize = KEY_COUNT + 1;

fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    let stack = spec.check_recurrent(None)?;
    let invalid = |error: InvalidShape| InvalidValue::new("models", &spec.name, error.reason);
    stack.check_unidirectional("the frames that the model predicts").map_err(invalid)
}

fn prepare(data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
    let Settings { frame, voices, every, .. } = crate::spec::settings(settings);
    let splits = data;
    let mut data = Music::from_records(splits, (frame == FrameKind::Voices).then_some(voices))?.every(every);
    let of_short = data.remove_short(splits).note("pieces", "of fewer than two frames");
    let of_reduced = (data.reduced > 0).then(|| {
        format!(
            "{} with more than {voices} notes: the lowest and the highest notes are kept",
            counted(data.reduced, "frames")
        )
    });
    Ok(Prepared { examples: Box::new(data), note: joined([of_short, of_reduced]) })
}

impl Examples for Music {
    fn digest(&self) -> String {
        Music::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "pieces")
    }

    fn items(&self, split: Split, _: &Table) -> Vec<Item> {
        let item = |piece: &Piece| Item {
            tokens: piece.frames.iter().map(|frame| music::frame_text(frame)).collect(),
            ..Item::default()
        };
        self.split(split).iter().map(item).collect()
    }

    fn output_flag(&self) -> Option<&'static str> {
        Some("--midi music.mid")
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(MusicTraining::new(spec, self)?))
    }
}

/// How frames are encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// What is predicted of a frame.
    pub frame: FrameKind,
    /// Number of voices.
    pub voices: usize,
    /// Every n-th sixteenth is a frame.
    pub every: usize,
    /// Length of a cycle in frames; 0: none.
    pub cycle: usize,
}

impl Codec {
    /// The codec of a model.
    pub fn new(spec: &ModelSpec) -> Self {
        let Settings { frame, voices, every, cycle, .. } = spec.settings();
        Self { frame, voices, every, cycle }
    }

    /// The frames of sixteenths that the model reads, in its form.
    pub fn frames(&self, sixteenths: Vec<Frame>) -> Vec<Frame> {
        let form = |frame| match self.frame {
            FrameKind::Keys => music::chord(frame),
            FrameKind::Voices => music::with_voices(frame, self.voices),
        };
        sixteenths.into_iter().step_by(self.every).map(form).collect()
    }

    /// Frames of the model as a MIDI file, with a track for each voice if the model has voices.
    pub fn midi(&self, frames: &[Frame]) -> Vec<u8> {
        let every = self.every as u32;
        midi::write(frames, every, self.frame == FrameKind::Voices)
    }

    /// Number of inputs that describe the notes of a frame.
    fn notes(&self) -> usize {
        match self.frame {
            FrameKind::Keys => KEY_COUNT,
            FrameKind::Voices => self.voices * SYMBOLS,
        }
    }

    fn input_size(&self) -> usize {
        self.notes() + self.cycle
    }

    /// Symbol of a note.
    fn symbol(note: Option<u8>) -> usize {
        note.map_or(0, |note| usize::from(note - KEYS.start()) + 1)
    }

    /// The note of a key of a piano, counted from the lowest one.
    pub fn key(index: usize) -> Option<u8> {
        KEYS.clone().nth(index)
    }

    /// Appends the inputs from which the frame at `position` is predicted: the notes of the frame before, none before the first one, and the
    /// position in the cycle.
    fn push_input(&self, before: Option<&[Option<u8>]>, position: usize, values: &mut Vec<f32>) {
        let start = values.len();
        values.resize(start + self.input_size(), 0.0);
        let inputs = &mut values[start..];
        for (voice, &note) in before.into_iter().flatten().enumerate() {
            match (self.frame, Self::symbol(note)) {
                (FrameKind::Keys, 0) => {}
                (FrameKind::Keys, symbol) => inputs[symbol - 1] = 1.0,
                (FrameKind::Voices, symbol) => inputs[voice * SYMBOLS + symbol] = 1.0,
            }
        }
        if self.cycle > 0 {
            inputs[self.notes() + position % self.cycle] = 1.0;
        }
    }

    /// Inputs of whole pieces, `[pieces, frames, input_size]`, and the number of frames of each.
    fn inputs(&self, pieces: &[&Piece], device: &Device) -> (Tensor<3>, Vec<usize>) {
        let lengths: Vec<usize> = pieces.iter().map(|piece| piece.frames.len()).collect();
        let (time, size) = (lengths.iter().copied().max().unwrap_or(0), self.input_size());
        let mut values = Vec::with_capacity(pieces.len() * time * size);
        for (row, piece) in pieces.iter().enumerate() {
            for position in 0..piece.frames.len() {
                let before = position.checked_sub(1).map(|before| piece.frames[before].as_slice());
                self.push_input(before, position, &mut values);
            }
            values.resize((row + 1) * time * size, 0.0);
        }
        (Tensor::from_data(TensorData::new(values, [pieces.len(), time, size]), device), lengths)
    }

    /// Which keys sound in each frame, `[frames, keys]`.
    fn sounding(pieces: &[&Piece], device: &Device) -> Tensor<2> {
        let frames = || pieces.iter().flat_map(|piece| &piece.frames);
        let mut values = vec![0f32; frames().count() * KEY_COUNT];
        for (row, frame) in values.chunks_exact_mut(KEY_COUNT).zip(frames()) {
            frame.iter().filter_map(|&note| Self::symbol(note).checked_sub(1)).for_each(|key| row[key] = 1.0);
        }
        let count = values.len() / KEY_COUNT;
        Tensor::from_data(TensorData::new(values, [count, KEY_COUNT]), device)
    }

    /// The symbols of all voices of each frame.
    fn symbols(pieces: &[&Piece]) -> Vec<u32> {
        let notes = pieces.iter().flat_map(|piece| &piece.frames).flatten();
        notes.map(|&note| Self::symbol(note) as u32).collect()
    }
}

impl crate::Codec for Codec {
    type Network = FrameModel;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> FrameModel {
        FrameModel::new(self.shape(spec), spec.seed, device)
    }
}

impl Codec {
    fn shape(&self, spec: &ModelSpec) -> FrameModelShape {
        let Settings { voice_size, .. } = spec.settings();
        let output = match self.frame {
            FrameKind::Keys => FrameOutput::Keys(KEY_COUNT),
            FrameKind::Voices => FrameOutput::Voices { voices: self.voices, symbols: SYMBOLS, hidden_size: voice_size },
        };
        FrameModelShape { stack: spec.stack(self.input_size()), output, dropout: spec.dropout.output }
    }
}

/// The valid time steps of `[batch, time, features]`, row after row: `[steps, features]`.
fn valid_steps(features: Tensor<3>, lengths: &[usize]) -> Tensor<2> {
    let [batch, time, width] = features.dims();
    let features = features.reshape([batch * time, width]);
    if lengths.iter().all(|&length| length == time) {
        return features;
    }
    let indices: Vec<i32> = lengths
        .iter()
        .enumerate()
        .flat_map(|(row, &length)| (0..length).map(move |step| (row * time + step) as i32))
        .collect();
    let count = indices.len();
    let indices = Tensor::<1, burn::tensor::Int>::from_data(TensorData::new(indices, [count]), &features.device());
    features.select(0, indices)
}
