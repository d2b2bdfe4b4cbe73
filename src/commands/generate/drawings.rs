//! Drawings: JSON Lines, or a sheet.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use seqzoo_datasets::drawing::Drawing;
use seqzoo_kernels::pooled;
use seqzoo_tasks::strokes::StrokesModel;

use super::{Kind, SamplingArgs, sheet};
use crate::arguments::svg_file;
use crate::failure::{Failure, STORAGE};
use crate::say::say;

/// Temperatures of the rows of a sheet.
const TEMPERATURES: [f64; 4] = [0.1, 0.4, 0.7, 1.0];

/// Number of drawings in a row of a sheet.
const COLUMNS: usize = 8;

/// Models of drawings.
pub(super) const KIND: Kind = Kind { models: "a model of drawings", flags: &["--svg", "--max-points"] };

/// Flags of models of drawings.
#[derive(Debug, Args)]
pub(super) struct DrawingArgs {
    /// Draw a sheet to an SVG file, with a row of samples for each temperature, instead of printing the drawings.
    #[arg(long, value_name = "FILE.svg", value_parser = svg_file)]
    svg: Option<PathBuf>,
    /// Maximum number of points of a drawing, at least 2 [default: task.max_points of the recipe]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    max_points: Option<u32>,
}

impl DrawingArgs {
    pub(super) fn given(&self) -> [(&'static str, bool); 2] {
        [("--svg", self.svg.is_some()), ("--max-points", self.max_points.is_some())]
    }

    /// Prints or draws samples.
    pub(super) fn generate(&self, model: &StrokesModel, sampling: &SamplingArgs) -> Result<(), Failure> {
        let max_points = self.max_points.map_or(model.max_points(), |points| points as usize);
        let sample = |seed: u64, temperature: f64| pooled(|| model.sample(seed, temperature, max_points));
        let Some(path) = &self.svg else {
            let mut out = io::stdout().lock();
            for temperature in sampling.temperatures(&[1.0]) {
                for seed in sampling.seeds(1) {
                    writeln!(out, "{}", json(&sample(seed, temperature)))?;
                }
            }
            return Ok(());
        };
        let row = |temperature: f64| sheet::Row {
            label: format!("T = {temperature}"),
            drawings: sampling.seeds(COLUMNS).map(|seed| sample(seed, temperature)).collect(),
        };
        let rows: Vec<sheet::Row> = sampling.temperatures(&TEMPERATURES).into_iter().map(row).collect();
        std::fs::write(path, sheet::draw(&rows))
            .map_err(|error| Failure::new(STORAGE, format!("--svg {}: {error}", path.display())))?;
        say(format_args!("wrote {}", path.display()));
        Ok(())
    }
}

/// A line in the form of Quick, Draw!
fn json(drawing: &Drawing) -> String {
    // `serde_json::Value` would turn 0.1, an `f32`, into 0.10000000149011612.
    let strokes = serde_json::to_string(&drawing.lists()).expect("lists of numbers");
    format!("{{\"drawing\":{strokes}}}")
}
