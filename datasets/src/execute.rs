//! Programs to be executed, generated: what does `print((12+7)-93)` print?
//!
//! ```text
//! program    := (letter "=" (number | expression) newline)*  "print(" expression ")"
//! expression := operand operator operand, where nesting 0 has two numbers and nesting n + 1 a number and, on either
//!               side, an expression of nesting n
//! operand    := number | "(" expression ")" | letter        operator := "+" | "-"
//! ```
//!
//! The source is read character by character, the target is the decimal value, with `-` before negative ones. A grade
//! is a number of digits (1 to 4) and a nesting (0 to 2): numbers have as many digits or fewer, each length equally
//! often, and one of the innermost two has exactly as many. About half of the programs assign numbers and nested expressions
//! to letters first; a number's letter may stand in two places. Programs that differ only in their letters count as the
//! same, and each is in one part once. There are but 820 of one digit without nesting, 400 of them to learn from, and
//! most of these assign.
//!
//! After Zaremba and Sutskever, "Learning to execute", arXiv:1410.4615, 2014.

use std::collections::HashSet;
use std::sync::Arc;

use seqzoo_random::{Key, Purpose, Rng, RngExt, SliceRandom};

use crate::catalog::{Data, Dataset, Kind, Origin};
use crate::scores::Group;
use crate::transduction::{Pair, Transduction};

/// What there is to know of it.
pub static DATASET: Dataset = Dataset {
    name: "execute",
    kind: Kind::Pairs,
    summary: "484,800 generated programs and what they print; after Zaremba and Sutskever 2014. Built in",
    example: "print((12+7)-93)",
    license: "as seqzoo",
    origin: Origin::BuiltIn(|| Data::Pairs(load())),
};

/// Training programs by digits, from 1, and nesting, from 0: 480,000, since a network that meets fewer learns them by heart
/// before it can add. Of two digits without nesting, about half of all there are.
pub const TRAIN: [[usize; 3]; 4] =
    [[400, 6_000, 10_000], [36_000, 110_000, 70_000], [50_000, 60_000, 40_000], [35_000, 40_000, 22_600]];

/// Programs of each grade in the validation part, and again in the test part.
const REPORTED: usize = 200;

/// Programs drawn at most for each that is wanted: a grade of few programs gives what it has.
const TRIES: usize = 20;

/// How often a number or nested expression of a program that assigns has a letter, and two numbers have the same one.
const ASSIGNED: f64 = 0.4;
const TWICE: f64 = 0.25;

/// The data never changes: seeds of runs choose weights and order, not programs.
const SEED: u64 = 2014;

/// Generates the dataset: the same programs on every machine.
pub fn load() -> Transduction {
    let mut data = Transduction::default();
    for (row, counts) in TRAIN.iter().enumerate() {
        for (nesting, &train) in counts.iter().enumerate() {
            let digits = row + 1;
            let mut rng = Key::new(SEED, Purpose::Data).at(digits as u64).place(nesting as u64).stream();
            let programs = distinct(&mut rng, digits, nesting, train + 2 * REPORTED);
            let grade = ["no", "yes"].map(|assigns| groups(digits, nesting, assigns));
            let mut pairs = programs.iter().map(|program| program.pair(&grade, &mut rng));
            data.validation.extend(pairs.by_ref().take(REPORTED));
            data.test.extend(pairs.by_ref().take(REPORTED));
            data.train.extend(pairs);
        }
    }
    data
}

/// What the programs of a grade have in common.
fn groups(digits: usize, nesting: usize, assigns: &str) -> Arc<[Group]> {
    Arc::new([
        ("digits", digits.to_string()),
        ("nesting", nesting.to_string()),
        ("digits, nesting", format!("{digits}, {nesting}")),
        ("assignments", assigns.to_owned()),
    ])
}

/// Up to `wanted` different programs of a grade, in random order.
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
    // Where repetitions were dropped, early programs are not like late ones.
    programs.shuffle(rng);
    programs
}

/// A program whose variables are numbered by what they stand for but have no letters yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Program {
    /// The left one of the innermost two numbers.
    first: i64,
    /// From the innermost expression outwards.
    steps: Vec<Step>,
}

