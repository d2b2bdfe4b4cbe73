//! `seqzoo probe`

use std::any::Any;
use std::cmp::Reverse;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use comfy_table::{CellAlignment, Table};
use plotters::prelude::*;
use seqzoo_datasets::classification::{Classification, Example};
use seqzoo_inference::{Model, PredictError};
use seqzoo_models::Architecture;
use seqzoo_models::layers::{Skip, StackShape};
use seqzoo_models::probe::initial_gradient_norms;
use seqzoo_run::did_you_mean;
use seqzoo_run::folder::Run;
use serde_json::{Map, Value, json};

use super::{BackendArgs, DataArgs, check_split, reported_split, runs};
use crate::failure::{DATA, Failure, STORAGE, USAGE};
use crate::say::say;

/// Number of examples to measure a trained model on.
const EXAMPLES: usize = 256;

/// Measure how far gradients reach back in time.
///
/// Prints the norm of the loss's gradient at each step's hidden state, by distance from the loss and relative to
/// distance 0, which makes models with different losses comparable.
///
/// A model is an architecture or a stack: 3xrnn+residual is three rnn layers with residual connections (none, residual,
/// highway, dense).
///
/// Examples: `seqzoo probe rnn lstm gru 3xrnn+residual --lag 100`, `seqzoo probe --run last --svg reach.svg`
#[derive(Debug, Args)]
pub struct Probe {
    /// Untrained models to compare.
    #[arg(default_values_t = ["rnn", "lstm", "gru", "3xrnn+residual"].map(str::to_owned), conflicts_with = "run")]
    models: Vec<String>,
    /// Largest distance from the loss, in time steps.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    lag: u16,
    /// Input and hidden size of untrained models.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    size: u16,
    /// Random seed of untrained weights and noise inputs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Measure the trained models of this run on its data instead.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Plot the norms to an SVG file, overwriting it.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

/// A model's name and its norms by distance.
type Norms = (String, Vec<f64>);

/// A model's norms by distance, relative to the norm at distance 0.
struct Curve {
    name: String,
    norms: Vec<f64>,
}

impl Curve {
    /// # Errors
    /// If the norm at distance 0 is zero or a norm is not finite.
    fn new(name: &str, norms: &[f64]) -> Result<Self, String> {
        let Some(first) = norms.first() else { return Err(format!("{name}: no example has a token")) };
        let relative: Vec<f64> = norms.iter().map(|norm| norm / first).collect();
        if let Some(distance) = norms.iter().position(|norm| !norm.is_finite()) {
            return Err(format!("{name}: the gradient at distance {distance} is not finite"));
        }
        if !relative.iter().all(|norm| norm.is_finite()) {
            let why = "so no relative norm is defined; a loss near 0 has no gradient left";
            return Err(format!("{name}: the gradient norm at distance 0 is {first:e}, {why}"));
        }
        Ok(Self { name: name.to_owned(), norms: relative })
    }
}

impl Probe {
    pub fn run(&self) -> Result<(), Failure> {
        let (_, device) = self.backend.open(None)?;
        let (measured, what) = match &self.run {
            None => {
                let mut measured = Vec::new();
                for name in &self.models {
                    let shape = self.shape(name)?;
                    say(format_args!("measuring {name} …"));
                    let norms = initial_gradient_norms(shape, usize::from(self.lag), self.seed, &device);
                    measured.push((name.clone(), norms));
                }
                (measured, format!("untrained weights, seed {}, size {}, noise inputs", self.seed, self.size))
            }
            Some(name) => self.of_run(&runs().find(name)?, &device)?,
        };
        let mut curves = Vec::new();
        for (name, norms) in &measured {
            match Curve::new(name, norms) {
                Ok(curve) => curves.push(curve),
                Err(why) if measured.len() == 1 => return Err(Failure::new(DATA, why)),
                Err(why) => say(format_args!("note: {why}; skipped")),
            }
        }
        if curves.is_empty() {
            return Err(Failure::new(DATA, "no model has a finite, non-zero gradient norm at distance 0"));
        }
        if self.json {
            print_json(&curves, &what)?
        } else {
            print(&curves, &what)?
        }
        if let Some(path) = &self.svg {
            let failed =
                |error: &dyn std::fmt::Display| Failure::new(STORAGE, format!("--svg {}: {error}", path.display()));
            let picture = draw(&curves, &what).map_err(|error| failed(&error))?;
            fs::write(path, picture).map_err(|error| failed(&error))?;
            say(format_args!("wrote {}", path.display()));
        }
        Ok(())
    }

