//! Problems of memory and of formal languages whose length and difficulty are parameters.
//!
//! An example is a sequence of inputs, and a target at some of its steps. A problem whose output is known only after the whole input has
//! *answer steps* at its end, whose input is the symbol [`ANSWER`]; the target of such a step is a symbol of the output (Delétang et al.
//! 2022). Examples are pure functions of a seed and indices.
//!
//! To add a problem, add a function that draws an example and a [`Problem`] to one of the files of this folder, and its name to [`ALL`].

use std::ops::RangeInclusive;

use seqzoo_random::{Key, Purpose, Rng, RngExt};
use toml::{Table, Value};

use crate::DataError;
use crate::nearest::did_you_mean;

mod context_free;
mod context_sensitive;
mod recall;
mod regular;

/// Every problem, in listing order.
pub static ALL: [&Problem; 15] = [
    &recall::ADDING,
    &recall::COPY,
    &recall::SELECTIVE_COPYING,
    &recall::TEMPORAL_ORDER,
    &regular::EVEN_PAIRS,
    &regular::PARITY,
    &regular::CYCLE_NAVIGATION,
    &regular::MODULAR_ARITHMETIC,
    &context_free::COUNTING,
    &context_free::DYCK,
    &context_free::REVERSE_STRING,
    &context_sensitive::DUPLICATE_STRING,
    &context_sensitive::MISSING_DUPLICATE,
    &context_sensitive::ODDS_FIRST,
    &context_sensitive::BUCKET_SORT,
];

/// Input of the steps at which the output is predicted.
pub const ANSWER: &str = "?";

/// Numbers per step of numeric inputs.
pub const CHANNELS: usize = 2;

/// Largest error of a number that counts as right (Hochreiter and Schmidhuber 1997).
pub const TOLERANCE: f32 = 0.04;

/// A problem.
#[derive(Debug)]
pub struct Problem {
    /// The name in `data.options.problem`.
    pub name: &'static str,
    /// One line for listings.
    pub summary: &'static str,
    /// Where it is from.
    pub paper: &'static str,
    /// The meaning of its difficulty.
    pub difficulty: Difficulty,
    /// The length of its shortest examples.
    pub shortest: usize,
    /// Names of the input symbols at a difficulty; none if the inputs are numbers.
    inputs: fn(usize) -> Vec<String>,
    /// Names of the output symbols at a difficulty; none if the output is a number.
    outputs: fn(usize) -> Vec<String>,
    /// Draws an example from a random stream, given its length and difficulty.
    draw: fn(&mut dyn Rng, usize, usize) -> Example,
}

/// The meaning of a problem's difficulty.
#[derive(Debug)]
pub struct Difficulty {
    /// What it counts.
    pub meaning: &'static str,
    /// The default.
    pub default: usize,
    /// Valid values.
    pub valid: RangeInclusive<usize>,
}

/// An example: an input at each step, and a target at some of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The inputs.
    pub inputs: Inputs,
    /// The targets, as many as inputs; `None` where nothing is predicted.
    pub targets: Targets,
}

/// The inputs of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Indices of input symbols.
    Symbols(Vec<u32>),
    /// Numbers.
    Numbers(Vec<[f32; CHANNELS]>),
}

/// The targets of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Indices of output symbols.
    Symbols(Vec<Option<u32>>),
    /// Numbers.
    Numbers(Vec<Option<f32>>),
}

impl Example {
    /// Number of steps.
    pub fn steps(&self) -> usize {
        match &self.inputs {
            Inputs::Symbols(symbols) => symbols.len(),
            Inputs::Numbers(numbers) => numbers.len(),
        }
    }

    /// The steps that have a target.
    pub fn target_steps(&self) -> Vec<usize> {
        match &self.targets {
            Targets::Symbols(targets) => (0..targets.len()).filter(|&step| targets[step].is_some()).collect(),
            Targets::Numbers(targets) => (0..targets.len()).filter(|&step| targets[step].is_some()).collect(),
        }
    }

    /// An example with input symbols, and an answer step for each symbol of the output; `answer` is the index of [`ANSWER`].
    fn answered(mut inputs: Vec<u32>, answer: u32, output: &[u32]) -> Self {
        let mut targets = vec![None; inputs.len()];
        inputs.extend(output.iter().map(|_| answer));
        targets.extend(output.iter().copied().map(Some));
        Self { inputs: Inputs::Symbols(inputs), targets: Targets::Symbols(targets) }
    }
}

