//! Settings of models of music.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::MAX_HIDDEN;

/// The `[task]` section of a recipe for music.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What is predicted of a frame.
    pub frame: FrameKind,
    /// Number of voices, for `frame = "voices"`; of a frame with more notes, the lowest and the highest are kept.
    #[schemars(range(min = 1, max = 16))]
    pub voices: usize,
    /// Every n-th frame is used: with 4, sixteenths become quarter notes.
    #[schemars(range(min = 1, max = 64))]
    pub every: usize,
    /// Length of a cycle in frames, such as a bar: the position in it, counted from the beginning of the piece, is an input of the network. 0:
    /// none.
    #[schemars(range(max = 1024))]
    pub cycle: usize,
    /// In training, pieces are transposed by a random number of semitones, up to this one in both directions, anew in each epoch.
    #[schemars(range(max = 24))]
    pub transpose: usize,
    /// Size of the hidden layer before the notes of the voices.
    #[schemars(range(min = 1, max = MAX_HIDDEN))]
    pub voice_size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { frame: FrameKind::Voices, voices: 4, every: 1, cycle: 0, transpose: 0, voice_size: 128 }
    }
}

/// What is predicted of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FrameKind {
    /// For each of the 88 keys of a piano, whether it sounds.
    Keys,
    /// The note or rest of each voice, the first one first.
    Voices,
}
