//! `seqzoo caption`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_datasets::image::Image;
use seqzoo_tasks::captions::Captioner;
use serde_json::{Value, json};

use crate::arguments::ModelArgs;
use crate::failure::{Failure, Failures};

/// Describe images with a captioning model: one caption per PNG file.
///
/// Images must have the size of those that the model was trained on. A file that is no such image prints an error in its place, and the exit
/// code is 4.
///
/// Examples: `seqzoo caption last scenes/1.png`, `seqzoo caption last scenes/*.png --beam 4 --json`
#[derive(Debug, Args)]
pub struct Caption {
    #[command(flatten)]
    model: ModelArgs,
    /// PNG files.
    #[arg(required = true, value_name = "FILE")]
    images: Vec<PathBuf>,
    /// Beam width; JSON output lists as many hypotheses.
    #[arg(long, value_name = "WIDTH", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    beam: u16,
    /// Print one JSON object per image.
    #[arg(long)]
    json: bool,
}

/// Number of images that are described together.
const TOGETHER: usize = 256;

impl Caption {
    pub fn run(&self) -> Result<(), Failure> {
        let (_, _, model) = self.model.open()?;
        let captioner = model.captioner()?;
        let mut out = std::io::stdout().lock();
        let mut failed = Failures::default();
        for paths in self.images.chunks(TOGETHER) {
            let read: Vec<Result<Image, Failure>> = paths.iter().map(|path| read(captioner, path)).collect();
            let images: Vec<&Image> = read.iter().flatten().collect();
            let captions =
                if images.is_empty() { Vec::new() } else { captioner.captions(&images, self.beam.into())? };
            let mut captions = captions.into_iter();
            for (path, image) in paths.iter().zip(&read) {
                let line = match image {
                    Ok(_) => self.output(path, &captions.next().expect("one per image")),
                    Err(error) => failed.line(error, self.json),
                };
                writeln!(out, "{line}")?;
            }
        }
        out.flush()?;
        failed.into_result()
    }

    /// The captions of an image, the most probable first, as one line.
    fn output(&self, path: &Path, found: &[(String, f64)]) -> String {
        let best = found.first();
        if !self.json {
            return format!("{}  {}", path.display(), best.map_or("", |(caption, _)| caption));
        }
        let hypothesis =
            |(caption, probability): &(String, f64)| json!({"caption": caption, "probability": probability});
        json!({
            "image": path.display().to_string(),
            "caption": best.map(|(caption, _)| caption),
            "probability": best.map(|(_, probability)| probability),
            "hypotheses": found.iter().map(hypothesis).collect::<Vec<Value>>(),
        })
        .to_string()
    }
}

/// Reads an image of the model's size.
fn read(captioner: &Captioner, path: &Path) -> Result<Image, Failure> {
    let image = Image::read(path)?;
    captioner.check(image.size()).map_err(|error| Failure::from(error).of(path.display()))?;
    Ok(image)
}
