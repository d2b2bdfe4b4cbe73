//! `--svg`

use plotters::prelude::*;

use super::curves::{Curve, Curves};
use crate::plot;

/// Plots mean accuracy by length, the baseline, and a mark at the training length.
pub fn draw(curves: &Curves) -> Result<String, String> {
    let lengths: Vec<f64> = curves.parameters.test_lengths.iter().map(|&length| length as f64).collect();
    let trained = curves.parameters.length as f64;
    let shortest = lengths.iter().copied().fold(trained, f64::min);
    let longest = lengths.iter().copied().fold(trained, f64::max);
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, (720, 440)).into_drawing_area();
        let message = |error: &dyn std::fmt::Display| error.to_string();
        area.fill(&WHITE).map_err(|error| message(&error))?;
        let axis = (shortest * 0.95..longest * 1.05).log_scale().with_key_points(lengths.clone());
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("{}: {}", curves.problem.name, curves.problem.summary), ("sans-serif", 16))
            .margin(14)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(axis, 0.0..1.02)
            .map_err(|error| message(&error))?;
        let label = |length: &f64| format!("{length:.0}");
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("length").y_desc("accuracy").x_label_formatter(&label).light_line_style(WHITE);
        mesh.draw().map_err(|error| message(&error))?;
        let points = |accuracies: &[f64]| -> Vec<(f64, f64)> {
            lengths.iter().copied().zip(accuracies.iter().copied()).collect()
        };
        let line = |curve: &Curve| (curve.cell.to_owned(), points(&curve.means()));
        plot::draw_lines(&mut chart, curves.cells.iter().map(line))?;
        let (baseline, accuracies) = &curves.baseline;
        plot::draw_line(&mut chart, baseline, points(accuracies), BLACK.mix(0.4).stroke_width(1))?;
        let mark = vec![(trained, 0.0), (trained, 1.02)];
        plot::draw_line(&mut chart, &format!("training length {trained}"), mark, RED.mix(0.5).stroke_width(1))?;
        plot::draw_legend(&mut chart, SeriesLabelPosition::LowerLeft)?;
        area.present().map_err(|error| message(&error))?;
    }
    Ok(picture)
}
