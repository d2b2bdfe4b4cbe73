//! Problems that need a counter or a stack (context-free languages).

use seqzoo_random::{Rng, RngExt};

use super::{Difficulty, Example, Inputs, Problem, Targets, letters, symbols, with_answer};

/// Counting: whether each letter of a string aⁿbⁿ (difficulty 2), aⁿbⁿcⁿ (3) … occurs equally often. In half of the strings, up to three of
/// one letter are replaced by as many of another one. The string has `length` symbols, rounded down to a multiple of the difficulty.
pub static COUNTING: Problem = Problem {
    name: "counting",
    summary: "whether all letters of a string a…ab…b occur equally often",
    paper: "Gers and Schmidhuber 2001",
    difficulty: Difficulty { meaning: "the number of letters", default: 2, valid: 2..=8 },
    shortest: 2,
    inputs: |difficulty| with_answer(letters(difficulty)),
    outputs: |_| ["no", "yes"].map(str::to_owned).to_vec(),
    draw: |stream, length, difficulty| {
        let count = (length / difficulty).max(1);
        let mut counts = vec![count; difficulty];
        if stream.random_bool(0.5) {
            let moved = stream.random_range(1..=count.min(3));
            let from = stream.random_range(0..difficulty);
            let to = (from + stream.random_range(1..difficulty)) % difficulty;
            counts[from] -= moved;
            counts[to] += moved;
        }
        counting(&counts)
    },
};

fn counting(counts: &[usize]) -> Example {
    let string = (0u32..).zip(counts).flat_map(|(letter, &count)| std::iter::repeat_n(letter, count)).collect();
    let is_equal = counts.iter().all(|count| *count == counts[0]);
    Example::answered(string, counts.len() as u32, &[u32::from(is_equal)])
}

/// Brackets of the problem Dyck: opening and closing.
const BRACKETS: [[&str; 2]; 2] = [["(", ")"], ["[", "]"]];

/// Dyck: brackets of two types whose nesting is at most the difficulty. The target of each step is the closing bracket that is due after it,
/// or `balanced`.
pub static DYCK: Problem = Problem {
    name: "dyck",
    summary: "the closing bracket that is due, at each step of nested brackets of two types",
    paper: "Hewitt et al. 2020, arXiv:2010.07515",
    difficulty: Difficulty { meaning: "the maximum nesting", default: 4, valid: 1..=100 },
    shortest: 1,
    inputs: |_| BRACKETS.into_iter().flatten().map(str::to_owned).collect(),
    outputs: |_| [BRACKETS[0][1], BRACKETS[1][1], "balanced"].map(str::to_owned).to_vec(),
    draw: |stream, length, difficulty| dyck(&brackets(stream, length, difficulty)),
};

/// A prefix of a sequence of balanced brackets: symbol 2 t opens type t, and symbol 2 t + 1 closes it.
fn brackets(stream: &mut dyn Rng, length: usize, depth: usize) -> Vec<u32> {
    let mut open: Vec<u32> = Vec::new();
    let next = |_| {
        let opens = open.is_empty() || open.len() < depth && stream.random_bool(0.5);
        if opens {
            open.push(stream.random_range(0..2));
            return 2 * open[open.len() - 1];
        }
        2 * open.pop().expect("not empty") + 1
    };
    (0..length).map(next).collect()
}

fn dyck(brackets: &[u32]) -> Example {
    let mut open: Vec<u32> = Vec::new();
    let due = |&bracket: &u32| {
        match bracket % 2 {
            0 => open.push(bracket / 2),
            _ => drop(open.pop()),
        }
        Some(open.last().copied().unwrap_or(2))
    };
    let targets = brackets.iter().map(due).collect();
    Example { inputs: Inputs::Symbols(brackets.to_vec()), targets: Targets::Symbols(targets) }
}

/// Reverse string: the symbols of a string, the last one first.
pub static REVERSE_STRING: Problem = Problem {
    name: "reverse-string",
    summary: "a string, backwards",
    paper: "Delétang et al. 2022, arXiv:2207.02098",
    difficulty: Difficulty { meaning: "the number of symbols", default: 2, valid: 2..=26 },
    shortest: 1,
    inputs: |difficulty| with_answer(letters(difficulty)),
    outputs: letters,
    draw: |stream, length, difficulty| reverse_string(symbols(stream, length, difficulty), difficulty),
};

fn reverse_string(string: Vec<u32>, count: usize) -> Example {
    let reversed: Vec<u32> = string.iter().rev().copied().collect();
    Example::answered(string, count as u32, &reversed)
}

#[cfg(test)]
mod tests {
    use super::super::{indices, shown};
    use super::*;
    use seqzoo_random::{Key, Purpose};

    #[test]
    fn letters_are_counted() {
        for (counts, text, equal) in
            [(&[2, 2][..], "a a b b ?", "yes"), (&[0, 2], "b b ?", "no"), (&[1, 2, 1], "a b b c ?", "no")]
        {
            let [inputs, targets] = shown(&COUNTING, &counting(counts), counts.len());
            assert_eq!((inputs.as_str(), targets.rsplit(' ').next()), (text, Some(equal)));
        }
    }

    #[test]
    fn the_last_open_bracket_is_due() {
        let example = dyck(&indices(&DYCK.inputs(4), "( [ ( ) ] ) [ ]"));
        let [_, targets] = shown(&DYCK, &example, 4);
        assert_eq!(targets, ") ] ) ] ) balanced ] balanced");
    }

    #[test]
    fn nesting_is_bounded() {
        for depth in [1, 3] {
            let drawn = brackets(&mut Key::new(1, Purpose::Data).stream(), 2_000, depth);
            let mut open = Vec::new();
            let mut deepest = 0;
            for bracket in drawn {
                match bracket % 2 {
                    0 => open.push(bracket),
                    _ => assert_eq!(open.pop(), Some(bracket - 1)),
                }
                deepest = deepest.max(open.len());
            }
            assert_eq!(deepest, depth);
        }
    }

    #[test]
    fn strings_are_reversed() {
        let example = reverse_string(indices(&letters(3), "a b b c"), 3);
        let expected = ["a b b c ? ? ? ?", "- - - - c b b a"].map(str::to_owned);
        assert_eq!(shown(&REVERSE_STRING, &example, 3), expected);
    }
}
