//! Parts of plots that several commands share.

use plotters::prelude::*;

/// Draws lines, each with its name in the legend and a color of its own.
pub fn draw_lines<'a, 'b: 'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>,
    lines: impl Iterator<Item = (String, Vec<(X::ValueType, Y::ValueType)>)>,
) -> Result<(), String>
where
    X: Ranged<ValueType: Clone + 'static>,
    Y: Ranged<ValueType: Clone + 'static>,
{
    for (index, (name, points)) in lines.enumerate() {
        let style = Palette99::pick(index).to_rgba().stroke_width(2);
        draw_line(chart, &name, points, style)?;
    }
    Ok(())
}

/// Draws a line with its name in the legend.
pub fn draw_line<'a, 'b: 'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>,
    name: &str,
    points: Vec<(X::ValueType, Y::ValueType)>,
    style: ShapeStyle,
) -> Result<(), String>
where
    X: Ranged<ValueType: Clone + 'static>,
    Y: Ranged<ValueType: Clone + 'static>,
{
    let line = chart.draw_series(LineSeries::new(points, style)).map_err(|error| error.to_string())?;
    line.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    Ok(())
}

/// Draws the legend.
pub fn draw_legend<'a, 'b: 'a, X: Ranged, Y: Ranged>(
    chart: &mut ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>,
    position: SeriesLabelPosition,
) -> Result<(), String> {
    let mut legend = chart.configure_series_labels();
    legend.position(position).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
    legend.draw().map_err(|error| error.to_string())
}
