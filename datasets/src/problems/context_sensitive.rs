//! Problems that need more than a stack (context-sensitive languages), after Delétang et al. 2022.

use seqzoo_random::RngExt;

use super::{ANSWER, Difficulty, Example, Problem, letters, symbols, with_answer};

/// Paper of the problems.
const PAPER: &str = "Delétang et al. 2022, arXiv:2207.02098";

/// Duplicate string: the symbols of a string, twice.
pub static DUPLICATE_STRING: Problem = Problem {
    name: "duplicate-string",
    summary: "a string, twice",
    paper: PAPER,
    difficulty: Difficulty { meaning: "the number of symbols", default: 2, valid: 2..=26 },
    shortest: 1,
    inputs: |difficulty| with_answer(letters(difficulty)),
    outputs: letters,
    draw: |stream, length, difficulty| duplicate_string(symbols(stream, length, difficulty), difficulty),
};

fn duplicate_string(string: Vec<u32>, count: usize) -> Example {
    let twice = string.repeat(2);
    Example::answered(string, count as u32, &twice)
}

/// Input in place of the missing symbol.
const MISSING: &str = "_";

/// Missing duplicate: the missing symbol of a string that is repeated once. It has `length` symbols, or one less if that is odd.
pub static MISSING_DUPLICATE: Problem = Problem {
    name: "missing-duplicate",
    summary: "the missing symbol of a string that is repeated",
    paper: PAPER,
    difficulty: Difficulty { meaning: "the number of symbols", default: 2, valid: 2..=26 },
    shortest: 2,
    inputs: |difficulty| letters(difficulty).into_iter().chain([MISSING, ANSWER].map(str::to_owned)).collect(),
    outputs: letters,
    draw: |stream, length, difficulty| {
        let string = symbols(stream, length / 2, difficulty);
        let missing = stream.random_range(0..2 * string.len());
        missing_duplicate(&string, missing, difficulty)
    },
};

fn missing_duplicate(string: &[u32], missing: usize, count: usize) -> Example {
    let mut twice = string.repeat(2);
    let symbol = std::mem::replace(&mut twice[missing], count as u32);
    Example::answered(twice, count as u32 + 1, &[symbol])
}

/// Odds first: the symbols at odd positions of a string, counted from 1, then those at even positions.
pub static ODDS_FIRST: Problem = Problem {
    name: "odds-first",
    summary: "the symbols at odd positions, then those at even positions",
    paper: PAPER,
    difficulty: Difficulty { meaning: "the number of symbols", default: 2, valid: 2..=26 },
    shortest: 1,
    inputs: |difficulty| with_answer(letters(difficulty)),
    outputs: letters,
    draw: |stream, length, difficulty| odds_first(symbols(stream, length, difficulty), difficulty),
};

fn odds_first(string: Vec<u32>, count: usize) -> Example {
    let every_other = |start: usize| string.iter().skip(start).step_by(2);
    let output: Vec<u32> = every_other(0).chain(every_other(1)).copied().collect();
    Example::answered(string, count as u32, &output)
}

/// Bucket sort: the symbols of a string in alphabetical order.
pub static BUCKET_SORT: Problem = Problem {
    name: "bucket-sort",
    summary: "the symbols of a string in alphabetical order",
    paper: PAPER,
    difficulty: Difficulty { meaning: "the number of symbols", default: 5, valid: 2..=26 },
    shortest: 1,
    inputs: |difficulty| with_answer(letters(difficulty)),
    outputs: letters,
    draw: |stream, length, difficulty| bucket_sort(symbols(stream, length, difficulty), difficulty),
};

fn bucket_sort(string: Vec<u32>, count: usize) -> Example {
    let mut sorted = string.clone();
    sorted.sort_unstable();
    Example::answered(string, count as u32, &sorted)
}

#[cfg(test)]
mod tests {
    use super::super::{indices, shown};
    use super::*;

    #[test]
    fn outputs_match_hand_computed_ones() {
        let string = indices(&letters(3), "b c a a");
        for (problem, example, output) in [
            (&DUPLICATE_STRING, duplicate_string(string.clone(), 3), "b c a a b c a a"),
            (&ODDS_FIRST, odds_first(string.clone(), 3), "b a c a"),
            (&BUCKET_SORT, bucket_sort(string.clone(), 3), "a a b c"),
        ] {
            let answers = vec![ANSWER; output.split(' ').count()].join(" ");
            let expected = [format!("b c a a {answers}"), format!("- - - - {output}")];
            assert_eq!(shown(problem, &example, 3), expected);
        }
        for (missing, inputs, output) in [(1, "b _ b c ?", "c"), (2, "b c _ c ?", "b")] {
            let example = missing_duplicate(&string[..2], missing, 3);
            let expected = [inputs.to_owned(), format!("- - - - {output}")];
            assert_eq!(shown(&MISSING_DUPLICATE, &example, 3), expected);
        }
    }
}
