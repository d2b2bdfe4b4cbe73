//! A sheet of drawings, as SVG: cells of equal size, with a label before each row.

use std::fmt::Write;

use seqzoo_datasets::drawing::Drawing;

/// Width and height of a cell.
const CELL: f64 = 100.0;

/// Space between a drawing and the border of its cell.
const MARGIN: f64 = 12.0;

/// Width of the labels.
const LABEL: f64 = 72.0;

/// Width of a line.
const STROKE: f64 = 2.5;

/// Drawings of one row.
pub(super) struct Row {
    pub label: String,
    pub drawings: Vec<Drawing>,
}

/// Draws a sheet.
pub(super) fn draw(rows: &[Row]) -> String {
    let columns = rows.iter().map(|row| row.drawings.len()).max().unwrap_or(0);
    let (width, height) = (LABEL + CELL * columns as f64, CELL * rows.len() as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <g font-family=\"sans-serif\" font-size=\"15\" fill=\"black\">\n"
    );
    for (number, row) in rows.iter().enumerate() {
        let y = CELL * (number as f64 + 0.5) + 5.0;
        let _ = writeln!(svg, "<text x=\"8\" y=\"{y}\">{}</text>", row.label);
    }
    let _ = writeln!(
        svg,
        "</g>\n<g fill=\"none\" stroke=\"black\" stroke-width=\"{STROKE}\" stroke-linecap=\"round\" stroke-linejoin=\"round\">"
    );
    for (number, row) in rows.iter().enumerate() {
        for (column, drawing) in row.drawings.iter().enumerate() {
            let center = [LABEL + CELL * (column as f64 + 0.5), CELL * (number as f64 + 0.5)];
            polylines(&mut svg, drawing, center);
        }
    }
    svg + "</g>\n</svg>\n"
}

/// Draws the strokes of a drawing, scaled to its cell; nothing if a coordinate is not finite.
fn polylines(svg: &mut String, drawing: &Drawing, center: [f64; 2]) {
    let Some([least, most]) = drawing.bounds().map(|bounds| bounds.map(|corner| corner.map(f64::from))) else { return };
    let extent = (most[0] - least[0]).max(most[1] - least[1]);
    if !extent.is_finite() {
        return;
    }
    let scale = if extent > 0.0 { (CELL - 2.0 * MARGIN) / extent } else { 1.0 };
    let place = |point: [f32; 2], axis: usize| {
        center[axis] + (f64::from(point[axis]) - (least[axis] + most[axis]) / 2.0) * scale
    };
    for stroke in drawing.strokes() {
        // A line from a point to itself is a dot.
        let dot = stroke.first().filter(|_| stroke.len() == 1);
        let points: Vec<String> =
            stroke.iter().chain(dot).map(|&point| format!("{:.2},{:.2}", place(point, 0), place(point, 1))).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\"/>", points.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The points of each polyline.
    fn lines(svg: &str) -> Vec<Vec<[f64; 2]>> {
        let point = |point: &str| {
            let (x, y) = point.split_once(',').unwrap();
            [x.parse().unwrap(), y.parse().unwrap()]
        };
        let line = |text: &str| text.split('"').next().unwrap().split(' ').map(point).collect();
        svg.split("<polyline points=\"").skip(1).map(line).collect()
    }

    #[test]
    fn drawings_are_scaled_to_their_cells_and_single_points_are_dots() {
        let drawing = |text: &str| Drawing::parse(text).unwrap();
        let rows = [
            Row { label: "T = 0.1".to_owned(), drawings: vec![drawing("0,0 1000,500"), drawing("7,7")] },
            Row { label: "T = 1".to_owned(), drawings: vec![drawing("0,0 0,1e-3;5e-4,5e-4")] },
        ];
        let svg = draw(&rows);
        assert!(svg.contains("viewBox=\"0 0 272 200\"") && svg.contains(">T = 0.1</text>"), "{svg}");
        let expected = [
            vec![[84.0, 31.0], [160.0, 69.0]],
            vec![[222.0, 50.0], [222.0, 50.0]],
            vec![[103.0, 112.0], [103.0, 188.0]],
            vec![[141.0, 150.0], [141.0, 150.0]],
        ];
        assert_eq!(lines(&svg), expected);
    }

    #[test]
    fn coordinates_that_are_not_finite_are_not_drawn() {
        let drawing = Drawing::new([vec![[0.0, 0.0], [f32::INFINITY, 1.0]]]);
        let svg = draw(&[Row { label: String::new(), drawings: vec![drawing, Drawing::default()] }]);
        assert!(lines(&svg).is_empty() && !svg.contains("inf") && !svg.contains("NaN"), "{svg}");
    }
}
