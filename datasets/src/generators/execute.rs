//! Program execution, generated: predict the output of `print((12+7)-93)`.
//!
//! ```text
//! program    := (letter "=" (number | expression) newline)*  "print(" expression ")"
//! expression := operand operator operand: two numbers at nesting 0; at nesting n + 1, a number and an expression of
//!               nesting n, in either order
//! operand    := number | "(" expression ")" | letter        operator := "+" | "-"
//! ```
//!
//! Source and target are sequences of characters; the target is the decimal value. The difficulty is a number of digits (1 to 4)
//! and a nesting (0 to 2): numbers have at most that many digits, each length equally often, and at least one of the innermost two
//! has exactly that many. About half of the programs first assign numbers and nested expressions to variables, named by letters; a
//! number's variable may be used twice. Programs are distinct across all splits, up to renaming of variables. Only 820 programs of
//! one digit without nesting exist, 400 of them in the training split; most of these contain assignments.
//!
//! After Zaremba and Sutskever, "Learning to execute", arXiv:1410.4615, 2014.

use std::collections::HashSet;
use std::sync::Arc;

use seqzoo_random::{Key, Purpose, Rng, RngExt, SliceRandom};

use super::{Generate, Generator};
use crate::records::{Column, Records};

/// The generator.
pub(super) static GENERATOR: Generator = Generator {
    name: "execute",
    summary: "484,800 generated programs and their output; after Zaremba and Sutskever 2014. Built in",
    example: "print((12+7)-93)",
    roles: &[("source", "program"), ("target", "output")],
    groups: &GROUPS,
    labels: &[],
    baselines: &[],
    options: &[],
    generate: Generate::Fixed(generate),
};

const GROUPS: [&str; 4] = ["digits", "nesting", "digits, nesting", "assignments"];

/// Number of training programs by digits (rows, from 1) and nesting (columns, from 0): 480,000 in total, since with fewer a network
/// memorizes them before it generalizes. With two digits and no nesting, about half of all existing programs.
pub const TRAIN: [[usize; 3]; 4] =
    [[400, 6_000, 10_000], [36_000, 110_000, 70_000], [50_000, 60_000, 40_000], [35_000, 40_000, 22_600]];

/// Programs of each difficulty in the validation split, and in the test split.
const REPORTED: usize = 200;

/// Maximum number of draws per requested program; a difficulty with few programs yields fewer than requested.
const TRIES: usize = 20;

/// In programs with assignments: probability that a number or nested expression is assigned to a variable.
const ASSIGNED: f64 = 0.4;
/// In programs with assignments: probability that two numbers share a variable.
const TWICE: f64 = 0.25;

/// Random seed of the programs; the seed of a run does not affect them.
const SEED: u64 = 2014;

/// The training, validation and test split.
fn generate() -> [Records; 3] {
    let [mut train_split, mut validation, mut test] = [(); 3].map(|()| Split::default());
    for (row, counts) in TRAIN.iter().enumerate() {
        for (nesting, &train) in counts.iter().enumerate() {
            let digits = row + 1;
            let mut rng = Key::new(SEED, Purpose::Data).with_first(digits as u64).offset(nesting as u64).stream();
            let programs = distinct(&mut rng, digits, nesting, train + 2 * REPORTED);
            let groups = ["no", "yes"].map(|assigns| groups(digits, nesting, assigns));
            let mut pairs = programs.iter().map(|program| program.pair(&mut rng));
            pairs.by_ref().take(REPORTED).for_each(|pair| validation.push(pair, &groups));
            pairs.by_ref().take(REPORTED).for_each(|pair| test.push(pair, &groups));
            pairs.for_each(|pair| train_split.push(pair, &groups));
        }
    }
    [train_split, validation, test].map(Split::records)
}

/// The columns of a split.
#[derive(Default)]
struct Split {
    programs: Vec<Arc<str>>,
    outputs: Vec<Arc<str>>,
    groups: [Vec<Arc<str>>; GROUPS.len()],
}

