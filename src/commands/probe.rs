//! `seqzoo probe`

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, Table};
use plotters::prelude::*;
use seqzoo_datasets::catalog::Data;
use seqzoo_inference::{AskError, Model};
use seqzoo_models::Architecture;
use seqzoo_models::layers::{Skip, StackShape};
use seqzoo_models::probe::fresh_reach;
use seqzoo_run::did_you_mean;
use seqzoo_run::folder::Run;

use super::{BackendChoice, DataFolder, need};
use crate::failure::{DATA, Failure, STORAGE, USAGE};
use crate::say::say;

/// Examples that a trained model is measured on.
const EXAMPLES: usize = 256;

/// How far gradients reach: the norm of a loss's gradient at each step's hidden state, by distance.
///
/// A model is an architecture, or a stack of them: 3xrnn+residual is three layers of rnn under residual connections (none,
/// residual, highway, dense).
///
/// Examples: `seqzoo probe rnn lstm gru 3xrnn+residual --lag 100`, `seqzoo probe --run last --svg reach.svg`
#[derive(Debug, Args)]
pub struct Probe {
    /// Fresh models to compare.
    #[arg(default_values_t = ["rnn", "lstm", "gru", "3xrnn+residual"].map(str::to_owned), conflicts_with = "run")]
    models: Vec<String>,
    /// Steps from the loss back to the farthest hidden state.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    lag: u16,
    /// Features of input and hidden states of fresh models.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    size: u16,
    /// From which fresh weights and noise are drawn.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Measure a run's trained models on its data instead.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Draw the norms into a file, which is replaced.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    backend: BackendChoice,
}

/// A model's norms by distance.
struct Curve {
    name: String,
    norms: Vec<f64>,
}

impl Probe {
    pub fn run(&self) -> Result<(), Failure> {
        let (_, device) = self.backend.open(None)?;
        let mut curves = Vec::new();
        let what = match &self.run {
            None => {
                for name in &self.models {
                    let shape = self.shape(name)?;
                    say(format_args!("measuring {name} …"));
                    let norms = fresh_reach(shape, usize::from(self.lag), self.seed, &device);
                    curves.push(Curve { name: name.clone(), norms });
                }
                format!("fresh weights, seed {}, {} features, noise as input", self.seed, self.size)
            }
            Some(name) => {
                let run = Run::find(name)?;
                let recipe = &run.environment.settings.recipe;
                let models =
                    recipe.models.iter().map(|name| Ok((name.as_str(), Model::open(&run.model(name), &device)?)));
                let models: Vec<(&str, Model)> = models.collect::<Result<_, Failure>>()?;
                let data = self.data.load(recipe)?;
                let split = recipe.reported_split()?;
                need(&data, split, recipe)?;
                let Data::Labelled(data) = data else { return Err(AskError::NoLabels.into()) };
                let mut examples = data.split(split).to_vec();
                examples.sort_by_key(|example| std::cmp::Reverse(seqzoo_datasets::text::words(&example.text).count()));
                examples.truncate(EXAMPLES);
                for (name, model) in models {
                    let mut norms = model.reach(&examples)?;
                    norms.truncate(usize::from(self.lag) + 1);
                    curves.push(Curve { name: name.to_owned(), norms });
                }
                format!("run {}, the {} longest examples of {}", run.path.display(), examples.len(), split.name())
            }
        };
        if let Some(bad) = curves.iter().find(|curve| curve.norms.iter().any(|norm| !norm.is_finite())) {
            return Err(Failure::new(DATA, format!("{}: a gradient is not finite", bad.name)));
        }
        print(&curves, &what)?;
        if let Some(path) = &self.svg {
            let failed =
                |error: &dyn std::fmt::Display| Failure::new(STORAGE, format!("--svg {}: {error}", path.display()));
            let picture = draw(&curves, &what).map_err(|error| failed(&error))?;
            fs::write(path, picture).map_err(|error| failed(&error))?;
            say(format_args!("drawn into {}", path.display()));
        }
        Ok(())
    }

    /// The stack that a name such as `lstm` or `3xrnn+residual` stands for.
    fn shape(&self, name: &str) -> Result<StackShape, Failure> {
        let unknown = |what: &str, hint: String| {
            Failure::new(USAGE, format!("{name}: no {what}{hint}; write lstm, or 3xrnn+residual for a stack"))
        };
        let (layers, rest) = match name.split_once('x') {
            Some((layers, rest)) if layers.chars().all(|c| c.is_ascii_digit()) && !layers.is_empty() => {
                let layers = layers.parse().ok().filter(|layers| (1..=64).contains(layers));
                (layers.ok_or_else(|| unknown("stack has so many layers: from 1 to 64 can be", String::new()))?, rest)
            }
            _ => (1, name),
        };
        let (cell, skip) = rest.split_once('+').unwrap_or((rest, "none"));
        let architecture = Architecture::named(cell).ok_or_else(|| {
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

/// Norms at distances that double.
fn print(curves: &[Curve], what: &str) -> Result<(), Failure> {
    let longest = curves.iter().map(|curve| curve.norms.len()).max().unwrap_or(1).saturating_sub(1);
    let mut distances = vec![0];
    distances.extend(std::iter::successors(Some(1), |distance| Some(distance * 2)).take_while(|&d| d < longest));
    distances.push(longest);
    distances.dedup();
    let mut table = Table::new();
    table.load_style(crate::report::plain());
    table.set_header(["distance".to_owned()].into_iter().chain(curves.iter().map(|curve| curve.name.clone())));
    for distance in distances {
        let norm = |curve: &Curve| curve.norms.get(distance).map_or_else(String::new, |norm| format!("{norm:.2e}"));
        table.add_row([distance.to_string()].into_iter().chain(curves.iter().map(norm)));
    }
    table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let mut out = std::io::stdout().lock();
    writeln!(out, "gradient norm by distance from the loss ({what})\n{table}")?;
    Ok(())
}

/// Norms against distance on a logarithmic scale; what lies below 10⁻¹² of the largest is cut off.
fn draw(curves: &[Curve], what: &str) -> Result<String, String> {
    let all = || curves.iter().flat_map(|curve| curve.norms.iter().copied()).filter(|&norm| norm > 0.0);
    let largest = all().fold(f64::MIN_POSITIVE, f64::max);
    let least = all().fold(largest, f64::min).max(largest * 1e-12);
    let longest = curves.iter().map(|curve| curve.norms.len()).max().unwrap_or(1);
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, (720, 440)).into_drawing_area();
        let told = |error: &dyn std::fmt::Display| error.to_string();
        area.fill(&WHITE).map_err(|error| told(&error))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("Gradient norm by distance: {what}"), ("sans-serif", 16))
            .margin(14)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(0..longest, (least * 0.8..largest * 1.25).log_scale())
            .map_err(|error| told(&error))?;
        let label = |norm: &f64| format!("{norm:.0e}");
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("steps back from the loss")
            .y_desc("gradient norm")
            .y_label_formatter(&label)
            .light_line_style(WHITE);
        mesh.draw().map_err(|error| told(&error))?;
        for (place, curve) in curves.iter().enumerate() {
            let colour = Palette99::pick(place).to_rgba();
            let points = curve.norms.iter().enumerate().filter(|&(_, &norm)| norm >= least).map(|(d, &norm)| (d, norm));
            let line =
                chart.draw_series(LineSeries::new(points, colour.stroke_width(2))).map_err(|error| told(&error))?;
            line.label(&curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::LowerLeft).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
        legend.draw().map_err(|error| told(&error))?;
        area.present().map_err(|error| told(&error))?;
    }
    Ok(picture)
}