    /// Norms of a run's models on their longest examples, by number of encoded tokens, and a description of the measurement.
    fn of_run(&self, run: &Run, device: &Device) -> Result<(Vec<Norms>, String), Failure> {
        let recipe = &run.environment.settings.recipe;
        let models = recipe.models.iter().map(|name| Ok((name.clone(), Model::open(&run.model(name), device)?)));
        let models: Vec<(String, Model)> = models.collect::<Result<_, Failure>>()?;
        let data = self.data.load_for_run(run)?;
        let split = reported_split(recipe, &*data)?;
        check_split(&*data, split, recipe)?;
        let data: &dyn Any = &*data;
        let data: &Classification = data.downcast_ref().ok_or(PredictError::NotClassifier)?;
        let mut measured = Vec::new();
        let mut count = 0;
        for (name, model) in models {
            let classifier = model.classifier()?;
            let encoded = |example: &Example| (classifier.encode(&example.text).len(), example.clone());
            let mut examples: Vec<(usize, Example)> = data.split(split).iter().map(encoded).collect();
            examples.retain(|&(tokens, _)| tokens > 0);
            examples.sort_by_key(|&(tokens, _)| Reverse(tokens));
            examples.truncate(EXAMPLES);
            count = examples.len();
            let examples: Vec<Example> = examples.into_iter().map(|(_, example)| example).collect();
            let mut norms = classifier.gradient_norms_by_distance(&examples);
            norms.truncate(usize::from(self.lag) + 1);
            measured.push((name, norms));
        }
        Ok((measured, format!("run {}, the {count} longest examples of {}", run.path.display(), split.name())))
    }

