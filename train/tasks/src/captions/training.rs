//! Training of captioning models.

use burn::tensor::Device;
use seqzoo_datasets::batch;
use seqzoo_datasets::captions::{Captions, Example};
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::EncoderDecoder;

use super::predict::{Encoded, compare, extents, loss, mean_loss, predict};
use super::{Codec, LEVEL, Reading, Settings};
use crate::targets::empty_texts;
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Training of a captioning model.
#[derive(Debug, Clone)]
pub struct CaptionsTraining {
    pub(super) codec: Codec,
    spec: ModelSpec,
    train: Vec<Encoded>,
    validation: Vec<Example>,
}

impl CaptionsTraining {
    /// Training of a model, with the vocabulary of the training split.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, data: &Captions) -> Result<Self, InvalidShape> {
        let Settings { read, patch_size, image, min_count, max_vocabulary, .. } = spec.settings();
        let cleaning = data.cleaning.clone();
        let tokens = |example: &Example| LEVEL.tokens(&cleaning.apply(&example.caption)).collect::<Vec<_>>();
        let vocabulary = LEVEL.vocabulary(data.train.iter().flat_map(tokens), min_count, max_vocabulary);
        let longest = data.train.iter().map(|example| tokens(example).len()).max().unwrap_or(0);
        let (size, max_length) = (data.size, 2 * longest + 1);
        let patch_size = if read == Reading::Patches { patch_size } else { 0 };
        let codec = Codec { cleaning: cleaning.clone(), vocabulary, size, read, patch_size, image, max_length };
        codec.check(spec)?;
        let train = data.train.iter().map(|example| Encoded::new(&codec, example)).collect();
        Ok(Self { codec, spec: spec.clone(), train, validation: data.validation.clone() })
    }
}

impl TrainingTask for CaptionsTraining {
    type Network = EncoderDecoder;

    fn network(&self, device: &Device) -> EncoderDecoder {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        extents(&self.codec, &self.train, self.spec.settings::<Settings>().attention).1
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let (lengths, sizes) = extents(&self.codec, &self.train, self.spec.settings::<Settings>().attention);
        batch::shuffled(&lengths, &sizes, self.spec.batch, self.spec.order(epoch))
    }

    fn loss(
        &self,
        network: &EncoderDecoder,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let examples: Vec<&Encoded> = batch.iter().map(|&index| &self.train[index]).collect();
        let smoothing = self.spec.settings::<Settings>().label_smoothing;
        let (loss, words) = mean_loss(network, &self.codec, &examples, smoothing, keys.dropout(batch), device);
        let tokens = words + examples.len() * self.codec.steps();
        BatchLoss { loss, weight: words as f64, tokens, recurrent_state: None }
    }

    fn validate(&self, network: &EncoderDecoder, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let mut scores = predict(network, &self.codec, &self.validation, device, stop)?.scores();
        let attention = self.spec.settings::<Settings>().attention;
        scores.insert(Metric::LOSS, loss(network, &self.codec, &self.validation, attention, device, stop)?);
        Some(scores)
    }

    fn reports(&self, metric: Metric) -> bool {
        let scores = || compare(&self.codec, &self.validation, empty_texts(self.validation.len())).scores();
        metric == Metric::LOSS || scores().get(metric).is_some()
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_spec;
    use seqzoo_datasets::captions::{Picture, SHAPE_ACCURACY};
    use seqzoo_datasets::scene::{Description, Scene};
    use seqzoo_datasets::transduction::BLEU;
    use seqzoo_kernels::devices;

    fn data() -> Captions {
        let example = |text: &str| {
            let scene = Scene::parse(text).unwrap();
            let caption = Description::of(&scene.objects).unwrap().to_string().into();
            Example { picture: Picture::Scene(scene), caption, groups: [].into() }
        };
        let train = vec![
            example("shade 40, noise 7: small red circle at 12 22; large blue square at 45 30"),
            example(
                "shade 80, noise 8: small red circle at 12 22; large blue square at 45 30; small cyan cross at 45 50",
            ),
        ];
        Captions { size: [64, 64], validation: train.clone(), train, ..Captions::default() }
    }

    fn training(settings: &str) -> CaptionsTraining {
        CaptionsTraining::new(&test_spec("captions", settings, "bilstm-4"), &data()).unwrap()
    }

    fn losses(task: &CaptionsTraining) -> [(f64, f64); 3] {
        let device = devices().remove(0).1;
        let network = task.network(&device);
        [&[0][..], &[1], &[0, 1]].map(|batch| {
            let found = task.loss(&network, batch, None, StepKeys::new(1, 0, 0), &device);
            (f64::from(found.loss.into_scalar::<f32>()), found.weight)
        })
    }

    #[test]
    fn the_loss_of_a_batch_is_the_mean_over_its_words() {
        let patches = "read = \"patches\"\npatch_size = 16";
        for settings in ["", "read = \"rows-and-columns\"", patches, "image = false"] {
            let [(first, few), (second, many), (both, all)] = losses(&training(settings));
            // Eleven and nineteen words and commas, each with the end of the sequence.
            assert_eq!((few, many, all), (12.0, 20.0, 32.0));
            assert!((both - (12.0 * first + 20.0 * second) / 32.0).abs() < 1e-5, "{settings}: padding changes nothing");
        }
    }

    #[test]
    fn a_model_that_does_not_see_the_image_depends_on_captions_only() {
        let predicted = |settings: &str| {
            let task = training(settings);
            let device = devices().remove(0).1;
            let encoded: Vec<&Encoded> = task.train.iter().collect();
            let (features, lengths) = task.codec.source(encoded.iter().map(|example| example.picture.image()), &device);
            let outputs = task.network(&device).encode(features, &lengths, None).outputs().clone();
            let [first, second] = [0, 1].map(|row| outputs.clone().narrow(0, row, 1).try_into_vec_as::<f32>());
            first.unwrap() == second.unwrap()
        };
        assert!(predicted("image = false") && predicted("image = false\nread = \"patches\""));
        assert!(!predicted("") && !predicted("read = \"patches\""));
    }

    #[test]
    fn validation_reports_text_and_attributes() {
        let task = training("");
        let device = devices().remove(0).1;
        let scores = task.validate(&task.network(&device), &device, &|| false).unwrap();
        let names: Vec<&str> = scores.iter().map(|(name, _)| name).collect();
        let known: Vec<&str> = super::super::TASK.metrics.iter().map(|metric| metric.name).collect();
        assert!(names.len() == known.len() && known.iter().all(|name| names.contains(name)), "{names:?}");
        assert!(super::super::TASK.metrics.iter().all(|&metric| TrainingTask::reports(&task, metric)));
        let plain = Example { caption: "a dog on a beach".into(), ..data().train.remove(0) };
        let plain = Captions { validation: vec![plain], ..data() };
        let task = CaptionsTraining::new(&test_spec("captions", "", "bilstm-4"), &plain).unwrap();
        assert!(TrainingTask::reports(&task, BLEU) && !TrainingTask::reports(&task, SHAPE_ACCURACY));
        assert_eq!(scores.examples, 2);
        assert!(task.validate(&task.network(&device), &device, &|| true).is_none());
    }
}
