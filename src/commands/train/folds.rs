//! `seqzoo train --folds`: cross-validation; longer than other commands because it summarizes several runs.

use std::io::Write;
use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table};
use seqzoo_datasets::catalog::Origin;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::split_rule::SplitRule;
use seqzoo_datasets::uncertainty::wilson;
use seqzoo_run::folder::Run;
use seqzoo_run::recipe::Recipe;
use serde_json::{Map, Value, json};

use super::{Train, evaluate_run};
use crate::arguments::{check_split, runs};
use crate::failure::{CONFIGURATION, Failure, STORAGE, USAGE};
use crate::report::{mean_and_deviation, table_style};
use crate::say::{flag, muted, number, quoted, say};

/// File of the results, in the folder of the cross-validation.
const RESULTS: &str = "folds.json";

/// Metrics of the models and baselines on one held-out part.
struct Held {
    repeat: u64,
    fold: usize,
    report: Value,
}

/// Trains the recipe once for each part of the data, which is then the test split, and prints means over all parts.
pub fn run(train: &Train, folds: usize) -> Result<(), Failure> {
    let recipe = train.recipe.as_deref().expect("--folds conflicts with --resume");
    if train.data.has_splits() {
        let message = "--folds holds out parts of --data, but --validation-data or --test-data names a split; \
                       remove one of the two";
        return Err(Failure::new(USAGE, message));
    }
    let settings = train.overrides.settings(recipe, &train.data)?;
    let group = settings.recipe.data.split.as_ref().and_then(SplitRule::group).map(str::to_owned);
    let validation = settings.recipe.data.split.as_ref().and_then(SplitRule::random_validation).unwrap_or(0.1);
    let rule =
        |fold: usize, repeat: u64| SplitRule::Folds { folds, fold, validation, seed: repeat, group: group.clone() };
    let data = settings.recipe.task()?.data;
    if !data.split_rules.contains(&rule(1, 0).name()) {
        let message = format!("--folds: there is no cross-validation for {}: {}", data.task, data.split_note);
        return Err(Failure::new(USAGE, message));
    }
    if let Some(dataset) = settings.recipe.dataset().filter(|dataset| matches!(dataset.origin, Origin::BuiltIn)) {
        let message =
            format!("--folds: dataset {} is generated with splits of its own; name files with --data", dataset.name);
        return Err(Failure::new(USAGE, message));
    }
    // Errors and notes of the data, before anything is written.
    let first = train.overrides.clone().with_split(&rule(1, 0)).settings(recipe, &train.data)?;
    train.data.load(&first.recipe)?;
    let out = match &train.out {
        Some(out) => out.clone(),
        None => runs().create_folder(&format!("{}-folds", settings.name))?,
    };
    if runs().find(&out.to_string_lossy()).is_ok() {
        let message = format!("--out: {} is a run of its own; name another folder for the folds", out.display());
        return Err(Failure::new(USAGE, message));
    }
    check_folds(train, &out, folds, &rule)?;
    std::fs::create_dir_all(&out).map_err(|error| unwritable(&out, &error))?;
    let flags = format!("{}{}{}", train.overrides.flag(), train.data.flag(), train.backend.flag());
    let repeats = if train.repeats > 1 { format!(" --repeats {}", train.repeats) } else { String::new() };
    let resume = format!("seqzoo train {} --folds {folds}{repeats}{flags}{}", quoted(recipe), flag("--out", &out));
    say(format_args!("cross-validation in {}; if interrupted, resume with `{resume}`", out.display()));
    let mut all = Vec::new();
    for repeat in 0..train.repeats {
        for fold in 1..=folds {
            let held = one(train, &out, &rule(fold, repeat), (repeat, fold))?;
            say(format_args!("{}: {}", held.label(train.repeats), summary(&held, &settings.recipe)));
            all.push(held);
        }
    }
    let recipe = &settings.recipe;
    let results = results(&all, recipe, folds, train.repeats);
    let path = out.join(RESULTS);
    let text = serde_json::to_string_pretty(&results).expect("made of strings and numbers");
    std::fs::write(&path, text).map_err(|error| unwritable(&path, &error))?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", table(&results, recipe))?;
    writeln!(
        stdout,
        "mean ± standard deviation over {} held-out parts; all values are in {}",
        all.len(),
        path.display()
    )?;
    // The tokens of running text are not independent examples.
    if !data.split_rules.contains(&"characters") {
        accuracies(&results).map_or(Ok(()), |line| writeln!(stdout, "{line}"))?;
    }
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(STORAGE, format!("{}: {error}", path.display()))
}

