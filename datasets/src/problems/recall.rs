//! Problems that test how long inputs are remembered.

use seqzoo_random::{Rng, RngExt, SliceRandom};

use super::{ANSWER, Difficulty, Example, Inputs, Problem, Targets, letters, symbols};

/// Number of symbols to copy from.
const COPIED: usize = 8;

/// Input of steps without a symbol.
const BLANK: &str = "_";

/// Distractors of the problem of temporal order.
const DISTRACTORS: usize = 4;

/// Adding problem: `length` steps of a number in [0, 1) and a marker, 1 at one step of each half. The target of the last step is the sum of
/// the two marked numbers.
pub static ADDING: Problem = Problem {
    name: "adding",
    summary: "the sum of two marked numbers",
    paper: "Hochreiter and Schmidhuber 1997",
    difficulty: Difficulty { meaning: "the number of summands", default: 2, valid: 2..=2 },
    shortest: 2,
    inputs: |_| Vec::new(),
    outputs: |_| Vec::new(),
    draw: |stream, length, _| {
        let values: Vec<f32> = (0..length).map(|_| stream.random_range(0.0..1.0)).collect();
        let marked = [stream.random_range(0..length / 2), stream.random_range(length / 2..length)];
        adding(&values, marked)
    },
};

fn adding(values: &[f32], marked: [usize; 2]) -> Example {
    let input = |(step, &value): (usize, &f32)| [value, f32::from(u8::from(marked.contains(&step)))];
    let mut targets = vec![None; values.len()];
    targets[values.len() - 1] = Some(values[marked[0]] + values[marked[1]]);
    Example {
        inputs: Inputs::Numbers(values.iter().enumerate().map(input).collect()),
        targets: Targets::Numbers(targets),
    }
}

/// Copy: `difficulty` symbols, `length` blanks, then the symbols again.
pub static COPY: Problem = Problem {
    name: "copy",
    summary: "symbols, after a delay of blanks",
    paper: "Graves et al. 2014, arXiv:1410.5401; Hochreiter and Schmidhuber 1997",
    difficulty: Difficulty { meaning: "the number of symbols to copy", default: 5, valid: 1..=100 },
    shortest: 1,
    inputs: copied_inputs,
    outputs: |_| letters(COPIED),
    draw: |stream, length, difficulty| {
        let copied = symbols(stream, difficulty, COPIED);
        let blanks = vec![COPIED as u32; length];
        Example::answered([copied.clone(), blanks].concat(), COPIED as u32 + 1, &copied)
    },
};

/// Selective copying: `difficulty` symbols at random positions among `length` blanks, then the symbols alone, in their order.
pub static SELECTIVE_COPYING: Problem = Problem {
    name: "selective-copying",
    summary: "symbols that are scattered among blanks",
    paper: "Gu and Dao 2023, arXiv:2312.00752",
    difficulty: Difficulty { meaning: "the number of symbols to copy", default: 5, valid: 1..=100 },
    shortest: 1,
    inputs: copied_inputs,
    outputs: |_| letters(COPIED),
    draw: |stream, length, difficulty| {
        let copied = symbols(stream, difficulty, COPIED);
        let scattered = scattered(stream, &copied, &vec![COPIED as u32; length]);
        Example::answered(scattered, COPIED as u32 + 1, &copied)
    },
};

fn copied_inputs(_: usize) -> Vec<String> {
    letters(COPIED).into_iter().chain([BLANK, ANSWER].map(str::to_owned)).collect()
}

