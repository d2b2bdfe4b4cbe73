//! Images in red, green and blue, read from and written to PNG files.

use std::io::Cursor;
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Encoder, Transformations};

use crate::DataError;

/// Intensities of red, green and blue.
pub type Rgb = [u8; 3];

/// An image.
///
/// ```
/// use seqzoo_datasets::image::Image;
///
/// let image = Image::new(2, vec![[255, 0, 0], [0, 0, 255]]); // red, blue
/// assert_eq!((image.height(), image.width(), image.pixel(0, 1)), (1, 2, [0, 0, 255]));
/// assert_eq!(Image::from_png(&image.to_png()), Ok(image));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    width: usize,
    /// Row by row.
    pixels: Vec<Rgb>,
}

impl Image {
    /// An image from its pixels, row by row.
    ///
    /// # Panics
    /// If there are no pixels, or the last row is incomplete.
    pub fn new(width: usize, pixels: Vec<Rgb>) -> Self {
        let is_complete = width > 0 && !pixels.is_empty() && pixels.len().is_multiple_of(width);
        assert!(is_complete, "{} pixels, width {width}", pixels.len());
        Self { width, pixels }
    }

    /// Reads a PNG file.
    ///
    /// # Errors
    /// If the file cannot be read, is not a PNG file, or has transparent pixels.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|error| DataError::unreadable(path, error))?;
        Self::from_png(&bytes).map_err(|detail| DataError::invalid(path, detail))
    }

    /// Decodes the contents of a PNG file; gray values become colors, and 16-bit channels are reduced to 8 bits.
    ///
    /// # Errors
    /// A message with the problem and the fix.
    pub fn from_png(bytes: &[u8]) -> Result<Self, String> {
        let invalid = |error: png::DecodingError| format!("not a valid PNG file ({error}); convert the image to PNG");
        let mut decoder = Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(invalid)?;
        let size = reader.output_buffer_size().ok_or("the image is too large; scale it down")?;
        let mut buffer = vec![0; size];
        let info = reader.next_frame(&mut buffer).map_err(invalid)?;
        let samples = &buffer[..info.buffer_size()];
        let channels = info.color_type.samples();
        let has_alpha = matches!(info.color_type, ColorType::GrayscaleAlpha | ColorType::Rgba);
        let is_opaque = |pixel: &[u8]| !has_alpha || pixel.last() == Some(&u8::MAX);
        if !samples.chunks_exact(channels).all(is_opaque) {
            return Err("it has transparent pixels; save it without transparency".to_owned());
        }
        let color = |pixel: &[u8]| if channels < 3 { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] };
        Ok(Self::new(info.width as usize, samples.chunks_exact(channels).map(color).collect()))
    }

    /// The contents of a PNG file of the image.
    pub fn to_png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.width as u32, self.height() as u32);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header().expect("an image has pixels, and memory can be written");
        writer.write_image_data(self.pixels.as_flattened()).expect("the pixels of the whole image");
        writer.finish().expect("memory can be written");
        bytes
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.height(), self.width]
    }

    /// The color of a pixel.
    ///
    /// # Panics
    /// If it is outside of the image.
    pub fn pixel(&self, row: usize, column: usize) -> Rgb {
        assert!(column < self.width, "column {column}, width {}", self.width);
        self.pixels[row * self.width + column]
    }

    /// All pixels, row by row.
    pub fn pixels(&self) -> &[Rgb] {
        &self.pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG file of one row of 8-bit samples.
    fn png(color: ColorType, samples: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, (samples.len() / color.samples()) as u32, 1);
        encoder.set_color(color);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(samples).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn an_image_survives_a_png_file() {
        let pixels = (0..=255u8).map(|value| [value, 255 - value, value.wrapping_mul(7)]).collect();
        let image = Image::new(32, pixels);
        assert_eq!(image.size(), [8, 32]);
        assert_eq!(Image::from_png(&image.to_png()), Ok(image.clone()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.png");
        std::fs::write(&path, image.to_png()).unwrap();
        assert_eq!(Image::read(&path).unwrap(), image);
    }

    #[test]
    fn gray_and_opaque_images_are_read_as_colors() {
        let gray = Image::new(2, vec![[9; 3], [200; 3]]);
        for (color, samples) in [
            (ColorType::Grayscale, &[9, 200][..]),
            (ColorType::GrayscaleAlpha, &[9, 255, 200, 255]),
            (ColorType::Rgb, &[9, 9, 9, 200, 200, 200]),
            (ColorType::Rgba, &[9, 9, 9, 255, 200, 200, 200, 255]),
        ] {
            assert_eq!(Image::from_png(&png(color, samples)), Ok(gray.clone()), "{color:?}");
        }
    }

    #[test]
    fn damaged_and_transparent_files_are_refused_with_the_fix() {
        let image = Image::new(2, vec![[1, 2, 3]; 6]).to_png();
        for length in 0..image.len() / 2 {
            assert!(Image::from_png(&image[..length]).unwrap_err().contains("convert the image to PNG"));
        }
        let error = Image::from_png(&png(ColorType::Rgba, &[1, 2, 3, 254])).unwrap_err();
        assert!(error.contains("save it without transparency"), "{error}");
        let error = Image::read(Path::new("absent.png")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read absent.png: "), "{error}");
    }
}