    /// Parses a stack name such as `lstm` or `3xrnn+residual`.
    fn shape(&self, name: &str) -> Result<StackShape, Failure> {
        let unknown = |what: &str, hint: String| {
            Failure::new(USAGE, format!("{name}: no {what}{hint}; write lstm, or 3xrnn+residual for a stack"))
        };
        let (layers, rest) = match name.split_once('x') {
            Some((layers, rest)) if layers.chars().all(|c| c.is_ascii_digit()) && !layers.is_empty() => {
                let layers = layers.parse().ok().filter(|layers| (1..=64).contains(layers));
                (layers.ok_or_else(|| unknown("stack of that many layers: choose from 1 to 64", String::new()))?, rest)
            }
            _ => (1, name),
        };
        let (cell, skip) = rest.split_once('+').unwrap_or((rest, "none"));
        let architecture = Architecture::from_name(cell).ok_or_else(|| {
            unknown("such architecture", did_you_mean(cell, Architecture::ALL.map(Architecture::name)))
        })?;
        let skips =
            [("none", Skip::None), ("residual", Skip::Residual), ("highway", Skip::Highway), ("dense", Skip::Dense)];
        let skip = skips.into_iter().find(|(known, _)| *known == skip).map(|(_, skip)| skip);
        let skip = skip.ok_or_else(|| unknown("such skip connection", String::new()))?;
        let size = usize::from(self.size);
        let plain = StackShape::plain(architecture, size, vec![size; layers]);
        Ok(StackShape { skip, projection: true, ..plain })
    }
}

/// Prints norms at distances that double.
fn print(curves: &[Curve], what: &str) -> Result<(), Failure> {
    let longest = curves.iter().map(|curve| curve.norms.len()).max().unwrap_or(1).saturating_sub(1);
    let mut distances = vec![0];
    distances.extend(std::iter::successors(Some(1), |distance| Some(distance * 2)).take_while(|&d| d < longest));
    distances.push(longest);
    distances.dedup();
    let mut table = Table::new();
    table.load_style(crate::report::table_style());
    table.set_header(["distance".to_owned()].into_iter().chain(curves.iter().map(|curve| curve.name.clone())));
    for distance in distances {
        let norm = |curve: &Curve| curve.norms.get(distance).map_or_else(String::new, |norm| format!("{norm:.2e}"));
        table.add_row([distance.to_string()].into_iter().chain(curves.iter().map(norm)));
    }
    table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let mut out = std::io::stdout().lock();
    writeln!(out, "gradient norm by distance from the loss, relative to distance 0 ({what})\n{table}")?;
    Ok(())
}

/// Prints the norm at each distance, by model.
fn print_json(curves: &[Curve], what: &str) -> Result<(), Failure> {
    let models: Map<String, Value> = curves.iter().map(|curve| (curve.name.clone(), json!(curve.norms))).collect();
    writeln!(std::io::stdout().lock(), "{}", json!({"measured": what, "relative to": "distance 0", "models": models}))?;
    Ok(())
}

/// Plots norms by distance on a logarithmic scale; norms below 10⁻¹² of the largest are cut off.
fn draw(curves: &[Curve], what: &str) -> Result<String, String> {
    let all = || curves.iter().flat_map(|curve| curve.norms.iter().copied()).filter(|&norm| norm > 0.0);
    let largest = all().fold(f64::MIN_POSITIVE, f64::max);
    let least = all().fold(largest, f64::min).max(largest * 1e-12);
    let longest = curves.iter().map(|curve| curve.norms.len()).max().unwrap_or(1);
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, (720, 440)).into_drawing_area();
        let message = |error: &dyn std::fmt::Display| error.to_string();
        area.fill(&WHITE).map_err(|error| message(&error))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("Gradient norm relative to distance 0: {what}"), ("sans-serif", 16))
            .margin(14)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(0..longest, (least * 0.8..largest * 1.25).log_scale())
            .map_err(|error| message(&error))?;
        let label = |norm: &f64| format!("{norm:.0e}");
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("steps back from the loss")
            .y_desc("gradient norm, relative to distance 0")
            .y_label_formatter(&label)
            .light_line_style(WHITE);
        mesh.draw().map_err(|error| message(&error))?;
        for (index, curve) in curves.iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            let points = curve.norms.iter().enumerate().filter(|&(_, &norm)| norm >= least).map(|(d, &norm)| (d, norm));
            let line =
                chart.draw_series(LineSeries::new(points, color.stroke_width(2))).map_err(|error| message(&error))?;
            line.label(&curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        }
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::LowerLeft).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
        legend.draw().map_err(|error| message(&error))?;
        area.present().map_err(|error| message(&error))?;
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_relative_to_distance_0_or_rejected() {
        assert_eq!(Curve::new("rnn", &[4.0, 2.0, 0.0, 8.0]).unwrap().norms, [1.0, 0.5, 0.0, 2.0]);
        assert_eq!(Curve::new("lstm", &[4e-30, 2e-30]).unwrap().norms, [1.0, 0.5]);
        for (norms, message) in [
            (&[0.0, 1.0][..], "lstm: the gradient norm at distance 0 is 0e0"),
            (&[0.0, 0.0], "at distance 0 is 0e0"),
            (&[], "no example has a token"),
            (&[5e-324, 1e300], "at distance 0 is 5e-324"),
            (&[f64::NAN, 1.0], "lstm: the gradient at distance 0 is not finite"),
            (&[1.0, f64::INFINITY], "lstm: the gradient at distance 1 is not finite"),
        ] {
            let why = Curve::new("lstm", norms).err().unwrap();
            assert!(why.contains(message), "{why}");
        }
    }
}
