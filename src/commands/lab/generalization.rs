//! `seqzoo lab generalization`; longer than other commands because of its options.

mod curves;
mod plot;
mod trainer;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_datasets::problems::{self, Problem};
use seqzoo_models::Architecture;
use seqzoo_run::did_you_mean;
use seqzoo_run::settings::{Override, Settings};
use serde_json::{Map, Value};

use curves::Curves;
use trainer::{Pace, Trainer};

use crate::arguments::{BackendArgs, architecture, svg_file};
use crate::failure::{Failure, STORAGE, USAGE};
use crate::say::say;
use crate::signals::Signals;

/// The shipped recipe that is trained.
const RECIPE: &str = "memory";

/// Number of validations per training.
const VALIDATIONS: u32 = 10;

/// The name that stands for every problem.
const ALL: &str = "all";

/// Train every cell on short sequences of a problem, and measure its accuracy on longer ones.
///
/// Each cell is trained with each learning rate and the first seed; the learning rate with the best validation accuracy, at lengths that
/// were trained on, is then used with the other seeds. Prints a table of test accuracy by length for each problem, with mean and standard
/// deviation over the seeds. The last row is the baseline: the accuracy of a model that always predicts the target that is most frequent in
/// training (for numbers, their mean), whatever its input. A cell that is no better has learned nothing of the problem at this length.
///
/// The time that is left is estimated after each training. Cells without a fused kernel (peephole-lstm, layer-norm-lstm) take several times
/// as long as the others.
///
/// Examples: `seqzoo lab generalization parity --svg parity.svg`,
/// `seqzoo lab generalization copy dyck --models rnn,lstm,gru --length 20 --lengths 10,20,40,160`
#[derive(Debug, Args)]
pub struct Generalization {
    /// Problems, or `all`: adding, copy, selective-copying, temporal-order, even-pairs, parity, cycle-navigation, modular-arithmetic, counting,
    /// dyck, reverse-string, duplicate-string, missing-duplicate, odds-first, bucket-sort.
    #[arg(required = true, value_name = "PROBLEM")]
    problems: Vec<String>,
    /// Cells to train [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    models: Vec<String>,
    /// Maximum length of training sequences.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    length: u16,
    /// Lengths of test sequences.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [10, 20, 40, 80, 160, 320],
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    lengths: Vec<u16>,
    /// Difficulty: number of symbols, modulus or depth [default: that of the problem]
    #[arg(long, value_name = "N")]
    difficulty: Option<u16>,
    /// Number of optimizer updates, rounded up so that the model is validated after each tenth of them.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    steps: u32,
    /// Random seeds of weights and training sequences.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 2, 3])]
    seeds: Vec<u32>,
    /// Learning rates to choose from.
    #[arg(long, value_name = "RATE,…", value_delimiter = ',', default_values_t = [1e-3, 3e-3, 1e-2], value_parser = learning_rate)]
    learning_rates: Vec<f64>,
    /// Number of sequences per batch.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    batch_size: u16,
    /// Hidden size of the recurrent layer.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    hidden_size: u16,
    /// Number of test sequences of each length, and of validation sequences.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    test_examples: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Plot accuracy by length to an SVG file, overwriting it; with several problems, a file for each, FILE-PROBLEM.svg.
    #[arg(long, value_name = "FILE.svg", value_parser = svg_file)]
    svg: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendArgs,
}

fn learning_rate(text: &str) -> Result<f64, String> {
    let rate = text.trim().parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "expected a number above 0, such as 3e-3".to_owned())
}

impl Generalization {
    pub fn run(&self) -> Result<(), Failure> {
        let (problems, cells) = (self.problems()?, self.cells()?);
        // Errors of all problems, before anything is trained.
        self.check_seeds()?;
        problems.iter().try_for_each(|problem| self.check_svg(problem, problems.len()))?;
        let settings = problems.iter().map(|problem| self.settings(problem, &cells)).collect::<Result<Vec<_>, _>>()?;
        let (_, device) = self.backend.open(None)?;
        let signals = Signals::listen()?;
        let folder = tempfile::tempdir()
            .map_err(|error| Failure::new(STORAGE, format!("cannot create a temporary folder: {error}")))?;
        let trainings = self.learning_rates.len() + self.seeds.len().saturating_sub(1);
        let pace = Pace::start(problems.len() * cells.len() * trainings);
        let mut measured = Vec::new();
        for (&problem, settings) in problems.iter().zip(&settings) {
            let trainer = Trainer::new(settings, folder.path(), &device, &signals, &pace)?;
            let curves = self.measure(problem, &trainer, &cells)?;
            if self.json {
                measured.push(curves);
            } else {
                curves.print()?;
                self.draw(&curves, problems.len())?;
            }
        }
        if self.json {
            let found = measured.iter().map(|curves| (curves.problem.name.to_owned(), curves.json())).collect();
            writeln!(std::io::stdout().lock(), "{}", self.json(found))?;
            measured.iter().try_for_each(|curves| self.draw(curves, problems.len()))?;
        }
        Ok(())
    }

    /// Refuses a seed that is given twice: the same training would count twice in means and deviations.
    fn check_seeds(&self) -> Result<(), Failure> {
        let is_repeated = |index: &usize| self.seeds[..*index].contains(&self.seeds[*index]);
        (0..self.seeds.len()).find(is_repeated).map_or(Ok(()), |index| {
            let seed = self.seeds[index];
            Err(Failure::new(USAGE, format!("--seeds: {seed} is given twice; each training needs another seed")))
        })
    }