impl Problem {
    /// The problem with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|problem| problem.name == name)
    }

    /// Names of the input symbols; none if the inputs are numbers.
    pub fn inputs(&self, difficulty: usize) -> Vec<String> {
        (self.inputs)(difficulty)
    }

    /// Names of the output symbols; none if the output is a number.
    pub fn outputs(&self, difficulty: usize) -> Vec<String> {
        (self.outputs)(difficulty)
    }

    /// Draws an example from a random stream.
    ///
    /// # Panics
    /// If the length is less than the shortest one, or the difficulty is not valid.
    pub fn draw(&self, stream: &mut dyn Rng, length: usize, difficulty: usize) -> Example {
        assert!(length >= self.shortest && self.difficulty.valid.contains(&difficulty), "valid parameters");
        (self.draw)(stream, length, difficulty)
    }
}

/// Random symbols, each of `count` equally likely.
fn symbols(stream: &mut dyn Rng, length: usize, count: usize) -> Vec<u32> {
    (0..length).map(|_| stream.random_range(0..count as u32)).collect()
}

/// Names of symbols: the letters from `a` on.
fn letters(count: usize) -> Vec<String> {
    ('a'..='z').take(count).map(String::from).collect()
}

/// Names of symbols: the numbers from 0 on.
fn digits(count: usize) -> Vec<String> {
    (0..count).map(|digit| digit.to_string()).collect()
}

/// Names of symbols, followed by that of answer steps.
fn with_answer(names: impl IntoIterator<Item = String>) -> Vec<String> {
    names.into_iter().chain([ANSWER.to_owned()]).collect()
}

/// A problem with its length, difficulty and number of examples: the options of the dataset `memory`.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// The problem.
    pub problem: &'static Problem,
    /// Maximum length of training and validation examples; every length from the shortest one on is equally likely.
    pub length: usize,
    /// The difficulty, see [`Problem::difficulty`].
    pub difficulty: usize,
    /// Lengths of the test examples.
    pub test_lengths: Vec<usize>,
    /// Number of training examples.
    pub examples: usize,
    /// Number of validation examples, and of test examples of each length.
    pub test_examples: usize,
}

/// Equal options draw equal examples.
impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        let values = |one: &Self| (one.problem.name, one.length, one.difficulty, one.examples, one.test_examples);
        values(self) == values(other) && self.test_lengths == other.test_lengths
    }
}

/// Options and their descriptions.
pub const OPTIONS: &[(&str, &str)] = &[
    (
        "problem",
        "the problem: adding, copy, selective-copying, temporal-order, even-pairs, parity (default), cycle-navigation, modular-arithmetic, \
         counting, dyck, reverse-string, duplicate-string, missing-duplicate, odds-first or bucket-sort",
    ),
    ("length", "maximum length of training and validation examples; 40 by default"),
    ("difficulty", "number of symbols, modulus or depth, depending on the problem, which has a default"),
    ("test_lengths", "lengths of the test examples; by default 1, 2, 4 and 8 times `length`"),
    ("examples", "number of training examples per epoch; 6400 by default"),
    ("test_examples", "number of validation examples, and of test examples of each length; 500 by default"),
];

/// Maximum length of an example.
pub const MAX_LENGTH: usize = 10_000;

/// Maximum number of examples.
const MAX_EXAMPLES: usize = 1_000_000;

/// Seed of the lengths of training examples, and of the validation and test examples; the seed of a run does not affect them.
const SEED: u64 = 2022;

/// Second index of the random keys of what is drawn.
#[derive(Debug, Clone, Copy)]
enum Drawn {
    Training,
    Lengths,
    Validation,
    Test,
}

impl Parameters {
    /// Parses options.
    ///
    /// # Errors
    /// If an option or the problem is unknown, or a value is not valid.
    pub fn of(options: &Table) -> Result<Self, DataError> {
        let known = || OPTIONS.iter().map(|(name, _)| *name);
        if let Some((key, value)) = options.iter().find(|(key, _)| !known().any(|name| name == key.as_str())) {
            let all = known().collect::<Vec<_>>().join(", ");
            let expected = format!("unknown option{}; available: {all}", did_you_mean(key, known()));
            return Err(DataError::setting(format!("data.options.{key}"), value, expected));
        }
        let problem = match options.get("problem") {
            None => &regular::PARITY,
            Some(value) => problem(value)?,
        };
        let lengths = problem.shortest..=MAX_LENGTH;
        let length = number(options, "length", 40, &lengths)?;
        let difficulty = number(options, "difficulty", problem.difficulty.default, &problem.difficulty.valid)
            .map_err(|error| meaning_added(error, problem))?;
        let test_lengths = match options.get("test_lengths") {
            None => [1, 2, 4, 8].map(|factor| (factor * length).min(MAX_LENGTH)).to_vec(),
            Some(Value::Array(all)) => {
                all.iter().map(|value| integer("test_lengths", value, &lengths)).collect::<Result<_, _>>()?
            }
            Some(other) => return Err(invalid("test_lengths", other, "a list of lengths, such as [40, 80]")),
        };
        let test_examples = number(options, "test_examples", 500, &(1..=MAX_EXAMPLES))?;
        let examples = number(options, "examples", 6_400, &(1..=MAX_EXAMPLES))?;
        Ok(Self { problem, length, difficulty, test_lengths, examples, test_examples })
    }

