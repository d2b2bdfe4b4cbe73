//! Generation of music: sampling the next frame from a model's scores.

use seqzoo_datasets::music::Frame;
use seqzoo_random::{Key, Purpose, RngExt};
use seqzoo_tasks::music::{Codec, FrameKind, MusicModel, MusicStream};

use super::{Sampling, choose};

/// Generated music: an endless iterator over frames. Notes of the voices are sampled one after another, as [`Sampling`] describes; the keys of a
/// piano independently, with the probability σ(logit / temperature), and at temperature 0 those from one half.
#[derive(Debug)]
pub struct GeneratedMusic<'a> {
    codec: &'a Codec,
    stream: MusicStream<'a>,
    sampling: Sampling,
    generated: u64,
}

impl<'a> GeneratedMusic<'a> {
    /// Starts after the frames of a piece, which may be none.
    pub(crate) fn after(model: &'a MusicModel, frames: &[Frame], sampling: Sampling) -> Self {
        let mut stream = model.stream();
        frames.iter().for_each(|frame| stream.step(frame));
        Self { codec: model.codec(), stream, sampling, generated: 0 }
    }

    /// The notes of the keys that sound, the highest first.
    fn keys(&self, key: Key) -> Frame {
        let Sampling { temperature, .. } = self.sampling;
        let mut stream = key.stream();
        let mut sounds = |logit: f64| {
            // Drawn for every key, so that temperatures are compared on the same draws.
            let draw = stream.random::<f64>();
            if temperature == 0.0 { logit > 0.0 } else { draw < 1.0 / (1.0 + (-logit / temperature).exp()) }
        };
        let logits = self.stream.key_logits();
        let sounding: Vec<bool> = logits.iter().map(|&logit| sounds(f64::from(logit))).collect();
        let mut notes: Frame = (0..sounding.len()).rev().filter(|&index| sounding[index]).map(Codec::key).collect();
        if notes.is_empty() {
            notes.push(None);
        }
        notes
    }

    fn voices(&self, key: Key) -> Option<Frame> {
        let mut symbols = Vec::new();
        for voice in 0..self.codec.voices {
            let scores = self.stream.voice_scores(voice, &symbols);
            let draw = key.offset(voice as u64).stream().random::<f64>();
            symbols.push(choose(&scores, |_| true, self.sampling, draw)?);
        }
        Some(symbols.into_iter().map(|symbol| symbol.checked_sub(1).and_then(Codec::key)).collect())
    }
}

impl Iterator for GeneratedMusic<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let key = Key::new(self.sampling.seed, Purpose::Generation).with_first(self.generated);
        let frame = match self.codec.frame {
            FrameKind::Keys => self.keys(key),
            FrameKind::Voices => self.voices(key)?,
        };
        self.generated += 1;
        self.stream.step(&frame);
        Some(frame)
    }
}