impl Split {
    /// Adds a program and its output; `groups` are those of programs without and with assignments.
    fn push(&mut self, (program, output): (String, String), groups: &[[Arc<str>; GROUPS.len()]; 2]) {
        let of_program = &groups[usize::from(program.contains('\n'))];
        self.groups.iter_mut().zip(of_program).for_each(|(groups, group)| groups.push(group.clone()));
        self.programs.push(program.into());
        self.outputs.push(output.into());
    }

    fn records(self) -> Records {
        let texts = [("program", Column::Text(self.programs)), ("output", Column::Text(self.outputs))];
        Records::new(texts.into_iter().chain(GROUPS.into_iter().zip(self.groups.map(Column::Text))))
    }
}

/// The groups of programs of one difficulty.
fn groups(digits: usize, nesting: usize, assigns: &str) -> [Arc<str>; GROUPS.len()] {
    [digits.to_string(), nesting.to_string(), format!("{digits}, {nesting}"), assigns.to_owned()].map(Arc::from)
}

/// Up to `wanted` distinct programs of one difficulty, in random order.
fn distinct(rng: &mut impl Rng, digits: usize, nesting: usize, wanted: usize) -> Vec<Program> {
    let mut programs = Vec::with_capacity(wanted);
    let mut seen = HashSet::with_capacity(wanted);
    for _ in 0..TRIES * wanted {
        if programs.len() == wanted {
            break;
        }
        let assigns = rng.random_bool(0.5);
        let program = Program::draw(rng, digits, nesting, assigns);
        if seen.insert(program.clone()) {
            programs.push(program);
        }
    }
    // Dropping duplicates makes late programs differ in distribution from early ones.
    programs.shuffle(rng);
    programs
}

/// A program whose variables have numbers, but no letters yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Program {
    /// The left of the two innermost numbers.
    first: i64,
    /// From the innermost expression outward.
    steps: Vec<Step>,
}

/// Extends an expression by an operator and a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Step {
    /// The variable assigned the inner expression.
    inner: Option<usize>,
    operator: Operator,
    number: i64,
    /// The variable assigned the number.
    variable: Option<usize>,
    /// Whether the number is the left operand.
    number_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operator {
    Plus,
    Minus,
}

impl Operator {
    fn sign(self) -> char {
        match self {
            Operator::Plus => '+',
            Operator::Minus => '-',
        }
    }

    fn of(self, left: i64, right: i64) -> i64 {
        match self {
            Operator::Plus => left + right,
            Operator::Minus => left - right,
        }
    }
}

impl Program {
    fn draw(rng: &mut impl Rng, digits: usize, nesting: usize, assigns: bool) -> Self {
        let steps = nesting + 1;
        // Indices of two numbers that share a variable.
        let shared = (assigns && rng.random_bool(TWICE)).then(|| {
            let second = rng.random_range(1..=steps);
            [rng.random_range(0..second), second]
        });
        let mut numbers: Vec<i64> = Vec::new();
        while !numbers.iter().take(2).any(|&number| number >= smallest(digits)) {
            numbers = (0..=steps).map(|_| number(rng, digits)).collect();
            shared.iter().for_each(|&[first, second]| numbers[second] = numbers[first]);
        }
        // Operands that may be assigned: per step, the inner expression (in the first step, a number) and the added number.
        let mut assigned = vec![false; 2 * steps];
        let operand = |number: usize| (2 * number).saturating_sub(1);
        while assigns && !assigned.contains(&true) {
            assigned.fill_with(|| rng.random_bool(ASSIGNED));
            shared
                .iter()
                .for_each(|&[first, second]| (assigned[operand(first)], assigned[operand(second)]) = (true, false));
        }
        let mut variables: Vec<Option<usize>> =
            assigned.iter().enumerate().map(|(operand, &assigned)| assigned.then_some(operand)).collect();
        shared.iter().for_each(|&[first, second]| variables[operand(second)] = variables[operand(first)]);
        let step = |(&number, variables): (&i64, &[Option<usize>])| Step {
            inner: variables[0],
            operator: if rng.random_bool(0.5) { Operator::Plus } else { Operator::Minus },
            number,
            variable: variables[1],
            number_first: rng.random_bool(0.5),
        };
        let mut steps: Vec<Step> = numbers[1..].iter().zip(variables.chunks(2)).map(step).collect();
        // A canonical form: otherwise the first step would have two equal representations.
        steps[0].number_first = false;
        Self { first: numbers[0], steps }
    }

