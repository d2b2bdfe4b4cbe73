//! Captions: a text that describes an image.

mod predict;
mod settings;
mod training;

use std::borrow::Cow;

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::DataError;
use seqzoo_datasets::captions::{self, COLOR_ACCURACY, Captions, RELATION_ACCURACY, SHAPE_ACCURACY, SIZE_ACCURACY};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::cleaning::Cleaning;
use seqzoo_datasets::image::{Image, Rgb};
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::text::{Tokenization, Vocabulary};
use seqzoo_datasets::transduction::{BLEU, CHRF, TOKEN_ERROR_RATE};
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{EncoderDecoder, EncoderDecoderShape, Generation, Source, SourceShape};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::skipped::empty_targets;
use crate::targets::{self, Targets};
use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, ModelSpec, Prepared, Task, fields, open, resolve, vocabularies,
};
pub use predict::Captioner;
pub use settings::{Reading, Settings};
pub use training::CaptionsTraining;

/// Captions: a text that describes an image.
pub static TASK: Task = Task {
    data: &captions::DATA,
    summary: "a text that describes an image",
    metrics: &[
        Metric::ACCURACY,
        SHAPE_ACCURACY,
        COLOR_ACCURACY,
        SIZE_ACCURACY,
        RELATION_ACCURACY,
        TOKEN_ERROR_RATE,
        BLEU,
        CHRF,
        Metric::LOSS,
    ],
    command: Command::Caption,
    shared: &[],
    averages: false,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

/// Unit of tokenization of captions.
const LEVEL: Tokenization = Tokenization::Words;

fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    let settings: Settings = spec.settings();
    targets::check(spec, settings.embedding_size, settings.attention)
}

fn prepare(data: &Splits, _: &Table) -> Result<Prepared, DataError> {
    let captions = Captions::from_records(data)?;
    let is_empty = |split: Split, row: usize| LEVEL.tokens(&captions.split(split)[row].caption).next().is_none();
    let place =
        |split: Split, row: usize| data.split(split).place_name(row).unwrap_or_else(|| format!("row {}", row + 1));
    let note = empty_targets(["caption", "captions"], |split| captions.split(split).len(), is_empty, place);
    Ok(Prepared { examples: Box::new(captions), note })
}

impl Examples for Captions {
    fn digest(&self) -> String {
        Captions::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "images")
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let [height, width] = self.size;
        vec![("size of the images", format!("{height} × {width} pixels"))]
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(CaptionsTraining::new(spec, self)?))
    }
}

/// How images and captions are encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Cleaning of captions.
    pub cleaning: Cleaning,
    /// Vocabulary of the captions.
    pub vocabulary: Vocabulary,
    /// Height and width of the images, in pixels.
    pub size: [usize; 2],
    /// The order in which pixels are read.
    pub read: Reading,
    /// Height and width of a patch, in pixels; 0 if images are not read in patches.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub patch_size: usize,
    /// Whether the network sees the image.
    pub image: bool,
    /// Maximum number of generated tokens.
    pub max_length: usize,
}

fn is_zero(size: &usize) -> bool {
    *size == 0
}

impl Codec {
    /// How captions are encoded.
    fn targets(&self) -> Targets<'_> {
        Targets { cleaning: &self.cleaning, level: LEVEL, vocabulary: &self.vocabulary }
    }

    /// Settings to generate captions.
    fn generation(&self) -> Generation<'static> {
        self.targets().generation(self.max_length)
    }

    /// Rows and columns of patches.
    fn grid(&self) -> [usize; 2] {
        self.size.map(|size| size.div_ceil(self.patch_size))
    }

    /// Number of steps of an image; a single one, if the network does not see it.
    fn steps(&self) -> usize {
        let [height, width] = self.size;
        match self.read {
            _ if !self.image => 1,
            Reading::Rows => height,
            Reading::RowsAndColumns => height + width,
            Reading::Patches => self.grid().iter().product(),
        }
    }

    /// Number of features of a step: the channels of its pixels; and whether it is a column, if there are columns.
    fn features(&self) -> usize {
        let [height, width] = self.size;
        match self.read {
            Reading::Rows => 3 * width,
            Reading::RowsAndColumns => 3 * height.max(width) + 1,
            Reading::Patches => 3 * self.patch_size.pow(2),
        }
    }

    /// Appends the features of the steps of an image.
    fn push_image(&self, image: &Image, values: &mut Vec<f32>) {
        let [height, width] = self.size;
        let row = |row: usize| (0..width).map(move |column| image.pixel(row, column));
        let column = |column: usize| (0..height).map(move |row| image.pixel(row, column));
        match self.read {
            Reading::Rows => (0..height).for_each(|index| self.push_step(row(index), false, values)),
            Reading::RowsAndColumns => {
                (0..height).for_each(|index| self.push_step(row(index), false, values));
                (0..width).for_each(|index| self.push_step(column(index), true, values));
            }
            Reading::Patches => self.push_patches(image, values),
        }
    }

    /// Appends the features of a row or column: its channels, scaled to [-1, 1].
    fn push_step(&self, pixels: impl Iterator<Item = Rgb>, is_column: bool, values: &mut Vec<f32>) {
        let end = values.len() + self.features();
        values.extend(pixels.flatten().map(scaled));
        values.resize(end, 0.0);
        if is_column {
            values[end - 1] = 1.0;
        }
    }

    /// Appends the features of each patch, row by row: the channels of its pixels, 0 outside of the image.
    fn push_patches(&self, image: &Image, values: &mut Vec<f32>) {
        let ([height, width], [rows, columns], side) = (self.size, self.grid(), self.patch_size);
        let squares = (0..rows).flat_map(|row| (0..columns).map(move |column| [row * side, column * side]));
        for [top, left] in squares {
            for (row, column) in (top..top + side).flat_map(|row| (left..left + side).map(move |column| (row, column)))
            {
                let is_inside = row < height && column < width;
                values.extend(if is_inside { image.pixel(row, column).map(scaled) } else { [0.0; 3] });
            }
        }
    }

    /// The features of images of the right size, and the number of steps of each; zeros, if the network does not see them.
    fn source<'a>(
        &self,
        images: impl ExactSizeIterator<Item = Cow<'a, Image>>,
        device: &Device,
    ) -> (Source, Vec<usize>) {
        let (count, steps, features) = (images.len(), self.steps(), self.features());
        let size = count * steps * features;
        let mut values = Vec::with_capacity(size);
        if self.image {
            images.for_each(|image| self.push_image(&image, &mut values));
        }
        values.resize(size, 0.0);
        let values = Tensor::<1>::from_data(TensorData::new(values, [size]), device);
        let source = match self.read {
            Reading::Patches => {
                let [rows, columns] = if self.image { self.grid() } else { [1, 1] };
                values.reshape([count, rows, columns, features]).into()
            }
            Reading::Rows | Reading::RowsAndColumns => values.reshape([count, steps, features]).into(),
        };
        (source, vec![steps; count])
    }

    fn shape(&self, spec: &ModelSpec) -> EncoderDecoderShape {
        let settings: Settings = spec.settings();
        let source = match self.read {
            Reading::Patches => SourceShape::Grid(self.features()),
            Reading::Rows | Reading::RowsAndColumns => SourceShape::Features(self.features()),
        };
        targets::shape(spec, source, self.targets().size(), settings.embedding_size, settings.attention)
    }
}

