//! `seqzoo caption`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_datasets::image::Image;
use seqzoo_tasks::captions::Captioner;
use serde_json::{Value, json};

use crate::arguments::ModelArgs;
use crate::failure::Failure;

/// Describe images with a captioning model: one caption per PNG file.
///
/// Images must have the size of those that the model was trained on.
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
        for paths in self.images.chunks(TOGETHER) {
            let images = paths.iter().map(|path| read(captioner, path)).collect::<Result<Vec<_>, _>>()?;
            let images: Vec<&Image> = images.iter().collect();
            for (path, found) in paths.iter().zip(captioner.captions(&images, self.beam.into())?) {
                writeln!(out, "{}", self.output(path, &found))?;
            }
        }
        Ok(out.flush()?)
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