    /// The length of a training example, which is the same in every epoch.
    pub fn training_length(&self, index: usize) -> usize {
        self.random_length(Drawn::Lengths, index)
    }

    /// A training example of an epoch, from the seed of a run.
    pub fn training_example(&self, seed: u64, epoch: u64, index: usize) -> Example {
        let key = Key::new(seed, Purpose::Data).with_first(epoch).offset(Drawn::Training as u64);
        self.draw(key, index, self.training_length(index))
    }

    /// The length of a validation example.
    pub fn validation_length(&self, index: usize) -> usize {
        self.random_length(Drawn::Validation, index)
    }

    /// A validation example.
    pub fn validation_example(&self, index: usize) -> Example {
        let key = Key::new(SEED, Purpose::Data).with_first(1).offset(Drawn::Validation as u64);
        self.draw(key, index, self.validation_length(index))
    }

    /// A test example of a length.
    pub fn test_example(&self, length: usize, index: usize) -> Example {
        let key = Key::new(SEED, Purpose::Data).with_first(length as u64).offset(Drawn::Test as u64);
        self.draw(key, index, length)
    }

    fn draw(&self, key: Key, index: usize, length: usize) -> Example {
        self.problem.draw(&mut key.example_stream(index as u64), length, self.difficulty)
    }

    fn random_length(&self, drawn: Drawn, index: usize) -> usize {
        let key = Key::new(SEED, Purpose::Data).offset(drawn as u64);
        key.example_stream(index as u64).random_range(self.problem.shortest..=self.length)
    }
}

/// The problem that an option names.
fn problem(value: &Value) -> Result<&'static Problem, DataError> {
    let known = || ALL.iter().map(|problem| problem.name);
    let name = value.as_str().unwrap_or_default();
    let unknown = || {
        let all = known().collect::<Vec<_>>().join(", ");
        invalid("problem", value, format!("unknown problem{}; available: {all}", did_you_mean(name, known())))
    };
    Problem::named(name).ok_or_else(unknown)
}

fn number(options: &Table, key: &str, default: usize, valid: &RangeInclusive<usize>) -> Result<usize, DataError> {
    options.get(key).map_or(Ok(default), |value| integer(key, value, valid))
}

fn integer(key: &str, value: &Value, valid: &RangeInclusive<usize>) -> Result<usize, DataError> {
    let number = value.as_integer().and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| valid.contains(number))
        .ok_or_else(|| invalid(key, value, format!("an integer from {} to {}", valid.start(), valid.end())))
}

fn invalid(key: &str, value: &Value, expected: impl Into<String>) -> DataError {
    DataError::setting(format!("data.options.{key}"), value, expected)
}

/// The error of an invalid difficulty, with what it means.
fn meaning_added(error: DataError, problem: &Problem) -> DataError {
    match error {
        DataError::Setting { field, value, expected } => {
            let expected = format!("{expected}: {} of problem {}", problem.difficulty.meaning, problem.name);
            DataError::Setting { field, value, expected }
        }
        other => other,
    }
}

/// An example as texts, for tests: inputs, and targets with `-` where there is none.
#[cfg(test)]
pub(crate) fn shown(problem: &Problem, example: &Example, difficulty: usize) -> [String; 2] {
    let (inputs, outputs) = (problem.inputs(difficulty), problem.outputs(difficulty));
    let Example { inputs: Inputs::Symbols(symbols), targets: Targets::Symbols(targets) } = example else {
        panic!("an example of symbols");
    };
    let input = |&symbol: &u32| inputs[symbol as usize].clone();
    let target = |target: &Option<u32>| target.map_or("-".to_owned(), |symbol| outputs[symbol as usize].clone());
    let symbols: Vec<String> = symbols.iter().map(input).collect();
    let targets: Vec<String> = targets.iter().map(target).collect();
    [symbols.join(" "), targets.join(" ")]
}

