//! `--attention`

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use seqzoo_tasks::seq2seq::Alignment;

/// Width and height of a cell, in pixels.
const CELL: i32 = 30;
/// Width of a character of a token, in pixels.
const CHARACTER: i32 = 8;
/// Longest token that is shown in full, in characters.
const LONGEST: usize = 20;
const MARGIN: i32 = 14;
/// Height of the caption.
const CAPTION: i32 = 30;
/// Color of the weight 1; that of 0 is white.
const DARK: RGBColor = RGBColor(8, 48, 107);

/// Draws attention weights: source tokens across, output tokens down. The picture grows with the number of tokens, so that all are
/// readable.
pub fn draw(alignment: &Alignment) -> Result<String, String> {
    let columns: Vec<String> = alignment.source.iter().map(|token| shown(token)).collect();
    let end = || "(end)".to_owned();
    let rows: Vec<String> = alignment.target.iter().map(|token| token.as_deref().map_or_else(end, shown)).collect();
    let (left, top) = (MARGIN + extent(&rows), CAPTION + MARGIN + extent(&columns));
    let size = |start: i32, cells: usize| (start + CELL * cells as i32 + MARGIN).unsigned_abs();
    // Wide enough for the caption.
    let (width, height) = (size(left, columns.len()).max(420), size(top, rows.len()));
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, (width, height)).into_drawing_area();
        let message = |error: &dyn std::fmt::Display| error.to_string();
        let style = TextStyle::from(("sans-serif", 16).into_font());
        let text = |text: &str, style: &TextStyle, place: (i32, i32)| {
            area.draw_text(text, style, place).map_err(|error| message(&error))
        };
        area.fill(&WHITE).map_err(|error| message(&error))?;
        let caption = "Attention weights in percent: source across, output down";
        text(caption, &style.pos(Pos::new(HPos::Left, VPos::Center)), (MARGIN, CAPTION / 2))?;
        let upward = style.pos(Pos::new(HPos::Left, VPos::Center)).transform(FontTransform::Rotate270);
        for (column, token) in (0..).zip(&columns) {
            text(token, &upward, (left + CELL * column + CELL / 2, top - 6))?;
        }
        let before = style.pos(Pos::new(HPos::Right, VPos::Center));
        for (row, (token, weights)) in (0..).zip(rows.iter().zip(&alignment.weights)) {
            let y = top + CELL * row;
            text(token, &before, (left - 6, y + CELL / 2))?;
            for (column, &weight) in (0..).zip(weights) {
                let x = left + CELL * column;
                let cell = [(x, y), (x + CELL, y + CELL)];
                let filled = Rectangle::new(cell, shade(weight).filled());
                area.draw(&filled).map_err(|error| message(&error))?;
                area.draw(&Rectangle::new(cell, BLACK.mix(0.15))).map_err(|error| message(&error))?;
                let color = if weight < 0.5 { &BLACK } else { &WHITE };
                let percent = format!("{:.0}", 100.0 * weight);
                if percent != "0" {
                    let centered = style.pos(Pos::new(HPos::Center, VPos::Center)).color(color);
                    text(&percent, &centered, (x + CELL / 2, y + CELL / 2))?;
                }
            }
        }
        area.present().map_err(|error| message(&error))?;
    }
    Ok(picture)
}

/// A token with visible spaces and line ends, shortened if it is long.
fn shown(token: &str) -> String {
    let visible = |character: char| match character {
        ' ' => '␣',
        '\n' => '↵',
        '\t' => '⇥',
        other => other,
    };
    let count = token.chars().count();
    let kept = if count > LONGEST { LONGEST - 1 } else { count };
    token.chars().map(visible).take(kept).chain((count > LONGEST).then_some('…')).collect()
}

/// Space for labels, in pixels.
fn extent(labels: &[String]) -> i32 {
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    CHARACTER * (longest as i32 + 1)
}

/// White for a weight of 0, dark for a weight of 1.
fn shade(weight: f32) -> RGBColor {
    let part = |dark: u8| (255.0 + (f32::from(dark) - 255.0) * weight.clamp(0.0, 1.0)).round() as u8;
    RGBColor(part(DARK.0), part(DARK.1), part(DARK.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_and_weight_is_drawn() {
        let alignment = Alignment {
            source: ["rain", "<in>", " "].map(str::to_owned).to_vec(),
            target: vec![Some("a".repeat(30)), None],
            weights: vec![vec![0.98, 0.02, 0.0], vec![0.25, 0.25, 0.5]],
        };
        let picture = draw(&alignment).unwrap();
        let shortened = "a".repeat(19) + "…";
        for part in ["rain", "&lt;in&gt;", "␣", &shortened, "(end)", "\n98\n", "\n2\n", "\n50\n"] {
            assert!(picture.contains(part), "{part}: {picture}");
        }
        // Background, six filled cells and their borders.
        assert_eq!((picture.matches("<rect").count(), picture.matches("\n0\n").count()), (13, 0));
    }

    #[test]
    fn weights_are_shaded_from_white_to_dark() {
        assert_eq!([shade(0.0), shade(1.0), shade(1.1)], [WHITE, DARK, DARK]);
    }
}
