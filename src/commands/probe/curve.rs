//! Curves of gradient norms by distance.

use std::io::Write;

use comfy_table::{CellAlignment, Table};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::report::table_style;

/// A model's norms by distance, relative to the norm at distance 0.
pub struct Curve {
    pub name: String,
    pub norms: Vec<f64>,
}

impl Curve {
    /// # Errors
    /// If the norm at distance 0 is zero or a norm is not finite.
    pub fn new(name: &str, norms: &[f64]) -> Result<Self, String> {
        let Some(first) = norms.first() else { return Err(format!("{name}: no example has a token")) };
        let relative: Vec<f64> = norms.iter().map(|norm| norm / first).collect();
        if let Some(distance) = norms.iter().position(|norm| !norm.is_finite()) {
            return Err(format!("{name}: the gradient at distance {distance} is not finite"));
        }
        if !relative.iter().all(|norm| norm.is_finite()) {
            let why = "so no relative norm is defined; a loss near 0 has no gradient left";
            return Err(format!("{name}: the gradient norm at distance 0 is {first:e}, {why}"));
        }
        Ok(Self { name: name.to_owned(), norms: relative })
    }
}

/// Prints norms at distances that double.
pub fn print(curves: &[Curve], what: &str) -> Result<(), Failure> {
    let longest = curves.iter().map(|curve| curve.norms.len()).max().unwrap_or(1).saturating_sub(1);
    let mut distances = vec![0];
    distances.extend(std::iter::successors(Some(1), |distance| Some(distance * 2)).take_while(|&d| d < longest));
    distances.push(longest);
    distances.dedup();
    let mut table = Table::new();
    table.load_style(table_style());
    table.set_header(["distance".to_owned()].into_iter().chain(curves.iter().map(|curve| curve.name.clone())));
    for distance in distances {
        let norm = |curve: &Curve| curve.norms.get(distance).map_or_else(String::new, |norm| format!("{norm:.2e}"));
        table.add_row([distance.to_string()].into_iter().chain(curves.iter().map(norm)));
    }
    table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let mut out = std::io::stdout().lock();
    writeln!(out, "gradient norm by distance from the loss, relative to distance 0 ({what})\n{table}")?;
    Ok(())
}

/// Prints the norm at each distance, by model.
pub fn print_json(curves: &[Curve], what: &str) -> Result<(), Failure> {
    let models: Map<String, Value> = curves.iter().map(|curve| (curve.name.clone(), json!(curve.norms))).collect();
    writeln!(std::io::stdout().lock(), "{}", json!({"measured": what, "relative to": "distance 0", "models": models}))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_relative_to_distance_0_or_rejected() {
        assert_eq!(Curve::new("rnn", &[4.0, 2.0, 0.0, 8.0]).unwrap().norms, [1.0, 0.5, 0.0, 2.0]);
        assert_eq!(Curve::new("lstm", &[4e-30, 2e-30]).unwrap().norms, [1.0, 0.5]);
        for (norms, message) in [
            (&[0.0, 1.0][..], "lstm: the gradient norm at distance 0 is 0e0"),
            (&[0.0, 0.0], "at distance 0 is 0e0"),
            (&[], "no example has a token"),
            (&[5e-324, 1e300], "at distance 0 is 5e-324"),
            (&[f64::NAN, 1.0], "lstm: the gradient at distance 0 is not finite"),
            (&[1.0, f64::INFINITY], "lstm: the gradient at distance 1 is not finite"),
        ] {
            let why = Curve::new("lstm", norms).err().unwrap();
            assert!(why.contains(message), "{why}");
        }
    }
}