/// The indices of symbols by their names, for tests.
#[cfg(test)]
pub(crate) fn indices(names: &[String], text: &str) -> Vec<u32> {
    text.split_whitespace().map(|name| names.iter().position(|known| known == name).unwrap() as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn drawn(problem: &Problem, length: usize, difficulty: usize, index: u64) -> Example {
        problem.draw(&mut Key::new(1, Purpose::Data).example_stream(index), length, difficulty)
    }

    #[test]
    fn examples_are_valid_at_every_length_and_difficulty() {
        for problem in ALL {
            for difficulty in problem.difficulty.valid.clone().take(5) {
                let (inputs, outputs) = (problem.inputs(difficulty), problem.outputs(difficulty));
                let distinct: BTreeSet<&String> = inputs.iter().collect();
                assert_eq!(distinct.len(), inputs.len(), "{}", problem.name);
                for (index, length) in (0..).zip((problem.shortest..20).chain([100])) {
                    let example = drawn(problem, length, difficulty, index);
                    let name = problem.name;
                    assert!(!example.target_steps().is_empty(), "{name} {length}");
                    assert!((1..=3 * length + 3 * difficulty + 1).contains(&example.steps()), "{name} {length}");
                    match &example.inputs {
                        Inputs::Symbols(all) => assert!(all.iter().all(|&input| (input as usize) < inputs.len())),
                        Inputs::Numbers(all) => assert!(inputs.is_empty() && all.len() == length),
                    }
                    match &example.targets {
                        Targets::Symbols(all) => {
                            assert_eq!(all.len(), example.steps(), "{name}");
                            assert!(all.iter().flatten().all(|&target| (target as usize) < outputs.len()), "{name}");
                        }
                        Targets::Numbers(all) => assert!(outputs.is_empty() && all.len() == example.steps()),
                    }
                }
            }
        }
    }

    #[test]
    fn a_target_follows_everything_that_it_depends_on() {
        for problem in
            ALL.into_iter().filter(|problem| problem.inputs(problem.difficulty.default).contains(&ANSWER.to_owned()))
        {
            let difficulty = problem.difficulty.default;
            let [inputs, targets] = shown(problem, &drawn(problem, 12, difficulty, 3), difficulty);
            for (input, target) in inputs.split(' ').zip(targets.split(' ')) {
                assert_eq!(input == ANSWER, target != "-", "{}: {inputs} / {targets}", problem.name);
            }
        }
    }

    #[test]
    fn every_output_occurs() {
        for problem in ALL.into_iter().filter(|problem| !problem.outputs(problem.difficulty.default).is_empty()) {
            let difficulty = problem.difficulty.default;
            let found: BTreeSet<u32> = (0..400)
                .flat_map(|index| match drawn(problem, 9, difficulty, index).targets {
                    Targets::Symbols(targets) => targets.into_iter().flatten().collect::<Vec<_>>(),
                    Targets::Numbers(_) => Vec::new(),
                })
                .collect();
            assert_eq!(found.len(), problem.outputs(difficulty).len(), "{}: {found:?}", problem.name);
        }
    }

    #[test]
    fn examples_are_functions_of_seed_epoch_and_index() {
        let parameters = Parameters::of(&"problem = \"copy\"\nlength = 9".parse().unwrap()).unwrap();
        let example = |seed, epoch, index| parameters.training_example(seed, epoch, index);
        assert_eq!(example(1, 2, 3), example(1, 2, 3));
        for other in [example(2, 2, 3), example(1, 3, 3)] {
            assert_ne!(other, example(1, 2, 3));
            assert_eq!(other.steps(), example(1, 2, 3).steps(), "the length depends on the index alone");
        }
        let lengths: BTreeSet<usize> = (0..200).map(|index| parameters.training_length(index)).collect();
        assert!(lengths.into_iter().eq(1..=9));
    }

    #[test]
    fn options_have_defaults_and_invalid_ones_are_refused() {
        let of = |text: &str| Parameters::of(&text.parse().unwrap());
        let default = of("").unwrap();
        assert_eq!(
            (default.problem.name, default.length, &default.test_lengths[..]),
            ("parity", 40, &[40, 80, 160, 320][..])
        );
        for (text, part) in [
            ("problm = \"parity\"", "did you mean `problem`?"),
            ("problem = \"partity\"", "did you mean `parity`?"),
            ("length = 0", "data.options.length = 0: an integer from 1 to 10000"),
            ("problem = \"adding\"\nlength = 1", "from 2"),
            ("difficulty = 1", "the modulus of problem parity"),
            ("test_lengths = 5", "a list of lengths"),
            ("test_lengths = [5, 0]", "data.options.test_lengths = 0"),
            ("examples = 0", "from 1 to 1000000"),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn the_description_of_the_option_names_every_problem() {
        let described = OPTIONS[0].1;
        assert!(ALL.iter().all(|problem| described.contains(problem.name)), "{described}");
    }
}
