//! Datasets of music: pieces as frames of simultaneous notes, one frame per sixteenth note.

use std::ops::RangeInclusive;

use crate::DataError;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::records::{LeftOut, Records, Split};
use crate::scores::{Evaluation, Group, Metric, Scores, group, metrics};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::uncertainty::Resampling;

mod baselines;

/// Data for models of music.
pub static DATA: DataSpec = DataSpec {
    task: "music",
    roles: &[Role::required(
        "notes",
        Content::Tags,
        "Column of the frames of a piece, one per sixteenth note: MIDI numbers of simultaneous notes, as in `74,70,65,58 74,70,-,58`, where - \
         is a voice that rests.",
    )],
    fields: &[],
    default_format: Some("piano-rolls"),
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every", "column"],
    split_note: "whole pieces are assigned to splits",
};

metrics! {
    /// Negative log-likelihood of a frame given the frames before it, in nats: the sum over the keys of a piano, or over the voices. The first
    /// frame of a piece is not counted.
    pub const FRAME_NLL = Lower("nll-per-frame", "nats");

    /// Notes that are predicted and sound, in proportion to those that are predicted or sound, where a key is predicted from a probability of
    /// one half.
    pub const NOTE_ACCURACY = Higher("note-accuracy", "");
}

/// MIDI numbers of the 88 keys of a piano.
pub const KEYS: RangeInclusive<u8> = 21..=108;

/// The notes of the voices in one frame, as MIDI numbers; `None` rests.
pub type Frame = Vec<Option<u8>>;

/// A piece: its frames, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// The frames; each has a place for every voice.
    pub frames: Vec<Frame>,
}

impl Piece {
    /// The lowest and the highest note; `None` if all voices rest.
    pub fn range(&self) -> Option<(u8, u8)> {
        let notes = || self.frames.iter().flatten().flatten().copied();
        notes().min().zip(notes().max())
    }

    /// The piece without all but every n-th frame.
    pub fn every(&self, n: usize) -> Self {
        Self { frames: self.frames.iter().step_by(n.max(1)).cloned().collect() }
    }
}

/// Parses a frame, as in `74,70,-,58`.
///
/// # Errors
/// If an entry is neither a key of a piano nor a rest.
pub fn parse_frame(text: &str) -> Result<Frame, String> {
    let note = |entry: &str| match entry.trim() {
        "" | "-" => Ok(None),
        entry => match entry.parse::<u8>() {
            Ok(number) if KEYS.contains(&number) => Ok(Some(number)),
            _ => Err(format!(
                "note {entry:?}: expected a MIDI number from {} to {}, the keys of a piano, or - for a rest",
                KEYS.start(),
                KEYS.end()
            )),
        },
    };
    text.split(',').map(note).collect()
}

/// A frame in the form that [`parse_frame`] reads.
pub fn frame_text(frame: &[Option<u8>]) -> String {
    let note = |note: &Option<u8>| note.map_or_else(|| "-".to_owned(), |number| number.to_string());
    frame.iter().map(note).collect::<Vec<_>>().join(",")
}

/// A loaded dataset of music.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Music {
    /// Training split.
    pub train: Vec<Piece>,
    /// Validation split.
    pub validation: Vec<Piece>,
    /// Test split; empty if there is none.
    pub test: Vec<Piece>,
    /// Frames with more notes than voices, of which the lowest note and the highest ones are kept.
    pub reduced: usize,
}

impl Music {
    /// Converts records, using the column `notes`. Every frame has `voices` voices, of which missing ones rest; `None`: it is a
    /// [`chord`], of any number of notes.
    ///
    /// # Errors
    /// If the column is missing, or a frame has an invalid note.
    pub fn from_records(splits: &Splits, voices: Option<usize>) -> Result<Self, DataError> {
        let column = splits.columns.need("notes")?;
        let mut reduced = 0;
        let mut pieces = |records: &Records| -> Result<Vec<Piece>, DataError> {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let frames = records.lists("notes", column)?;
            let mut frame = |row: usize, index: usize, text: &String| {
                let notes = parse_frame(text)
                    .map_err(|detail| records.item_error(row, index, format!("frame {}: {detail}", index + 1)))?;
                let Some(voices) = voices else { return Ok(chord(notes)) };
                reduced += usize::from(notes.iter().flatten().count() > voices);
                Ok(with_voices(notes, voices))
            };
            let piece = |(row, texts): (usize, &Vec<String>)| {
                let frames = texts.iter().enumerate().map(|(index, text)| frame(row, index, text));
                Ok(Piece { frames: frames.collect::<Result<_, DataError>>()? })
            };
            frames.iter().enumerate().map(piece).collect()
        };
        let [train, validation, test] = [&splits.train, &splits.validation, &splits.test].map(&mut pieces);
        Ok(Self { train: train?, validation: validation?, test: test?, reduced })
    }

    /// The pieces of a split.
    pub fn split(&self, split: Split) -> &[Piece] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// The same pieces without all but every n-th frame.
    pub fn every(&self, n: usize) -> Self {
        let thinned = |pieces: &[Piece]| pieces.iter().map(|piece| piece.every(n)).collect();
        let [train, validation, test] = [&self.train, &self.validation, &self.test].map(|pieces| thinned(pieces));
        Self { train, validation, test, reduced: self.reduced }
    }

