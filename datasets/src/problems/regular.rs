//! Problems that a finite automaton solves (regular languages), after Delétang et al. 2022.

use super::{ANSWER, Difficulty, Example, Problem, digits, letters, symbols, with_answer};

/// Paper of the problems.
const PAPER: &str = "Delétang et al. 2022, arXiv:2207.02098";

/// Even pairs: whether the number of pairs ab and ba in a string of a and b is even, so that it begins and ends alike.
pub static EVEN_PAIRS: Problem = Problem {
    name: "even-pairs",
    summary: "whether the number of pairs ab and ba is even",
    paper: PAPER,
    difficulty: Difficulty { meaning: "the number of symbols", default: 2, valid: 2..=2 },
    shortest: 1,
    inputs: |difficulty| with_answer(letters(difficulty)),
    outputs: |_| ["no", "yes"].map(str::to_owned).to_vec(),
    draw: |stream, length, difficulty| even_pairs(symbols(stream, length, difficulty)),
};

fn even_pairs(string: Vec<u32>) -> Example {
    let changes = string.windows(2).filter(|pair| pair[0] != pair[1]).count();
    Example::answered(string, 2, &[u32::from(changes.is_multiple_of(2))])
}

/// Parity: the number of ones in a string of 0 and 1, modulo the difficulty.
pub static PARITY: Problem = Problem {
    name: "parity",
    summary: "the number of ones, modulo 2",
    paper: PAPER,
    difficulty: Difficulty { meaning: "the modulus", default: 2, valid: 2..=32 },
    shortest: 1,
    inputs: |_| with_answer(digits(2)),
    outputs: digits,
    draw: |stream, length, difficulty| parity(symbols(stream, length, 2), difficulty),
};

fn parity(string: Vec<u32>, modulus: usize) -> Example {
    let ones: u32 = string.iter().sum();
    Example::answered(string, 2, &[ones % modulus as u32])
}

/// Cycle navigation: the position on a cycle, whose length is the difficulty, after steps to the left (−1), to the right (+1), or none.
pub static CYCLE_NAVIGATION: Problem = Problem {
    name: "cycle-navigation",
    summary: "the position on a cycle after steps to the left and right",
    paper: PAPER,
    difficulty: Difficulty { meaning: "the length of the cycle", default: 5, valid: 2..=32 },
    shortest: 1,
    inputs: |_| ["left", "stay", "right", ANSWER].map(str::to_owned).to_vec(),
    outputs: digits,
    draw: |stream, length, difficulty| cycle_navigation(symbols(stream, length, 3), difficulty),
};

fn cycle_navigation(moves: Vec<u32>, cycle: usize) -> Example {
    let position = moves.iter().map(|&step| i64::from(step) - 1).sum::<i64>().rem_euclid(cycle as i64);
    Example::answered(moves, 3, &[position as u32])
}

/// Modular arithmetic: the value of digits with +, − and × between them, modulo the difficulty; × comes before + and −. An expression has an
/// odd number of symbols: `length`, or one less.
pub static MODULAR_ARITHMETIC: Problem = Problem {
    name: "modular-arithmetic",
    summary: "the value of an expression without brackets, modulo 5",
    paper: PAPER,
    difficulty: Difficulty { meaning: "the modulus", default: 5, valid: 2..=32 },
    shortest: 1,
    inputs: |difficulty| with_answer(digits(difficulty).into_iter().chain(["+", "-", "*"].map(str::to_owned))),
    outputs: digits,
    draw: |stream, length, difficulty| {
        let numbers = symbols(stream, length.div_ceil(2), difficulty);
        let operators = symbols(stream, numbers.len() - 1, 3);
        modular_arithmetic(&numbers, &operators, difficulty as u32)
    },
};

/// `operators` has 0 for +, 1 for − and 2 for ×.
fn modular_arithmetic(numbers: &[u32], operators: &[u32], modulus: u32) -> Example {
    let mut inputs = vec![numbers[0]];
    // The sum of the terms before, and the current term.
    let (mut sum, mut term) = (0, i64::from(numbers[0]));
    let modulo = |value: i64| value.rem_euclid(i64::from(modulus));
    for (&operator, &number) in operators.iter().zip(&numbers[1..]) {
        inputs.extend([modulus + operator, number]);
        let number = i64::from(number);
        (sum, term) = match operator {
            0 => (modulo(sum + term), number),
            1 => (modulo(sum + term), -number),
            _ => (sum, modulo(term * number)),
        };
    }
    Example::answered(inputs, modulus + 3, &[modulo(sum + term) as u32])
}

#[cfg(test)]
mod tests {
    use super::super::{indices, shown};
    use super::*;

    /// The output for a text of input symbols.
    fn output(problem: &Problem, difficulty: usize, text: &str, of: impl Fn(Vec<u32>) -> Example) -> String {
        let [inputs, targets] = shown(problem, &of(indices(&problem.inputs(difficulty), text)), difficulty);
        assert_eq!(inputs, format!("{text} ?"));
        targets.rsplit(' ').next().unwrap().to_owned()
    }

    #[test]
    fn even_pairs_begin_and_end_alike() {
        for (text, even) in [("a", "yes"), ("a b", "no"), ("a b b a", "yes"), ("b a b a", "no"), ("b a a b b", "yes")] {
            assert_eq!(output(&EVEN_PAIRS, 2, text, even_pairs), even, "{text}");
        }
    }

    #[test]
    fn ones_are_counted_by_their_modulus() {
        for (text, modulus, count) in [("1 1 0 1", 2, "1"), ("0 0", 2, "0"), ("1 1", 2, "0"), ("1 1 0 1 1", 3, "1")] {
            assert_eq!(output(&PARITY, modulus, text, |string| parity(string, modulus)), count, "{text}");
        }
    }

    #[test]
    fn a_cycle_has_no_ends() {
        for (text, position) in [("left", "4"), ("right stay right", "2"), ("right right right right right right", "1")]
        {
            assert_eq!(output(&CYCLE_NAVIGATION, 5, text, |moves| cycle_navigation(moves, 5)), position, "{text}");
        }
    }

    #[test]
    fn products_come_before_sums() {
        for (text, value) in
            [("3", "3"), ("1 - 2", "4"), ("1 + 2 * 4", "4"), ("2 * 3 - 4 * 4 + 1", "1"), ("0 - 3 * 3", "1")]
        {
            let of = |symbols: Vec<u32>| {
                let numbers: Vec<u32> = symbols.iter().copied().step_by(2).collect();
                let operators: Vec<u32> = symbols.iter().skip(1).step_by(2).map(|symbol| symbol - 5).collect();
                modular_arithmetic(&numbers, &operators, 5)
            };
            assert_eq!(output(&MODULAR_ARITHMETIC, 5, text, of), value, "{text}");
        }
    }
}