/// What makes a larger expression of an inner one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Step {
    /// The variable that stands for what is there already.
    inner: Option<usize>,
    operator: Operator,
    number: i64,
    /// The variable that stands for the number.
    variable: Option<usize>,
    /// Whether the number stands on the left.
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
        // The places of two numbers that are one variable.
        let twice = (assigns && rng.random_bool(TWICE)).then(|| {
            let second = rng.random_range(1..=steps);
            [rng.random_range(0..second), second]
        });
        let mut numbers: Vec<i64> = Vec::new();
        while !numbers.iter().take(2).any(|&number| number >= least(digits)) {
            numbers = (0..=steps).map(|_| number(rng, digits)).collect();
            twice.iter().for_each(|&[first, second]| numbers[second] = numbers[first]);
        }
        // Of each step what is there already (before the first, a number) and the number that it adds.
        let mut assigned = vec![false; 2 * steps];
        let part = |place: usize| (2 * place).saturating_sub(1);
        while assigns && !assigned.contains(&true) {
            assigned.fill_with(|| rng.random_bool(ASSIGNED));
            twice.iter().for_each(|&[first, second]| (assigned[part(first)], assigned[part(second)]) = (true, false));
        }
        let mut variables: Vec<Option<usize>> =
            assigned.iter().enumerate().map(|(part, &assigned)| assigned.then_some(part)).collect();
        twice.iter().for_each(|&[first, second]| variables[part(second)] = variables[part(first)]);
        let step = |(&number, variables): (&i64, &[Option<usize>])| Step {
            inner: variables[0],
            operator: if rng.random_bool(0.5) { Operator::Plus } else { Operator::Minus },
            number,
            variable: variables[1],
            number_first: rng.random_bool(0.5),
        };
        let mut steps: Vec<Step> = numbers[1..].iter().zip(variables.chunks(2)).map(step).collect();
        // Otherwise the same two numbers would have two forms.
        steps[0].number_first = false;
        Self { first: numbers[0], steps }
    }

    /// The program and its value, with the groups of programs that assign nothing or something; variables are given letters at
    /// random.
    fn pair(&self, groups: &[Arc<[Group]>; 2], rng: &mut impl Rng) -> Pair {
        let mut letters: Vec<char> = ('a'..='z').collect();
        letters.shuffle(rng);
        let source = self.source(&letters);
        let groups = groups[usize::from(source.contains('\n'))].clone();
        Pair { source, target: self.value().to_string(), groups }
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

/// A number of at most `digits` digits, each length equally often.
fn number(rng: &mut impl Rng, digits: usize) -> i64 {
    let length = rng.random_range(1..=digits);
    rng.random_range(least(length)..10 * least(length).max(1))
}

/// The least number of so many digits.
fn least(digits: usize) -> i64 {
    if digits == 1 { 0 } else { (1..digits).fold(1, |least, _| 10 * least) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::Split;
    use std::collections::HashMap;
    use std::sync::LazyLock;

    /// Made once for all tests.
    static ALL: LazyLock<Transduction> = LazyLock::new(load);

    /// What the interpreter knows of a value: itself, how many numbers it was made of, and the digits of the longest.
    #[derive(Clone, Copy)]
    struct Value {
        value: i64,
        numbers: usize,
        digits: usize,
    }

    /// Reads an expression from the front of `text`, as Python would.
    fn expression(text: &mut &str, known: &HashMap<char, Value>) -> Value {
        let mut left = operand(text, known);
        while let Some(sign) = text.chars().next().filter(|sign| "+-".contains(*sign)) {
            *text = &text[1..];
            let right = operand(text, known);
            left = Value {
                value: if sign == '+' { left.value + right.value } else { left.value - right.value },
                numbers: left.numbers + right.numbers,
                digits: left.digits.max(right.digits),
            };
        }
        left
    }

    fn operand(text: &mut &str, known: &HashMap<char, Value>) -> Value {
        if let Some(inner) = text.strip_prefix('(') {
            *text = inner;
            let value = expression(text, known);
            *text = text.strip_prefix(')').expect("what is opened is closed");
            return value;
        }
        let length = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (word, rest) = text.split_at(length.max(1));
        *text = rest;
        match word.parse() {
            Ok(value) => Value { value, numbers: 1, digits: word.len() },
            Err(_) => known[&word.chars().next().unwrap()],
        }
    }

    fn run(program: &str) -> Value {
        let mut known = HashMap::new();
        for line in program.lines() {
            let (name, mut text) = line.split_once('=').unwrap_or(("", line.trim_start_matches("print")));
            let value = expression(&mut text, &known);
            assert_eq!(text, "", "{program}");
            match name.chars().next() {
                Some(letter) => assert!(known.insert(letter, value).is_none(), "{program}"),
                None => return value,
            }
        }
        panic!("nothing is printed: {program}")
    }

    /// The program with its letters renamed a, b, c in order of appearance.
    fn renamed(program: &str) -> String {
        let names: Vec<char> =
            program.lines().filter(|line| line.contains('=')).flat_map(|line| line.chars().next()).collect();
        let rename =
            |c: char| names.iter().position(|&name| name == c).map_or(c, |place| char::from(b'a' + place as u8));
        program.replace("print", "").chars().map(rename).collect()
    }

    #[test]
    fn the_interpreter_of_the_tests_knows_letters_parentheses_and_order() {
        for (program, value) in [("print(7-12)", -5), ("b=45\na=9-b\nprint(b-(7-a))", 2), ("print((1-2)-(3-4))", 0)] {
            assert_eq!(run(program).value, value, "{program}");
        }
    }

    #[test]
    fn every_target_and_grade_is_what_an_interpreter_finds() {
        for pair in Split::ALL.iter().flat_map(|&split| ALL.split(split)) {
            let Value { value, numbers, digits } = run(&pair.source);
            assert_eq!(pair.target, value.to_string(), "{}", pair.source);
            let [digits, nesting] = [digits, numbers - 2].map(|count| count.to_string());
            let assigns = if pair.source.contains('=') { "yes" } else { "no" };
            let grade = format!("{digits}, {nesting}");
            let groups = [
                ("digits", digits),
                ("nesting", nesting),
                ("digits, nesting", grade),
                ("assignments", assigns.to_owned()),
            ];
            assert_eq!(*pair.groups, groups, "{}", pair.source);
        }
    }

    #[test]
    fn no_program_occurs_twice_under_whatever_letters() {
        let all: Vec<&Pair> = Split::ALL.iter().flat_map(|&split| ALL.split(split)).collect();
        assert_eq!(all.iter().map(|pair| renamed(&pair.source)).collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn grades_are_as_frequent_as_told_and_about_half_of_the_programs_assign() {
        assert_eq!(ALL.train.len(), 480_000);
        for (row, counts) in TRAIN.iter().enumerate() {
            for (nesting, &train) in counts.iter().enumerate() {
                let grade = ("digits, nesting", format!("{}, {nesting}", row + 1));
                for (split, size) in Split::ALL.into_iter().zip([train, REPORTED, REPORTED]) {
                    let pairs: Vec<&Pair> =
                        ALL.split(split).iter().filter(|pair| pair.groups.contains(&grade)).collect();
                    let assign = pairs.iter().filter(|pair| pair.source.contains('=')).count();
                    assert_eq!(pairs.len(), size);
                    let few = (row, nesting) == (0, 0);
                    let share = if few { 0.65..0.85 } else { 0.4..0.62 };
                    assert!(share.contains(&(assign as f64 / size as f64)), "{grade:?}: {assign} of {size} assign");
                }
            }
        }
    }

    #[test]
    fn a_grade_of_few_programs_gives_all_it_has() {
        let mut rng = Key::new(1, Purpose::Data).stream();
        assert_eq!(distinct(&mut rng, 1, 0, 5_000).len(), 820);
    }

    #[test]
    fn a_variable_is_used_once_or_twice() {
        let mut uses = [0; 3];
        for pair in &ALL.validation {
            let program = renamed(&pair.source);
            let assigned = program.lines().filter(|line| line.contains('='));
            assigned.for_each(|line| uses[program.matches(&line[..1]).count() - 1] += 1);
        }
        assert!(uses[0] == 0 && uses[1] > uses[2] && uses[2] > 100, "{uses:?}");
    }
}
