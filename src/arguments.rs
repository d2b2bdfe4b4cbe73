//! Arguments that several commands share.

mod backend;
mod data;
mod model;
mod overrides;
mod threshold;

use std::path::PathBuf;

use burn::tensor::Device;
use seqzoo_datasets::classification::Split;
use seqzoo_inference::Examples;
use seqzoo_models::Architecture;
use seqzoo_run::did_you_mean;
use seqzoo_run::folder::Run;
use seqzoo_run::initial::Initial;
use seqzoo_run::recipe::{DataSettings, ModelSpec, Recipe};
use seqzoo_tasks::DynTrainingTask;
use seqzoo_train::check_stopping_metric;

pub use backend::BackendArgs;
pub use data::{DataArgs, DataFiles, Loaded, data_dir, recent_rows};
pub use model::{ModelArgs, runs};
pub use overrides::Overrides;
pub use threshold::{Chosen, FixedThresholdArgs, ThresholdArgs};

use crate::failure::{DATA, Failure, USAGE};
use crate::say::say;

/// Replaces the escapes `\n` (newline), `\t` (tab) and `\\` (backslash) of a text; any other backslash stays.
pub fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let next = rest.clone().next().filter(|_| character == '\\');
        let unescaped = next.and_then(|next| "nt\\".find(next)).map(|index| ['\n', '\t', '\\'][index]);
        if unescaped.is_some() {
            rest.next();
        }
        plain.push(unescaped.unwrap_or(character));
    }
    plain
}

/// The inverse of [`unescaped`].
pub fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
}

/// Parses the name of an SVG file.
pub fn svg_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_svg = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("svg"));
    is_svg.then_some(path).ok_or_else(|| "expected a name that ends in .svg".to_owned())
}

/// Looks up an architecture by name.
pub fn architecture(name: &str) -> Result<Architecture, Failure> {
    let unknown = || {
        let hint = did_you_mean(name, Architecture::ALL.map(Architecture::name));
        Failure::new(USAGE, format!("no model `{name}`{hint}; `seqzoo list models` shows all"))
    };
    Architecture::from_name(name).ok_or_else(unknown)
}

/// Checks that a split exists and is long enough to predict from.
pub fn check_split(examples: &dyn Examples, split: Split, recipe: &Recipe) -> Result<(), Failure> {
    examples.check(split, &recipe.task).map_err(|message| Failure::new(DATA, message))?;
    if examples.size(split).0 == 0 {
        let (name, split) = (recipe.data_name(), split.name());
        let sizes = Split::ALL.map(|split| (split.name(), examples.size(split)));
        let others = sizes.iter().filter(|(_, (size, _))| *size > 0);
        let others: Vec<_> = others.map(|(split, (size, unit))| format!("{split} ({size} {unit})")).collect();
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        let message = format!("the {split} split of {name} has no examples; splits with examples: {others}");
        return Err(Failure::new(DATA, message));
    }
    Ok(())
}

/// Checks that a model can be trained, and returns its initial weights, if they come from word vectors or another run; prints where they come
/// from.
pub fn initial(
    recipe: &Recipe,
    spec: &ModelSpec,
    training: &dyn DynTrainingTask,
    device: &Device,
) -> Result<Option<Initial>, Failure> {
    check_stopping_metric(training, recipe)?;
    if !recipe.init.is_set() {
        recipe.init.check_layers(training, device)?;
        return Ok(None);
    }
    let initial = Initial::new(&recipe.init, recipe.task()?, spec, training, &runs(), device)?;
    initial.notes.iter().for_each(|note| say(format_args!("note: {}: {note}", spec.name)));
    Ok(Some(initial))
}

/// The split to report: that of `[expected]`, which own data need not have, else the test split, else the validation split.
pub fn reported_split(recipe: &Recipe, files: &DataArgs, examples: &dyn Examples) -> Result<Split, Failure> {
    split_of(recipe, &files.own(recipe)?, |split| examples.size(split).0 > 0)
}

/// As [`reported_split`], for data in which `has` tells whether a split has examples.
fn split_of(recipe: &Recipe, data: &DataSettings, has: impl Fn(Split) -> bool) -> Result<Split, Failure> {
    let expected = recipe.expected_split()?.filter(|&split| data.dataset.is_some() || has(split));
    let without_test = || if has(Split::Test) { Split::Test } else { Split::Validation };
    Ok(expected.unwrap_or_else(without_test))
}

/// Loads a run's data to use one split: the `given` one, else the reported one. Files of other splits than this and the `further` ones may
/// be missing.
pub fn load_split(
    data: &DataArgs,
    run: &Run,
    given: Option<Split>,
    further: &[Split],
) -> Result<(Loaded, Split), Failure> {
    let (recipe, files) = (&run.environment.settings.recipe, data.for_run(run));
    let reported = || {
        let settings = files.own(recipe)?;
        split_of(recipe, &settings, |split| !settings.files_of(split).is_empty())
    };
    let expected = given.map_or_else(reported, Ok)?;
    let needed: Vec<Split> = further.iter().copied().chain([expected]).collect();
    let loaded = data.load_for_run(run, &needed)?;
    let split = given.map_or_else(|| reported_split(recipe, &files, &*loaded.examples), Ok)?;
    Ok((loaded, split))
}

#[cfg(test)]
mod tests {
    use super::{escaped, unescaped};

    #[test]
    fn known_escapes_are_replaced_and_others_kept() {
        for (text, expected) in [
            ("a\\nb", "a\nb"),
            ("\\t\\n", "\t\n"),
            ("a\\\\nb", "a\\nb"),
            ("\\x \\", "\\x \\"),
            ("\\\\\\n", "\\\n"),
            ("C:\\dir", "C:\\dir"),
            ("ä\\nß", "ä\nß"),
        ] {
            assert_eq!(unescaped(text), expected, "{text}");
            assert_eq!(unescaped(&escaped(expected)), expected, "{text}");
        }
    }
}
