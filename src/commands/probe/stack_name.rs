//! Names of stacks.

use seqzoo_models::Architecture;
use seqzoo_models::layers::{Skip, StackShape};
use seqzoo_run::did_you_mean;

use crate::failure::{Failure, USAGE};

/// Parses the name of a stack, such as `lstm` or `3xrnn+residual`, whose layers and input have `size` units.
pub fn shape(name: &str, size: usize) -> Result<StackShape, Failure> {
    let unknown = |what: &str, hint: String| {
        Failure::new(USAGE, format!("{name}: no {what}{hint}; write lstm, or 3xrnn+residual for a stack"))
    };
    let (layers, rest) = match name.split_once('x') {
        Some((layers, rest)) if layers.chars().all(|c| c.is_ascii_digit()) && !layers.is_empty() => {
            let layers = layers.parse().ok().filter(|layers| (1..=64).contains(layers));
            (layers.ok_or_else(|| unknown("stack of that many layers: choose from 1 to 64", String::new()))?, rest)
        }
        _ => (1, name),
    };
    let (cell, skip) = rest.split_once('+').unwrap_or((rest, "none"));
    let architecture = Architecture::from_name(cell)
        .ok_or_else(|| unknown("such architecture", did_you_mean(cell, Architecture::ALL.map(Architecture::name))))?;
    let skips =
        [("none", Skip::None), ("residual", Skip::Residual), ("highway", Skip::Highway), ("dense", Skip::Dense)];
    let skip = skips.into_iter().find(|(known, _)| *known == skip).map(|(_, skip)| skip);
    let skip = skip.ok_or_else(|| unknown("such skip connection", String::new()))?;
    let plain = StackShape::plain(architecture, size, vec![size; layers]);
    Ok(StackShape { skip, projection: true, ..plain })
}