/// Folder of a fold.
fn folder(train: &Train, out: &Path, (repeat, fold): (u64, usize)) -> PathBuf {
    let repeat = if train.repeats == 1 { String::new() } else { format!("repeat-{}-", repeat + 1) };
    out.join(format!("{repeat}fold-{fold}"))
}

/// The run of a fold that was trained before, if its folder exists; an error if its settings were others.
fn existing(path: &Path, recipe: &Recipe) -> Result<Option<Run>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let run = runs().find(&path.to_string_lossy())?;
    let Some(field) = run.environment.settings.difference(recipe) else { return Ok(Some(run)) };
    let message = format!(
        "{} was trained with another {field}; repeat the first command, or name another folder with --out",
        path.display()
    );
    Err(Failure::new(USAGE, message))
}

/// Checks the data of every fold before one is trained or evaluated: each needs its splits, and those that were trained before must have had the same
/// data. The parts of other repeats are of the same rows.
fn check_folds(
    train: &Train,
    out: &Path,
    folds: usize,
    rule: &impl Fn(usize, u64) -> SplitRule,
) -> Result<(), Failure> {
    let name = train.recipe.as_deref().expect("--folds conflicts with --resume");
    say(format_args!("checking the data of {folds} folds …"));
    for fold in 1..=folds {
        let recipe = train.overrides.clone().with_split(&rule(fold, 0)).settings(name, &train.data)?.recipe;
        let path = folder(train, out, (0, fold));
        let examples = match existing(&path, &recipe)? {
            Some(run) => {
                let (data, differences) = muted(|| train.data.load_compared(&run, &Split::ALL))?;
                if let Some(why) = differences.training.or(differences.test) {
                    let way_out = "restore the data, or name another folder with --out";
                    let message = format!("{} was trained on other data: {why}; {way_out}", path.display());
                    return Err(Failure::new(CONFIGURATION, message));
                }
                data.examples
            }
            None => muted(|| train.data.load(&recipe)).map_err(|error| error.of(format_args!("fold {fold}")))?,
        };
        for split in Split::ALL {
            check_split(&*examples, split, &recipe).map_err(|error| error.of(format_args!("fold {fold}")))?;
        }
    }
    Ok(())
}

/// Trains one fold, or resumes it, and evaluates its models on the part that is held out.
fn one(train: &Train, out: &Path, rule: &SplitRule, (repeat, fold): (u64, usize)) -> Result<Held, Failure> {
    let recipe = train.recipe.clone().expect("--folds conflicts with --resume");
    let path = folder(train, out, (repeat, fold));
    let overrides = train.overrides.clone().with_split(rule);
    let settings = overrides.settings(&recipe, &train.data)?;
    let own = Train::of(recipe, None, overrides, train.data.clone(), train.backend.clone());
    let own = match existing(&path, &settings.recipe)? {
        Some(_) => Train { recipe: None, resume: Some(path.to_string_lossy().into_owned()), ..own },
        None => Train { out: Some(path), ..own },
    };
    let report = muted(|| {
        let trained = own.train()?;
        if let Some((_, failure)) = trained.failed {
            return Err(failure);
        }
        let metric = trained.run.environment.settings.recipe.reported_metric();
        let report = evaluate_run(&trained.run, Split::Test, metric, &*trained.data, &trained.device)?;
        Ok(report.json())
    })?;
    Ok(Held { repeat, fold, report })
}

impl Held {
    fn label(&self, repeats: u64) -> String {
        match repeats {
            1 => format!("fold {}", self.fold),
            _ => format!("repeat {}, fold {}", self.repeat + 1, self.fold),
        }
    }
}