impl crate::Codec for Codec {
    type Network = EncoderDecoder;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn vocabularies(&self) -> Vec<(&'static str, &Vocabulary)> {
        vec![("target.weight", &self.vocabulary)]
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> EncoderDecoder {
        EncoderDecoder::new(self.shape(spec), spec.seed, device)
    }
}

/// A channel of a pixel, scaled to [-1, 1].
fn scaled(channel: u8) -> f32 {
    f32::from(channel) / 127.5 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqzoo_kernels::devices;

    /// A codec of images of one row and two columns.
    fn codec(read: Reading, image: bool) -> Codec {
        let vocabulary = Vocabulary::build(["a", "b"].into_iter(), 1, 9);
        Codec { cleaning: Cleaning::none(), vocabulary, size: [1, 2], read, patch_size: 2, image, max_length: 5 }
    }

    fn source(codec: &Codec) -> (Vec<usize>, Vec<f32>, Vec<usize>) {
        let image = Image::new(2, vec![[0, 255, 0], [255, 0, 255]]);
        let device = devices().remove(0).1;
        let (features, lengths) = codec.source([Cow::Borrowed(&image), Cow::Borrowed(&image)].into_iter(), &device);
        let (shape, values) = match features {
            Source::Features(features) => (features.dims().to_vec(), features.try_into_vec_as()),
            Source::Grid(grid) => (grid.dims().to_vec(), grid.try_into_vec_as()),
            Source::Tokens(_) => unreachable!("images have no tokens"),
        };
        (shape, values.unwrap(), lengths)
    }

    #[test]
    fn rows_and_columns_are_read_as_steps() {
        let (shape, values, lengths) = source(&codec(Reading::Rows, true));
        assert_eq!((shape, lengths), (vec![2, 1, 6], vec![1, 1]));
        assert_eq!(values, [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0].repeat(2));
        let (shape, values, lengths) = source(&codec(Reading::RowsAndColumns, true));
        assert_eq!((shape, lengths), (vec![2, 3, 7], vec![3, 3]));
        let row = [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 0.0];
        let columns = [[-1.0, 1.0, -1.0, 0.0, 0.0, 0.0, 1.0], [1.0, -1.0, 1.0, 0.0, 0.0, 0.0, 1.0]];
        assert_eq!(values[..21], [&row[..], &columns[0], &columns[1]].concat());
    }

    #[test]
    fn patches_are_a_grid_and_zero_outside_of_the_image() {
        let codec = codec(Reading::Patches, true);
        let (shape, values, lengths) = source(&codec);
        assert_eq!((shape, lengths), (vec![2, 1, 1, 12], vec![1, 1]));
        let pixels = [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0];
        assert_eq!(values, [pixels, [0.0; 6]].concat().repeat(2));
        let (shape, values, lengths) = source(&Codec { patch_size: 1, ..codec });
        assert_eq!((shape, lengths), (vec![2, 1, 2, 3], vec![2, 2]));
        assert_eq!(values, pixels.repeat(2));
    }

    #[test]
    fn without_the_image_the_source_is_one_step_of_zeros() {
        let (shape, values, lengths) = source(&codec(Reading::Rows, false));
        assert_eq!((shape, values, lengths), (vec![2, 1, 6], vec![0.0; 12], vec![1, 1]));
        let (shape, values, lengths) = source(&codec(Reading::Patches, false));
        assert_eq!((shape, values, lengths), (vec![2, 1, 1, 12], vec![0.0; 24], vec![1, 1]));
    }
}