    /// The program and its output; variables get random letters.
    fn pair(&self, rng: &mut impl Rng) -> (String, String) {
        let mut letters: Vec<char> = ('a'..='z').collect();
        letters.shuffle(rng);
        (self.source(&letters), self.value().to_string())
    }

    fn source(&self, letters: &[char]) -> String {
        let mut lines: Vec<String> = Vec::new();
        let mut operand = |text: String, variable: Option<usize>| match variable {
            Some(variable) => {
                let line = format!("{}={text}", letters[variable]);
                if !lines.contains(&line) {
                    lines.push(line);
                }
                letters[variable].to_string()
            }
            None => text,
        };
        let mut text = self.first.to_string();
        for (depth, step) in self.steps.iter().enumerate() {
            let bare = depth == 0 || step.inner.is_some();
            let inner = operand(if bare { text } else { format!("({text})") }, step.inner);
            let number = operand(step.number.to_string(), step.variable);
            let [left, right] = if step.number_first { [number, inner] } else { [inner, number] };
            text = format!("{left}{}{right}", step.operator.sign());
        }
        lines.push(format!("print({text})"));
        lines.join("\n")
    }

    fn value(&self) -> i64 {
        self.steps.iter().fold(self.first, |value, step| {
            let [left, right] = if step.number_first { [step.number, value] } else { [value, step.number] };
            step.operator.of(left, right)
        })
    }
}

/// A random number of at most `digits` digits, each length equally likely.
fn number(rng: &mut impl Rng, digits: usize) -> i64 {
    let length = rng.random_range(1..=digits);
    rng.random_range(smallest(length)..10 * smallest(length).max(1))
}