    /// Checks that the plot of one of `count` problems can be written.
    fn check_svg(&self, problem: &Problem, count: usize) -> Result<(), Failure> {
        let Some(path) = self.svg_path(problem, count) else { return Ok(()) };
        let is_new = !path.exists();
        let opened = fs::OpenOptions::new().append(true).create(true).open(&path);
        let checked = opened.and_then(|_| if is_new { fs::remove_file(&path) } else { Ok(()) });
        checked.map_err(|error| svg_failure(&path, &error))
    }

    /// Plots the curves of one of `count` problems, with `--svg`.
    fn draw(&self, curves: &Curves, count: usize) -> Result<(), Failure> {
        let Some(path) = self.svg_path(curves.problem, count) else { return Ok(()) };
        let picture = plot::draw(curves).map_err(|error| svg_failure(&path, &error))?;
        fs::write(&path, picture).map_err(|error| svg_failure(&path, &error))?;
        say(format_args!("wrote {}", path.display()));
        Ok(())
    }

    /// The file of the plot of one of `count` problems: `FILE-PROBLEM.svg` if there are several.
    fn svg_path(&self, problem: &Problem, count: usize) -> Option<PathBuf> {
        let path = self.svg.as_ref()?;
        if count == 1 {
            return Some(path.clone());
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        Some(path.with_file_name(format!("{stem}-{}.svg", problem.name)))
    }

    fn problems(&self) -> Result<Vec<&'static Problem>, Failure> {
        if self.problems.iter().any(|name| name == ALL) {
            return Ok(problems::ALL.to_vec());
        }
        let known = || problems::ALL.iter().map(|problem| problem.name);
        let problem = |name: &String| {
            let unknown = || {
                let all = known().collect::<Vec<_>>().join(", ");
                let hint = did_you_mean(name, known());
                Failure::new(USAGE, format!("no problem `{name}`{hint}; choose from {all}, or {ALL}"))
            };
            Problem::named(name).ok_or_else(unknown)
        };
        self.problems.iter().map(problem).collect()
    }

    fn cells(&self) -> Result<Vec<Architecture>, Failure> {
        if self.models.is_empty() {
            return Ok(Architecture::ALL.into_iter().filter(|cell| cell.directions() == 1).collect());
        }
        let cell = |name: &String| match architecture(name)? {
            cell if cell.directions() == 1 => Ok(cell),
            both => {
                let forward = both.forward().name();
                let message = format!("--models {name}: a target depends on earlier steps only; use {forward}");
                Err(Failure::new(USAGE, message))
            }
        };
        self.models.iter().map(cell).collect()
    }

    /// The lengths of test sequences, each once, in increasing order.
    fn test_lengths(&self) -> Vec<u16> {
        let mut lengths = self.lengths.clone();
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }

    /// Number of epochs, each of which ends with a validation, and of updates per epoch.
    fn epochs(&self) -> (u32, u32) {
        let steps_per_epoch = self.steps.div_ceil(VALIDATIONS);
        (self.steps.div_ceil(steps_per_epoch), steps_per_epoch)
    }

    /// The settings of the trainings on a problem; the learning rate and the seed are those of each training.
    fn settings(&self, problem: &Problem, cells: &[Architecture]) -> Result<Settings, Failure> {
        let names: Vec<&str> = cells.iter().map(|cell| cell.name()).collect();
        let (epochs, steps_per_epoch) = self.epochs();
        let examples = u64::from(steps_per_epoch) * u64::from(self.batch_size);
        let set = |origin: &str, field: &str, value: String| Override {
            origin: origin.to_owned(),
            field: field.to_owned(),
            value,
        };
        let mut overrides = vec![
            set("PROBLEM", "data.options.problem", format!("{:?}", problem.name)),
            set("--models", "models", format!("{names:?}")),
            set("--length", "data.options.length", self.length.to_string()),
            set("--lengths", "data.options.test_lengths", format!("{:?}", self.test_lengths())),
            set("--test-examples", "data.options.test_examples", self.test_examples.to_string()),
            set("--steps", "data.options.examples", examples.to_string()),
            set("--steps", "training.epochs", epochs.to_string()),
            set("--steps", "stopping.patience", epochs.to_string()),
            // The loss still falls when the accuracy at the lengths of training is perfect.
            set("lab", "stopping.metric", "loss".to_owned()),
            set("--batch-size", "training.batch_size", self.batch_size.to_string()),
            set("--hidden-size", "network.hidden_sizes", format!("[{}]", self.hidden_size)),
        ];
        if let Some(difficulty) = self.difficulty {
            overrides.push(set("--difficulty", "data.options.difficulty", difficulty.to_string()));
        }
        let settings = Settings::read(RECIPE)?.with_overrides(&overrides)?;
        Ok(settings)
    }

    /// Trains each cell and measures its accuracy by length.
    fn measure(&self, problem: &'static Problem, trainer: &Trainer, cells: &[Architecture]) -> Result<Curves, Failure> {
        let cells = cells.iter().map(|cell| trainer.curve(cell.name(), &self.learning_rates, &self.seeds));
        let cells = cells.collect::<Result<Vec<_>, Failure>>()?;
        Ok(Curves { problem, parameters: trainer.parameters().clone(), baseline: trainer.baseline(), cells })
    }

    fn json(&self, problems: Map<String, Value>) -> Value {
        let (epochs, steps_per_epoch) = self.epochs();
        serde_json::json!({
            "length": self.length,
            "lengths": self.test_lengths(),
            "steps": epochs * steps_per_epoch,
            "seeds": self.seeds,
            "learning_rates": self.learning_rates,
            "batch_size": self.batch_size,
            "hidden_size": self.hidden_size,
            "test_examples": self.test_examples,
            "problems": problems,
        })
    }
}

fn svg_failure(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(STORAGE, format!("--svg {}: {error}", path.display()))
}
