//! The IDX format of MNIST: a file of images and a file of labels, each with a header of sizes. Images become series of rows or pixels.

use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::Input;
use crate::records::{Column, Records};
use crate::signal::Signal;

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "idx",
    summary: "a file of images and a file of labels, as in MNIST (train-images-idx3-ubyte, train-labels-idx1-ubyte); pixels from 0 to 1",
    columns: "series, label",
    options: &[("steps", "\"rows\" (default): a step per row of pixels; \"pixels\": a step per pixel, row by row")],
    suffixes: &[],
    together: Together::Folder,
    roles: &[],
    sample: &[],
    is_first_line: |_| false,
    read,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    steps: Steps,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Steps {
    #[default]
    Rows,
    Pixels,
}

/// The type of unsigned bytes in the header.
const UNSIGNED_BYTES: u8 = 8;

/// Contents of a file: the sizes of its dimensions and its bytes.
struct Array {
    sizes: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    fn read(input: &Input) -> Result<Self, DataError> {
        let name = input.name();
        let mut bytes = Vec::new();
        input.bytes()?.read_to_end(&mut bytes).map_err(|error| DataError::damaged(name, error))?;
        let invalid = |detail: &str| DataError::invalid(name, detail);
        let [0, 0, kind, dimensions, rest @ ..] = bytes.as_slice() else {
            return Err(invalid("not an IDX file: it does not begin with two zero bytes"));
        };
        if *kind != UNSIGNED_BYTES {
            return Err(invalid("expected unsigned bytes (type 8), as in MNIST"));
        }
        let count = usize::from(*dimensions);
        let header = rest.get(..4 * count).ok_or_else(|| invalid("the file ends in its header"))?;
        let size = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes) as usize;
        let sizes: Vec<usize> = header.as_chunks::<4>().0.iter().map(size).collect();
        let body = &rest[4 * count..];
        let expected = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if expected != Some(body.len()) {
            let sizes = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
            return Err(DataError::damaged(name, format!("{} bytes after the header, which says {sizes}", body.len())));
        }
        Ok(Self { sizes, bytes: body.to_vec() })
    }
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { steps } = request.options()?;
    let (mut images, mut labels) = (None, None);
    for input in request.inputs {
        let array = Array::read(input)?;
        let (place, what) = match array.sizes.len() {
            3 => (&mut images, "images"),
            1 => (&mut labels, "labels"),
            count => {
                let detail = format!("{count} dimensions; expected 3 (images) or 1 (labels)");
                return Err(DataError::invalid(input.name(), detail));
            }
        };
        if place.is_some() {
            let detail = format!("a second file of {what}; give one file of images and one of labels for each split");
            return Err(DataError::invalid(input.name(), detail));
        }
        *place = Some((input, array));
    }
    let missing = |what: &str| {
        let detail = format!(
            "no file of {what} with it; give both, as in [\"train-images-idx3-ubyte\", \"train-labels-idx1-ubyte\"]"
        );
        DataError::invalid(request.input.name(), detail)
    };
    let (image_file, images) = images.ok_or_else(|| missing("images"))?;
    let (label_file, labels) = labels.ok_or_else(|| missing("labels"))?;
    let [count, rows, columns] = images.sizes[..] else { unreachable!("images have three dimensions") };
    if labels.bytes.len() != count {
        let detail = format!("{} labels for {count} images in {}", labels.bytes.len(), image_file.name().display());
        return Err(DataError::invalid(label_file.name(), detail));
    }
    if count == 0 || rows * columns == 0 {
        return Err(DataError::invalid(image_file.name(), "no images"));
    }
    let channels = if steps == Steps::Rows { columns } else { 1 };
    let series = images
        .bytes
        .chunks_exact(rows * columns)
        .map(|image| Arc::new(Signal::new(channels, image.iter().map(|&pixel| f32::from(pixel) / 255.0).collect())));
    let columns =
        [("series", Column::Series(series.collect())), ("label", Column::text(labels.bytes.iter().map(u8::to_string)))];
    Ok(Records::of_file(image_file.name(), columns, 1..=count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::variants::gzip;

    fn parse(files: &[(&str, Vec<u8>)], options: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let write = |(name, bytes): &(&str, Vec<u8>)| {
            std::fs::write(dir.path().join(name), bytes).unwrap();
            Input::file(&dir.path().join(name))
        };
        let inputs: Vec<Input> = files.iter().map(write).collect();
        let read = FORMAT.read_together(&inputs, &toml::from_str(options).unwrap(), &[]);
        read.map_err(|error| error.to_string().replace(dir.path().to_str().unwrap(), "D"))
    }

    /// Two images of 2 × 3 pixels.
    fn images() -> Vec<u8> {
        [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[0, 51, 255, 0, 0, 0], &[255; 6]].concat()
    }

    fn labels() -> Vec<u8> {
        vec![0, 0, 8, 1, 0, 0, 0, 2, 7, 3]
    }

    #[test]
    fn images_are_series_of_rows_or_of_pixels() {
        let files = [("images.gz", gzip(&images())), ("labels", labels())];
        let records = parse(&files, "").unwrap();
        let series = records.series("series", "series").unwrap();
        assert_eq!((series[0].channels(), series[0].values()), (3, &[0.0, 0.2, 1.0, 0.0, 0.0, 0.0][..]));
        assert_eq!(&*records.texts("label", "label").unwrap()[1], "3");
        let pixels = parse(&files, "steps = \"pixels\"").unwrap();
        assert_eq!(pixels.series("series", "series").unwrap()[0].len(), 6);
    }

    #[test]
    fn files_that_do_not_match_are_errors() {
        let one = [labels()[..7].to_vec(), vec![1, 7]].concat();
        for (files, options, part) in [
            (vec![("images", images())], "", "D/images: no file of labels with it"),
            (vec![("a", images()), ("b", images())], "", "D/b: a second file of images"),
            (vec![("images", images()), ("labels", one)], "", "D/labels: 1 labels for 2 images in D/images"),
            (vec![("images", images()[..20].to_vec())], "", "4 bytes after the header, which says 2 × 2 × 3"),
            (vec![("images", images()[..9].to_vec())], "", "ends in its header"),
            (vec![("images", b"text".to_vec())], "", "not an IDX file"),
            (vec![("images", images()), ("labels", labels())], "steps = \"columns\"", "data.options"),
        ] {
            let error = parse(&files, options).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