    /// Removes the pieces of fewer than two frames, which have nothing to predict; `splits` are the records that they were converted from.
    pub fn remove_short(&mut self, splits: &Splits) -> LeftOut {
        let mut removed = LeftOut::default();
        for (pieces, split) in [&mut self.train, &mut self.validation, &mut self.test].into_iter().zip(Split::ALL) {
            let short = (0..pieces.len()).filter(|&row| pieces[row].frames.len() < 2);
            short.for_each(|row| removed.add(splits.split(split), row));
            pieces.retain(|piece| piece.frames.len() >= 2);
        }
        removed
    }

    /// SHA-256 digest of the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        for split in [&self.train, &self.validation] {
            digest.number(split.len() as u64);
            for piece in split {
                digest.number(piece.frames.len() as u64);
                piece.frames.iter().for_each(|frame| digest.text(&frame_text(frame)));
            }
        }
        digest.finish()
    }
}

/// The notes of a frame whatever their voices, each once and the highest first; a rest if there are none.
pub fn chord(frame: Frame) -> Frame {
    let mut notes: Vec<u8> = frame.into_iter().flatten().collect();
    notes.sort_unstable_by(|a, b| b.cmp(a));
    notes.dedup();
    if notes.is_empty() { vec![None] } else { notes.into_iter().map(Some).collect() }
}

/// A frame with a number of voices: surplus notes are left out, except for the lowest and the highest ones, and missing voices rest.
pub fn with_voices(mut frame: Frame, voices: usize) -> Frame {
    if frame.len() > voices {
        let mut notes: Vec<u8> = frame.into_iter().flatten().collect();
        notes.sort_unstable_by(|a, b| b.cmp(a));
        if notes.len() > voices {
            notes.drain(voices.saturating_sub(1)..notes.len() - 1);
        }
        frame = notes.into_iter().map(Some).collect();
    }
    frame.resize(voices, None);
    frame
}

/// The prediction of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FramePrediction {
    /// Negative log-likelihood in nats.
    pub nll: f64,
    /// Number of right decisions.
    pub right: usize,
    /// Number of decisions that are counted.
    pub decisions: usize,
    /// Whether the frame differs from the one before.
    pub is_changed: bool,
}

/// Metrics of the predicted frames of each piece, together and by whether a frame differs from the one before; `accuracy` is the share of
/// right decisions.
pub fn evaluation(pieces: Vec<Vec<FramePrediction>>, accuracy: Metric) -> Evaluation {
    let frames: Vec<FramePrediction> = pieces.iter().flatten().copied().collect();
    let groups: Vec<[Group; 1]> =
        frames.iter().map(|frame| [group("frame", if frame.is_changed { "changed" } else { "repeated" })]).collect();
    let score = |indices: &mut dyn Iterator<Item = usize>| scores(indices.map(|index| frames[index]), accuracy);
    let evaluation = Evaluation::by_group(groups.iter().map(|groups| &groups[..]), score);
    // The frames of a piece depend on each other.
    evaluation.with_resampling(Resampling::of_examples(
        pieces.len(),
        move |indices: &mut dyn Iterator<Item = usize>| {
            scores(indices.flat_map(|index| pieces[index].iter().copied()), accuracy).named()
        },
    ))
}

/// Metrics of predicted frames.
pub fn scores(frames: impl Iterator<Item = FramePrediction>, accuracy: Metric) -> Scores {
    let (mut count, mut nll, mut right, mut decisions) = (0, 0.0, 0, 0);
    for frame in frames {
        (count, nll) = (count + 1, nll + frame.nll);
        (right, decisions) = (right + frame.right, decisions + frame.decisions);
    }
    let share = right as f64 / decisions.max(1) as f64;
    Scores::new(count, [(FRAME_NLL, nll / count.max(1) as f64), (accuracy, share)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_and_written() {
        let frame = parse_frame("74,-,65,58").unwrap();
        assert_eq!(frame, [Some(74), None, Some(65), Some(58)]);
        assert_eq!(frame_text(&frame), "74,-,65,58");
        assert_eq!(parse_frame("-").unwrap(), [None]);
        for text in ["12", "109", "c4", "60.5", "60,,x", "-1"] {
            assert!(parse_frame(text).unwrap_err().contains("MIDI number from 21 to 108"), "{text}");
        }
    }

    #[test]
    fn frames_get_the_number_of_voices() {
        let notes = |text: &str, voices| frame_text(&with_voices(parse_frame(text).unwrap(), voices));
        assert_eq!(notes("60", 3), "60,-,-");
        assert_eq!(notes("60,72,48,64,55", 3), "72,64,48");
        assert_eq!(notes("60,-,-,48", 3), "60,48,-");
        assert_eq!(notes("60,48", 1), "48");
        let of_chord = |text: &str| frame_text(&chord(parse_frame(text).unwrap()));
        assert_eq!(["60,-,72,60", "-,-"].map(of_chord), ["72,60", "-"]);
    }

    #[test]
    fn metrics_are_means_over_frames_and_separate_changed_ones() {
        let frame = |nll, right, is_changed| FramePrediction { nll, right, decisions: 4, is_changed };
        let found = evaluation(
            vec![vec![frame(1.0, 4, false), frame(6.0, 1, true)], vec![frame(2.0, 4, false)]],
            NOTE_ACCURACY,
        );
        assert_eq!(
            (found.all.examples, found.all.get(FRAME_NLL), found.all.get(NOTE_ACCURACY)),
            (3, Some(3.0), Some(0.75))
        );
        let of = |value: &str| {
            found.groups.iter().find(|((_, name), _)| name == value).map(|(_, scores)| scores.get(FRAME_NLL))
        };
        assert_eq!((of("changed"), of("repeated")), (Some(Some(6.0)), Some(Some(1.5))));
    }
}
