//! `seqzoo train --find-learning-rate`

use std::io::Write;

use seqzoo_datasets::classification::Split;
use seqzoo_train::range::{RangePoint, range_test, smoothed, suggestion};

use crate::arguments::{BackendArgs, DataArgs, Overrides, check_split, initial};
use crate::failure::Failure;
use crate::say::{flag, number, quoted, say};

/// Number of updates of a test, and of printed lines.
const RANGE_UPDATES: u32 = 300;
const RANGE_LINES: usize = 20;

/// Runs a learning-rate range test for each model; prints losses and a suggested learning rate.
pub fn run(name: &str, overrides: &Overrides, data: &DataArgs, backend: &BackendArgs) -> Result<(), Failure> {
    let given = format!("{}{}{}{}", quoted(name), overrides.flag(), data.flag(), backend.flag());
    let settings = overrides.settings(name, data)?;
    let (_, device) = backend.open(None)?;
    let recipe = &settings.recipe;
    let data = data.load(recipe)?;
    check_split(&*data, Split::Train, recipe)?;
    let specs = recipe.specs()?;
    let mut suggested = String::new();
    for spec in &specs {
        let name = &spec.name;
        say(format_args!("running a learning-rate range test on {name} …"));
        let own = recipe.of_model(name)?;
        let task = data.training(spec)?;
        let initial = initial(&own, spec, &*task, &device)?;
        let weights = initial.as_ref().map(|initial| &initial.weights);
        let tried = range_test(&*task, &own, weights, RANGE_UPDATES, &device)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{name}: smoothed loss by learning rate (seed {})", recipe.training.seed)?;
        let mut shown = smoothed(&tried).into_iter().step_by(RANGE_UPDATES as usize / RANGE_LINES);
        shown.try_for_each(|RangePoint { learning_rate, loss }| {
            writeln!(out, "  {learning_rate:.1e}  {}", number(loss))
        })?;
        let model = if specs.len() > 1 { format!("model.{name}.") } else { String::new() };
        match suggestion(&tried) {
            Some(rate) => suggested += &flag("--set", format!("{model}training.learning_rate={rate:.1e}")),
            None => writeln!(
                out,
                "no suggestion for {name}: in {RANGE_UPDATES} updates the loss does not fall below its noise at \
                 any learning rate; the recipe uses {:e}",
                own.training.learning_rate
            )?,
        }
    }
    if !suggested.is_empty() {
        writeln!(std::io::stdout().lock(), "next: seqzoo train {given}{suggested}")?;
    }
    Ok(())
}
