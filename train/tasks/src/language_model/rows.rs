//! Text split into rows, for training and for evaluation.

use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_datasets::corpus::characters_per_prediction;

use super::Codec;

/// Maximum number of rows of an evaluation, minimum number of predictions per row, and time steps per window.
const EVALUATION_ROWS: usize = 10;
const MIN_PREDICTIONS_PER_ROW: usize = 1_000;
pub(super) const EVALUATION_STEPS: usize = 100;

/// Number of context tokens before the first counted prediction of each evaluation row except the first.
const CONTEXT: usize = 200;

/// Text split into consecutive rows of equal length, which form a batch.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) rows: Vec<Vec<u32>>,
}

impl Rows {
    /// Splits tokens into `count` rows, or fewer if a row would have fewer than two tokens; drops the remainder.
    pub(super) fn new(tokens: &[u32], count: usize) -> Self {
        let count = count.min(tokens.len() / 2).max(1);
        let length = tokens.len() / count;
        Self { rows: tokens.chunks_exact(length.max(1)).take(count).map(<[u32]>::to_vec).collect() }
    }

    /// Number of predictions per row.
    pub(super) fn steps(&self) -> usize {
        self.rows.first().map_or(0, |row| row.len().saturating_sub(1))
    }

    /// Targets of the steps `from..to`, the next tokens, row by row.
    pub(super) fn next(&self, from: usize, to: usize) -> Vec<u32> {
        self.rows.iter().flat_map(|row| row[from + 1..=to].iter().copied()).collect()
    }

    pub(super) fn tokens(&self, from: usize, to: usize, device: &Device) -> Tensor<2, Int> {
        let tokens: Vec<i32> =
            self.rows.iter().flat_map(|row| row[from..to].iter().map(|&token| token as i32)).collect();
        Tensor::from_data(TensorData::new(tokens, [self.rows.len(), to - from]), device)
    }
}

/// Text split into overlapping rows of equal length for evaluation: each token but the first is predicted once, with at
/// least [`CONTEXT`] tokens before it unless the text begins there.
#[derive(Debug, Clone)]
pub(super) struct EvaluationRows {
    pub(super) rows: Rows,
    /// First step of each row whose prediction counts.
    pub(super) counted_from: Vec<usize>,
    /// Number of characters per counted prediction.
    pub(super) characters: f64,
}

impl EvaluationRows {
    pub(super) fn new(codec: &Codec, text: &str) -> Self {
        let tokens = codec.encode(text);
        let characters = characters_per_prediction(&codec.cleaning.apply(text), codec.level, tokens.len());
        Self { characters, ..Self::of(&tokens) }
    }

    fn of(tokens: &[u32]) -> Self {
        let predictions = tokens.len().saturating_sub(1);
        let count = (predictions / MIN_PREDICTIONS_PER_ROW).clamp(1, EVALUATION_ROWS);
        let steps = (predictions + (count - 1) * CONTEXT).div_ceil(count);
        let (mut rows, mut counted_from, mut counted) = (Vec::new(), Vec::new(), 0);
        for row in 0..count {
            // The last row starts earlier if it would exceed the text.
            let start = (row * steps.saturating_sub(CONTEXT)).min(predictions - steps);
            rows.push(tokens[start..tokens.len().min(start + steps + 1)].to_vec());
            counted_from.push(counted - start);
            counted = start + steps;
        }
        Self { rows: Rows { rows }, counted_from, characters: 1.0 }
    }

    /// Indices of the counted steps among all steps from `start` to `end`, row by row.
    pub(super) fn counted(&self, start: usize, end: usize) -> Vec<usize> {
        let of_row = |(row, &from): (usize, &usize)| (from.clamp(start, end)..end).map(move |step| (row, step - start));
        let counted = self.counted_from.iter().enumerate().flat_map(of_row);
        counted.map(|(row, step)| row * (end - start) + step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Window, windows};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn evaluation_predicts_every_token_but_the_first_once_with_context(length in 0..25_000usize) {
            let tokens: Vec<u32> = (0..length as u32).collect();
            let text = EvaluationRows::of(&tokens);
            prop_assert!(text.rows.rows.iter().all(|row| row.len() == text.rows.rows[0].len()));
            prop_assert!(text.rows.rows.len() == 1 || text.rows.rows[0].len() > MIN_PREDICTIONS_PER_ROW);
            let mut predicted: Vec<u32> = Vec::new();
            for (row, &from) in text.rows.rows.iter().zip(&text.counted_from) {
                prop_assert!(from >= CONTEXT || row.first() == Some(&0) || row.is_empty());
                predicted.extend(row.get(from + 1..).unwrap_or_default());
            }
            prop_assert_eq!(predicted, tokens.get(1..).unwrap_or_default());
            // Windows count the same predictions.
            let mut counted: Vec<u32> = Vec::new();
            for Window { start, end, .. } in windows(text.rows.steps(), EVALUATION_STEPS, 0) {
                let next = text.rows.next(start, end);
                counted.extend(text.counted(start, end).into_iter().map(|index| next[index]));
            }
            counted.sort_unstable();
            prop_assert_eq!(counted, tokens.get(1..).unwrap_or_default());
        }
    }
}