/// The smallest number with this many digits.
fn smallest(digits: usize) -> i64 {
    if digits == 1 { 0 } else { (1..digits).fold(1, |power, _| 10 * power) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Split;
    use crate::scores::group;
    use crate::transduction::{Pair, Transduction};
    use std::collections::HashMap;
    use std::sync::LazyLock;

    /// Generated once for all tests.
    static ALL: LazyLock<Transduction> = LazyLock::new(|| {
        let splits = GENERATOR.splits(&toml::Table::new()).unwrap();
        Transduction::from_records(&splits).unwrap()
    });

    /// An interpreted value, how many numbers it was computed from, and the digits of the longest.
    #[derive(Clone, Copy)]
    struct Value {
        value: i64,
        numbers: usize,
        digits: usize,
    }

    /// Evaluates the expression at the start of `text`, as Python would, and consumes it.
    fn expression(text: &mut &str, variables: &HashMap<char, Value>) -> Value {
        let mut left = operand(text, variables);
        while let Some(sign) = text.chars().next().filter(|sign| "+-".contains(*sign)) {
            *text = &text[1..];
            let right = operand(text, variables);
            left = Value {
                value: if sign == '+' { left.value + right.value } else { left.value - right.value },
                numbers: left.numbers + right.numbers,
                digits: left.digits.max(right.digits),
            };
        }
        left
    }

    fn operand(text: &mut &str, variables: &HashMap<char, Value>) -> Value {
        if let Some(inner) = text.strip_prefix('(') {
            *text = inner;
            let value = expression(text, variables);
            *text = text.strip_prefix(')').expect("parentheses are balanced");
            return value;
        }
        let length = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (word, rest) = text.split_at(length.max(1));
        *text = rest;
        match word.parse() {
            Ok(value) => Value { value, numbers: 1, digits: word.len() },
            Err(_) => variables[&word.chars().next().unwrap()],
        }
    }

    fn run(program: &str) -> Value {
        let mut variables = HashMap::new();
        for line in program.lines() {
            let (name, mut text) = line.split_once('=').unwrap_or(("", line.trim_start_matches("print")));
            let value = expression(&mut text, &variables);
            assert_eq!(text, "", "{program}");
            match name.chars().next() {
                Some(letter) => assert!(variables.insert(letter, value).is_none(), "{program}"),
                None => return value,
            }
        }
        panic!("no print statement: {program}")
    }

    /// The program with its variables renamed a, b, c in order of assignment.
    fn renamed(program: &str) -> String {
        let names: Vec<char> =
            program.lines().filter(|line| line.contains('=')).flat_map(|line| line.chars().next()).collect();
        let rename =
            |c: char| names.iter().position(|&name| name == c).map_or(c, |index| char::from(b'a' + index as u8));
        program.replace("print", "").chars().map(rename).collect()
    }

    #[test]
    fn the_test_interpreter_evaluates_variables_parentheses_and_associativity() {
        for (program, value) in [("print(7-12)", -5), ("b=45\na=9-b\nprint(b-(7-a))", 2), ("print((1-2)-(3-4))", 0)] {
            assert_eq!(run(program).value, value, "{program}");
        }
    }

    #[test]
    fn targets_and_groups_match_an_interpreter() {
        for pair in Split::ALL.iter().flat_map(|&split| ALL.split(split)) {
            let Value { value, numbers, digits } = run(&pair.source);
            assert_eq!(pair.target, value.to_string(), "{}", pair.source);
            let [digits, nesting] = [digits, numbers - 2].map(|count| count.to_string());
            let assigns = if pair.source.contains('=') { "yes" } else { "no" };
            let difficulty = format!("{digits}, {nesting}");
            let groups = [
                group("digits", digits),
                group("nesting", nesting),
                group("digits, nesting", difficulty),
                group("assignments", assigns),
            ];
            assert_eq!(*pair.groups, groups, "{}", pair.source);
        }
    }

    #[test]
    fn programs_are_distinct_up_to_variable_names() {
        let all: Vec<&Pair> = Split::ALL.iter().flat_map(|&split| ALL.split(split)).collect();
        assert_eq!(all.iter().map(|pair| renamed(&pair.source)).collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn difficulties_have_the_documented_sizes_and_half_of_the_programs_have_assignments() {
        assert_eq!(ALL.train.len(), 480_000);
        for (row, counts) in TRAIN.iter().enumerate() {
            for (nesting, &train) in counts.iter().enumerate() {
                let difficulty = group("digits, nesting", format!("{}, {nesting}", row + 1));
                for (split, size) in Split::ALL.into_iter().zip([train, REPORTED, REPORTED]) {
                    let pairs: Vec<&Pair> =
                        ALL.split(split).iter().filter(|pair| pair.groups.contains(&difficulty)).collect();
                    let assign = pairs.iter().filter(|pair| pair.source.contains('=')).count();
                    assert_eq!(pairs.len(), size);
                    let few = (row, nesting) == (0, 0);
                    let share = if few { 0.65..0.85 } else { 0.4..0.62 };
                    assert!(
                        share.contains(&(assign as f64 / size as f64)),
                        "{difficulty:?}: {assign} of {size} have assignments"
                    );
                }
            }
        }
    }

    #[test]
    fn all_programs_of_a_small_difficulty_are_generated() {
        let mut rng = Key::new(1, Purpose::Data).stream();
        assert_eq!(distinct(&mut rng, 1, 0, 5_000).len(), 820);
    }

    #[test]
    fn variables_are_used_once_or_twice() {
        let mut uses = [0; 3];
        for pair in &ALL.validation {
            let program = renamed(&pair.source);
            let assigned = program.lines().filter(|line| line.contains('='));
            assigned.for_each(|line| uses[program.matches(&line[..1]).count() - 1] += 1);
        }
        assert!(uses[0] == 0 && uses[1] > uses[2] && uses[2] > 100, "{uses:?}");
    }
}
