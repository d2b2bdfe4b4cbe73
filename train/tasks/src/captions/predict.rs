//! Captions and metrics of trained captioning models.

use std::borrow::Cow;

use burn::tensor::{Device, Tensor};
use seqzoo_datasets::captions::{self, Captions, Example, Judged, Picture};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::image::Image;
use seqzoo_datasets::scores::{Evaluation, Scores};
use seqzoo_models::dropout_key::DropoutKey;
use seqzoo_models::layers::AttentionScore;
use seqzoo_models::networks::{EncodedSource, EncoderDecoder};

use super::{Codec, Settings};
use crate::targets::{self, Judgment, Objective, Predictions};
use crate::{Examples, PredictError, Predictor, TrainedModel, examples_as};

/// A trained captioning model with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::captions::{Captions, Example, Picture};
/// use seqzoo_datasets::image::Image;
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::captions::{Captioner, TASK};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let image = Image::new(2, vec![[255, 0, 0]; 4]);
/// let example = Example { picture: Picture::Image(image.clone().into()), caption: "red".into(), groups: [].into() };
/// let data = Captions { size: [2, 2], train: vec![example], ..Captions::default() };
/// let spec = ModelSpec::new("bilstm-8", &TASK, Default::default())?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = Captioner::open(&spec, &training.files(), &weights, &device)?;
/// let captions = &model.captions(&[&image], 2)?[0]; // beam search
/// assert!(captions[0].1 >= captions[1].1);
/// # Ok(()) }
/// ```
pub type Captioner = TrainedModel<Codec>;

impl Captioner {
    /// Checks the height and width of images.
    ///
    /// # Errors
    /// If they are not those of the training data.
    pub fn check(&self, size: [usize; 2]) -> Result<(), PredictError> {
        let needed = self.codec.size;
        if size == needed { Ok(()) } else { Err(PredictError::ImageSize { needed, found: size }) }
    }

    /// For each image, different captions with their probabilities, the most probable first: at most as many as the width of the beam search;
    /// width 1 is greedy decoding.
    ///
    /// # Errors
    /// If an image has another size than those of the training data.
    pub fn captions(&self, images: &[&Image], beam_width: usize) -> Result<Vec<Vec<(String, f64)>>, PredictError> {
        images.iter().try_for_each(|image| self.check(image.size()))?;
        let Self { network, codec, device, .. } = self;
        let image = |index: usize| Cow::Borrowed(images[index]);
        Ok(decode(network, codec, images.len(), image, beam_width, device, &|| false).expect("never stopped"))
    }

    /// Metrics by greedy decoding.
    fn evaluate_examples(&self, examples: &[Example]) -> Evaluation {
        let Self { network, codec, device, .. } = self;
        let attention = self.spec.settings::<Settings>().attention;
        let predictions = predict(network, codec, examples, device, &|| false).expect("never stopped");
        let loss = loss(network, codec, examples, attention, device, &|| false).expect("never stopped");
        let groups = examples.iter().map(|example| &*example.groups);
        let describe = |index: usize| (describe(&examples[index].picture), examples[index].caption.to_string());
        let unknown = codec.targets().unknown_share(examples.iter().map(|example| &*example.caption));
        Evaluation { unknown, ..predictions.evaluation(groups, loss, describe) }
    }
}

impl Predictor for Captioner {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let data = examples_as::<Captions>(examples)?;
        self.check(data.size)?;
        Ok(self.evaluate_examples(data.split(split)))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        let targets = self.codec.targets();
        let counted = |text: &str| targets.counted(text);
        Ok(examples_as::<Captions>(examples)?.baselines(split, &targets.measure(&counted)))
    }
}

impl Judgment for Judged {
    fn edits(&self) -> usize {
        Judged::edits(self)
    }

    fn scores(judged: &[Self], indices: &mut dyn Iterator<Item = usize>) -> Scores {
        captions::scores(judged, indices)
    }
}

/// An image in lists of mistakes.
fn describe(picture: &Picture) -> String {
    match picture {
        Picture::Scene(scene) => scene.to_string(),
        Picture::Image(_) => "an image".to_owned(),
    }
}

