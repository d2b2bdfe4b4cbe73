//! `--plot`

use plotters::prelude::*;
use seqzoo_tasks::forecasting::PastWindow;

use super::Forecasted;

/// Plots the past, the forecast, and a band between the outermost quantiles.
pub fn draw(past: &PastWindow, forecast: &[Forecasted], target: &str) -> Result<String, String> {
    let known: Vec<f64> = past.rows.iter().map(|row| row[0]).collect();
    let outermost = |row: &Forecasted| match (row.quantiles.first(), row.quantiles.last()) {
        (Some((_, low)), Some((_, high))) => (*low, *high),
        _ => (row.value, row.value),
    };
    let band: Vec<(f64, f64)> = forecast.iter().map(outermost).collect();
    let all = || known.iter().copied().chain(band.iter().flat_map(|&(low, high)| [low, high]));
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let margin = ((high - low) * 0.05).max(1e-9);
    let times: Vec<&String> = past.times.iter().chain(forecast.iter().map(|row| &row.time)).collect();
    let now = known.len();
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, (820, 420)).into_drawing_area();
        let text = |error: &dyn std::fmt::Display| error.to_string();
        area.fill(&WHITE).map_err(|error| text(&error))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("{target} from {}, forecast from {}", times[0], times[now]), ("sans-serif", 16))
            .margin(14)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0..times.len().max(2) - 1, low - margin..high + margin)
            .map_err(|error| text(&error))?;
        let label = |index: &usize| times.get(*index).map_or_else(String::new, |time| (*time).clone());
        let mut mesh = chart.configure_mesh();
        mesh.x_labels(6).x_label_formatter(&label).y_desc(target).light_line_style(WHITE);
        mesh.draw().map_err(|error| text(&error))?;
        let mut outline: Vec<(usize, f64)> = (now..).zip(band.iter().map(|&(low, _)| low)).collect();
        outline.extend((0..band.len()).rev().map(|index| (now + index, band[index].1)));
        chart.draw_series([Polygon::new(outline, BLUE.mix(0.15).filled())]).map_err(|error| text(&error))?;
        let before = known.iter().copied().enumerate();
        chart.draw_series(LineSeries::new(before, BLACK.stroke_width(1))).map_err(|error| text(&error))?;
        let after = known.last().map(|&last| (now - 1, last)).into_iter();
        let after = after.chain((now..).zip(forecast.iter().map(|row| row.value)));
        chart.draw_series(LineSeries::new(after, BLUE.stroke_width(2))).map_err(|error| text(&error))?;
        area.present().map_err(|error| text(&error))?;
    }
    Ok(picture)
}