/// Temporal order: `difficulty` symbols X or Y at random positions among `length` distractors; the output is their sequence, such as XY.
pub static TEMPORAL_ORDER: Problem = Problem {
    name: "temporal-order",
    summary: "the order of rare symbols among distractors",
    paper: "Hochreiter and Schmidhuber 1997",
    difficulty: Difficulty { meaning: "the number of symbols whose order is asked for", default: 2, valid: 2..=6 },
    shortest: 1,
    inputs: |_| letters(DISTRACTORS).into_iter().chain(["X", "Y", ANSWER].map(str::to_owned)).collect(),
    outputs: |difficulty| {
        let name = |class: usize| {
            (0..difficulty).rev().map(|bit| if class >> bit & 1 == 0 { 'X' } else { 'Y' }).collect::<String>()
        };
        (0..1usize << difficulty).map(name).collect()
    },
    draw: |stream, length, difficulty| {
        let distractors = symbols(stream, length, DISTRACTORS);
        let rare = symbols(stream, difficulty, 2);
        temporal_order(stream, &rare, &distractors)
    },
};

/// `rare` has 0 for X and 1 for Y.
fn temporal_order(stream: &mut dyn Rng, rare: &[u32], distractors: &[u32]) -> Example {
    let class = rare.iter().fold(0, |class, &symbol| 2 * class + symbol);
    let rare: Vec<u32> = rare.iter().map(|symbol| DISTRACTORS as u32 + symbol).collect();
    Example::answered(scattered(stream, &rare, distractors), DISTRACTORS as u32 + 2, &[class])
}

/// The elements of both sequences, each in its order; the positions of `rare` are random.
fn scattered(stream: &mut dyn Rng, rare: &[u32], others: &[u32]) -> Vec<u32> {
    let mut is_rare = vec![false; others.len()];
    is_rare.resize(others.len() + rare.len(), true);
    is_rare.shuffle(stream);
    let (mut rare, mut others) = (rare.iter(), others.iter());
    is_rare.into_iter().filter_map(|is_rare| if is_rare { rare.next() } else { others.next() }.copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{indices, shown};
    use super::*;
    use seqzoo_random::{Key, Purpose};

    fn drawn(problem: &Problem, length: usize, difficulty: usize) -> [String; 2] {
        let mut stream = Key::new(4, Purpose::Data).stream();
        shown(problem, &problem.draw(&mut stream, length, difficulty), difficulty)
    }

    #[test]
    fn the_sum_is_that_of_the_marked_numbers() {
        let Example { inputs: Inputs::Numbers(inputs), targets: Targets::Numbers(targets) } =
            adding(&[0.5, 0.25, 0.125, 0.75], [1, 3])
        else {
            panic!("numbers");
        };
        assert_eq!(inputs, [[0.5, 0.0], [0.25, 1.0], [0.125, 0.0], [0.75, 1.0]]);
        assert_eq!(targets, [None, None, None, Some(1.0)]);
    }

    #[test]
    fn copies_follow_the_blanks() {
        let [inputs, targets] = drawn(&COPY, 4, 3);
        let copied = &inputs[..5];
        assert_eq!(inputs, format!("{copied} _ _ _ _ ? ? ?"));
        assert_eq!(targets, format!("- - - - - - - {copied}"));
        let [inputs, targets] = drawn(&SELECTIVE_COPYING, 6, 3);
        let copied: Vec<&str> = inputs.split(' ').filter(|symbol| !["_", "?"].contains(symbol)).collect();
        assert_eq!(inputs.matches('_').count(), 6);
        assert_eq!(targets, format!("- - - - - - - - - {}", copied.join(" ")));
    }

    #[test]
    fn the_order_is_that_of_the_rare_symbols() {
        let distractors = indices(&(TEMPORAL_ORDER.inputs)(2), "a b c d");
        let mut stream = Key::new(1, Purpose::Data).stream();
        for (rare, class) in [([0, 0], "XX"), ([0, 1], "XY"), ([1, 0], "YX"), ([1, 1], "YY")] {
            let [inputs, targets] = shown(&TEMPORAL_ORDER, &temporal_order(&mut stream, &rare, &distractors), 2);
            let found: String = inputs.chars().filter(|symbol| ['X', 'Y'].contains(symbol)).collect();
            assert_eq!((found.as_str(), targets), (class, format!("- - - - - - {class}")));
        }
    }
}