/// An encoded example; the target ends with the end-of-sequence token.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) picture: Picture,
    target: Vec<usize>,
}

impl Encoded {
    pub(super) fn new(codec: &Codec, example: &Example) -> Self {
        Self { picture: example.picture.clone(), target: codec.targets().encode(&example.caption) }
    }
}

/// Length of each caption, and size of the example in tokens, as batch limits count them.
pub(super) fn extents(codec: &Codec, examples: &[Encoded], attention: AttentionScore) -> (Vec<usize>, Vec<usize>) {
    let steps = codec.steps();
    let size = |target: usize| targets::batch_size(steps, target, attention);
    examples.iter().map(|example| (example.target.len(), size(example.target.len()))).unzip()
}

/// Encodes images.
fn encode<'a>(
    network: &EncoderDecoder,
    codec: &Codec,
    images: impl ExactSizeIterator<Item = Cow<'a, Image>>,
    dropout_key: impl Into<DropoutKey>,
    device: &Device,
) -> EncodedSource {
    let (source, lengths) = codec.source(images, device);
    network.encode(source, &lengths, dropout_key)
}

/// The different captions that beam search finds for images, given by their indices, in order, with their probabilities; `None` if stopped.
fn decode<'a>(
    network: &EncoderDecoder,
    codec: &Codec,
    count: usize,
    image: impl Fn(usize) -> Cow<'a, Image> + Sync,
    width: usize,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<(String, f64)>>> {
    let lengths = vec![codec.steps(); count];
    let encode = |network: &EncoderDecoder, batch: &[usize]| {
        encode(network, codec, batch.iter().map(|&index| image(index)), None, device)
    };
    let found = targets::search(network, &codec.generation(), width, &lengths, encode, device, stop)?;
    let targets = codec.targets();
    Some(found.iter().map(|found| targets::texts(found, |tokens| targets.decode(tokens))).collect())
}

/// The greedy prediction for each image, compared with its caption; `None` if stopped.
pub(super) fn predict(
    network: &EncoderDecoder,
    codec: &Codec,
    examples: &[Example],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Predictions<Judged>> {
    let found = decode(network, codec, examples.len(), |index| examples[index].picture.image(), 1, device, stop)?;
    Some(compare(codec, examples, found))
}

/// Compares the captions that were found for examples with their own.
pub(super) fn compare(codec: &Codec, examples: &[Example], found: Vec<Vec<(String, f64)>>) -> Predictions<Judged> {
    let targets = codec.targets();
    let counted = |text: &str| targets.counted(text);
    let measure = targets.measure(&counted);
    Predictions::new(found, |text, index| Judged::new(&measure, text, &examples[index].caption))
}

/// The mean loss per word; `None` if stopped.
pub(super) fn loss(
    network: &EncoderDecoder,
    codec: &Codec,
    examples: &[Example],
    attention: AttentionScore,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<f64> {
    let encoded: Vec<Encoded> = examples.iter().map(|example| Encoded::new(codec, example)).collect();
    let mean = |batch: &[&Encoded]| mean_loss(network, codec, batch, 0.0, None, device);
    targets::loss(&encoded, extents(codec, &encoded, attention), mean, stop)
}

/// The mean loss per word under teacher forcing, and the number of words, ends of captions included.
pub(super) fn mean_loss(
    network: &EncoderDecoder,
    codec: &Codec,
    examples: &[&Encoded],
    label_smoothing: f64,
    dropout_key: impl Into<DropoutKey>,
    device: &Device,
) -> (Tensor<1>, usize) {
    let dropout_key = dropout_key.into();
    let encoded = encode(network, codec, examples.iter().map(|example| example.picture.image()), &dropout_key, device);
    let targets: Vec<Vec<usize>> = examples.iter().map(|example| example.target.clone()).collect();
    targets::mean_loss(network, encoded, &targets, Objective { label_smoothing, ..Objective::default() }, dropout_key)
}
