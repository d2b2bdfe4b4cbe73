//! Training of models of music.

use std::borrow::Cow;

use burn::tensor::Device;
use seqzoo_datasets::batch;
use seqzoo_datasets::music::{KEYS, Music, Piece};
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::FrameModel;
use seqzoo_random::RngExt;

use super::predict::{evaluate, scores};
use super::{Codec, FrameKind, Settings, valid_steps};
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Training of a model of music.
#[derive(Debug, Clone)]
pub struct MusicTraining {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<Piece>,
    validation: Vec<Piece>,
}

impl MusicTraining {
    /// Training of a model.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, data: &Music) -> Result<Self, InvalidShape> {
        let codec = Codec::new(spec);
        codec.check(spec)?;
        Ok(Self { codec, spec: spec.clone(), train: data.train.clone(), validation: data.validation.clone() })
    }

    /// A training piece, transposed by a number of semitones that depends on the epoch and the piece only.
    fn piece(&self, index: usize, keys: StepKeys) -> Cow<'_, Piece> {
        let Settings { transpose, .. } = self.spec.settings();
        let piece = &self.train[index];
        let Some((low, high)) = piece.range().filter(|_| transpose > 0) else { return Cow::Borrowed(piece) };
        let most = transpose as i32;
        let down = most.min(i32::from(low - KEYS.start()));
        let up = most.min(i32::from(KEYS.end() - high));
        let shift = keys.epoch.offset(TRANSPOSITION).example_stream(index as u64).random_range(-down..=up);
        let shifted = |note: &Option<u8>| note.map(|note| (i32::from(note) + shift) as u8);
        Cow::Owned(Piece { frames: piece.frames.iter().map(|frame| frame.iter().map(shifted).collect()).collect() })
    }
}

/// Second index of the random keys of transpositions, apart from those of dropout masks.
const TRANSPOSITION: u64 = 1 << 60;

impl TrainingTask for MusicTraining {
    type Network = FrameModel;

    fn network(&self, device: &Device) -> FrameModel {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        self.train.iter().map(|piece| piece.frames.len()).collect()
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let lengths = TrainingTask::lengths(self);
        batch::shuffled(&lengths, &lengths, self.spec.batch, self.spec.order(epoch))
    }

    fn loss(
        &self,
        network: &FrameModel,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let pieces: Vec<Cow<'_, Piece>> = batch.iter().map(|&index| self.piece(index, keys)).collect();
        let pieces: Vec<&Piece> = pieces.iter().map(|piece| &**piece).collect();
        let (inputs, lengths) = self.codec.inputs(&pieces, device);
        let (features, _) = network.forward(inputs, &lengths, None, keys.dropout(batch));
        let features = valid_steps(features, &lengths);
        let loss = match self.codec.frame {
            FrameKind::Keys => network.key_loss(features, Codec::sounding(&pieces, device)),
            FrameKind::Voices => network.voice_loss(features, Codec::symbols(&pieces)),
        };
        let frames: usize = lengths.iter().sum();
        BatchLoss { loss, weight: frames as f64, tokens: frames, recurrent_state: None }
    }

    fn validate(&self, network: &FrameModel, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let pieces: Vec<&Piece> = self.validation.iter().collect();
        evaluate(&self.codec, network, &pieces, device, stop).map(|found| scores(&self.codec, &found))
    }

    fn reports(&self, metric: Metric) -> bool {
        scores(&self.codec, &[]).get(metric).is_some()
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_spec;
    use seqzoo_datasets::music::{FRAME_NLL, parse_frame};
    use seqzoo_kernels::devices;

    fn piece(text: &str) -> Piece {
        Piece { frames: text.split(' ').map(|frame| parse_frame(frame).unwrap()).collect() }
    }

    fn data() -> Music {
        let scale = piece("72,60 74,60 76,- 77,57 79,57");
        Music { train: vec![scale.clone(), piece("72,60 72,60 71,55")], validation: vec![scale], ..Music::default() }
    }

    fn training(settings: &str) -> MusicTraining {
        MusicTraining::new(&test_spec("music", settings, "gru-8"), &data()).unwrap()
    }

    #[test]
    fn the_training_loss_of_a_piece_is_the_mean_over_all_of_its_frames() {
        for settings in ["voices = 2\ncycle = 3", "voices = 2\nframe = \"keys\""] {
            let task = training(settings);
            let device = devices().remove(0).1;
            let network = task.network(&device);
            let loss = |batch: &[usize]| -> (f64, f64) {
                let found = task.loss(&network, batch, None, StepKeys::new(1, 0, 0), &device);
                (f64::from(found.loss.into_scalar::<f32>()), found.weight)
            };
            let [(first, five), (second, three), (both, eight)] = [loss(&[0]), loss(&[1]), loss(&[0, 1])];
            assert_eq!((five, three, eight), (5.0, 3.0, 8.0));
            assert!((both - (5.0 * first + 3.0 * second) / 8.0).abs() < 1e-5, "padding changes nothing");
            // Validation does not count the first frame.
            let scores = task.validate(&network, &device, &|| false).unwrap();
            assert_eq!(scores.examples, 4);
            assert!(scores.get(FRAME_NLL).unwrap() < first * 5.0 / 4.0);
        }
    }

    #[test]
    fn transposition_depends_on_epoch_and_piece_and_keeps_intervals() {
        let task = training("voices = 2\ntranspose = 6");
        let shifted =
            |index: usize, epoch: u64, batch: u64| task.piece(index, StepKeys::new(1, batch, epoch)).into_owned();
        let first = |piece: &Piece| piece.frames[0][0].unwrap();
        let shifts: std::collections::BTreeSet<u8> = (0..40).map(|epoch| first(&shifted(0, epoch, 0))).collect();
        assert!(shifts.len() > 6 && shifts.iter().all(|note| (66..=78).contains(note)), "{shifts:?}");
        for epoch in 0..9 {
            assert_eq!(shifted(0, epoch, 3), shifted(0, epoch, 8), "not on the batch");
            let piece = shifted(0, epoch, 0);
            let shift = i32::from(first(&piece)) - 72;
            let back = |note: &Option<u8>| note.map(|note| (i32::from(note) - shift) as u8);
            let frames: Vec<Vec<Option<u8>>> =
                piece.frames.iter().map(|frame| frame.iter().map(back).collect()).collect();
            assert_eq!(frames, task.train[0].frames);
        }
        assert!(matches!(training("voices = 2").piece(0, StepKeys::new(1, 0, 0)), Cow::Borrowed(_)));
    }
}