/// The main metric of each model.
fn summary(held: &Held, recipe: &Recipe) -> String {
    let metric = recipe.reported_metric().name;
    let value = |name: &String| held.report["models"][name][metric].as_f64().map_or("-".to_owned(), number);
    let models: Vec<String> = recipe.models.iter().map(|name| format!("{name} {}", value(name))).collect();
    format!("{} of {} examples: {}", metric, held.report["examples"], models.join(", "))
}

/// Values of each metric by model and baseline, with their mean and standard deviation.
fn results(all: &[Held], recipe: &Recipe, folds: usize, repeats: u64) -> Value {
    let examples = all.iter().filter_map(|held| held.report["examples"].as_u64()).sum::<u64>() / repeats;
    let kinds = ["models", "baselines"].map(|kind| {
        let first = all[0].report[kind].as_object().cloned().unwrap_or_default();
        let of_model = |(name, metrics): (&String, &Value)| {
            let is_metric = |key: &&String| metrics[key.as_str()].is_f64();
            let metrics = metrics.as_object().into_iter().flat_map(Map::keys).filter(is_metric);
            let of_metric = |metric: &String| {
                let values: Vec<f64> = all.iter().filter_map(|held| held.report[kind][name][metric].as_f64()).collect();
                let (mean, deviation) = mean_and_deviation(&values);
                let mut value = json!({"mean": mean, "standard deviation": deviation, "values": values});
                if metric == Metric::ACCURACY.name {
                    value["interval"] = json!(wilson(mean, examples as usize));
                }
                (metric.clone(), value)
            };
            (name.clone(), Value::Object(metrics.map(of_metric).collect()))
        };
        (kind.to_owned(), Value::Object(first.iter().map(of_model).collect()))
    });
    let mut object = Map::from_iter([
        ("folds".to_owned(), json!(folds)),
        ("repeats".to_owned(), json!(repeats)),
        ("metric".to_owned(), json!(recipe.reported_metric().name)),
        ("examples".to_owned(), json!(examples)),
    ]);
    object.extend(kinds);
    Value::Object(object)
}

/// A line with the confidence interval of each accuracy, if the task has one.
fn accuracies(results: &Value) -> Option<String> {
    let metric = Metric::ACCURACY.name;
    let of = |kind: &str| results[kind].as_object().into_iter().flatten();
    let interval = |(name, values): (&String, &Value)| {
        let [low, high] = [0, 1].map(|end| values[metric]["interval"][end].as_f64());
        Some(format!("{name} {} to {}", number(low?), number(high?)))
    };
    let all: Vec<String> = of("models").chain(of("baselines")).filter_map(interval).collect();
    let examples = &results["examples"];
    (!all.is_empty())
        .then(|| format!("95 % interval of accuracy over {examples} examples (Wilson): {}", all.join(", ")))
}

/// A row per metric, the main one first, and a column per model and baseline.
fn table(results: &Value, recipe: &Recipe) -> Table {
    let main = recipe.reported_metric().name;
    let of = |kind: &str| results[kind].as_object().cloned().unwrap_or_default();
    let columns: Vec<(String, Value)> = of("models").into_iter().chain(of("baselines")).collect();
    let metrics = columns[0].1.as_object().cloned().unwrap_or_default();
    let mut table = Table::new();
    table.load_style(table_style());
    table.set_header(
        ["held out".to_owned(), "examples".to_owned()].into_iter().chain(columns.iter().map(|(name, _)| name.clone())),
    );
    for metric in std::iter::once(main).chain(metrics.keys().map(String::as_str).filter(|&metric| metric != main)) {
        let cell = |(_, values): &(String, Value)| {
            let [mean, deviation] = ["mean", "standard deviation"].map(|key| values[metric][key].as_f64());
            mean.zip(deviation)
                .map_or("-".to_owned(), |(mean, deviation)| format!("{} ± {}", number(mean), number(deviation)))
        };
        let head = [metric.to_owned(), results["examples"].to_string()];
        table.add_row(head.into_iter().chain(columns.iter().map(cell)));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}
