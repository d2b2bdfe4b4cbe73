//! `--plot`

use plotters::prelude::*;
use seqzoo_datasets::uncertainty::{Bin, Calibration};

/// Largest radius of a point.
const RADIUS: f64 = 14.0;

/// Plots the reliability diagram of each model: accuracy by mean predicted probability of each bin, with an area in proportion to its
/// predictions; those of a calibrated model lie on the diagonal.
pub fn draw(models: &[(&str, &Calibration)], title: &str) -> Result<String, String> {
    let mut picture = String::new();
    {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let area = SVGBackend::with_string(&mut picture, (520, 520)).into_drawing_area();
        area.fill(&WHITE).map_err(|error| text(&error))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)
            .map_err(|error| text(&error))?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("predicted probability").y_desc("accuracy").light_line_style(WHITE).x_labels(6).y_labels(6);
        mesh.draw().map_err(|error| text(&error))?;
        let diagonal = LineSeries::new([(0.0, 0.0), (1.0, 1.0)], BLACK.mix(0.4).stroke_width(1));
        chart.draw_series(diagonal).map_err(|error| text(&error))?;
        for (index, (name, Calibration { expected_calibration_error, bins })) in models.iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            let most = bins.iter().map(|bin| bin.examples).max().unwrap_or(1) as f64;
            let line = LineSeries::new(bins.iter().map(|bin| (bin.probability, bin.accuracy)), color.stroke_width(2));
            let label = format!("{name}: expected calibration error {expected_calibration_error:.4}");
            let series = chart.draw_series(line).map_err(|error| text(&error))?;
            series.label(label).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
            let point = |bin: &Bin| {
                let radius = (RADIUS * (bin.examples as f64 / most).sqrt()).max(2.0) as i32;
                Circle::new((bin.probability, bin.accuracy), radius, color.mix(0.35).filled())
            };
            chart.draw_series(bins.iter().map(point)).map_err(|error| text(&error))?;
        }
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.2));
        legend.draw().map_err(|error| text(&error))?;
        area.present().map_err(|error| text(&error))?;
    }
    Ok(picture)
}
