//! `--svg`

use plotters::prelude::*;

use super::curve::Curve;
use crate::plot;

/// Plots norms by distance on a logarithmic scale; norms below 10⁻¹² of the largest are cut off.
pub fn draw(curves: &[Curve], what: &str) -> Result<String, String> {
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
        let line = |curve: &Curve| {
            let points = curve.norms.iter().copied().enumerate().filter(|&(_, norm)| norm >= least);
            (curve.name.clone(), points.collect::<Vec<_>>())
        };
        plot::draw_lines(&mut chart, curves.iter().map(line))?;
        plot::draw_legend(&mut chart, SeriesLabelPosition::LowerLeft)?;
        area.present().map_err(|error| message(&error))?;
    }
    Ok(picture)
}
