//! `--plot`

use plotters::prelude::*;
use seqzoo_datasets::anomalies::{Judged, Monitored};

/// Known anomalies.
const KNOWN: RGBColor = RGBColor(230, 159, 0);

/// Plots a series, the end of its probationary period, its known anomalies and the alarms.
pub fn draw(series: &Monitored, judged: &Judged, column: &str) -> Result<String, String> {
    let values = &series.values;
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
    let margin = ((high - low) * 0.05).max(1e-9);
    // The legend is above the values.
    let (bottom, top) = (low - margin, high + 6.0 * margin);
    let alarms: Vec<usize> = (series.probation()..values.len()).filter(|&row| judged.is_alarm(row)).collect();
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, (980, 420)).into_drawing_area();
        let text = |error: &dyn std::fmt::Display| error.to_string();
        area.fill(&WHITE).map_err(|error| text(&error))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&series.name, ("sans-serif", 16))
            .margin(14)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0..values.len().max(2) - 1, bottom..top)
            .map_err(|error| text(&error))?;
        let label = |index: &usize| match series.times.get(*index) {
            Some(time) => time.clone(),
            None => (index + 1).to_string(),
        };
        let mut mesh = chart.configure_mesh();
        mesh.x_labels(5).x_label_formatter(&label).y_desc(column).light_line_style(WHITE);
        mesh.draw().map_err(|error| text(&error))?;
        let band = |from: usize, to: usize, style: ShapeStyle| Rectangle::new([(from, bottom), (to, top)], style);
        chart
            .draw_series([band(0, series.probation(), BLACK.mix(0.06).filled())])
            .map_err(|error| text(&error))?
            .label("probationary period")
            .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], BLACK.mix(0.1).filled()));
        if !series.windows.is_empty() {
            let windows = series.windows.iter().map(|window| band(window.start, window.end, KNOWN.mix(0.35).filled()));
            chart
                .draw_series(windows)
                .map_err(|error| text(&error))?
                .label("known anomalies")
                .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], KNOWN.mix(0.35).filled()));
        }
        let line = LineSeries::new(values.iter().copied().enumerate(), BLACK.stroke_width(1));
        chart.draw_series(line).map_err(|error| text(&error))?;
        chart
            .draw_series(alarms.iter().map(|&row| Circle::new((row, values[row]), 4, BLUE.filled())))
            .map_err(|error| text(&error))?
            .label("alarms")
            .legend(|(x, y)| Circle::new((x + 7, y), 4, BLUE.filled()));
        let mut labels = chart.configure_series_labels();
        labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.2)).position(SeriesLabelPosition::UpperLeft);
        labels.draw().map_err(|error| text(&error))?;
        area.present().map_err(|error| text(&error))?;
    }
    Ok(picture)
}
