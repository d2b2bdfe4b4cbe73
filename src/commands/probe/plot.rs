//! `--svg`

use plotters::prelude::*;

use super::curve::Curve;

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
