//! Batches of examples of similar length, shuffled by a key, and padding.

use seqzoo_random::{Key, SliceRandom};

use crate::text::PADDING;

/// Batches per pool, within which examples are sorted by length: larger pools need less padding but shuffle less.
const POOL: usize = 50;

/// Upper bounds on the size of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Maximum number of rows.
    pub rows: usize,
    /// Maximum number of tokens, padding included: rows times the size of the largest row. A batch of one row may exceed it.
    pub tokens: usize,
}

/// The batches of one epoch as lists of indices, each example exactly once; the number of batches does not depend on the key.
///
/// Examples are shuffled and sorted by length within pools of 50 batches, then the batches are shuffled. `sizes[i]` is the number
/// of tokens of example `i`, counted as in [`BatchLimits::tokens`]. Examples too large for a full batch are batched separately, by
/// size.
pub fn shuffled(lengths: &[usize], sizes: &[usize], limits: BatchLimits, key: Key) -> Vec<Vec<usize>> {
    let mut stream = key.stream();
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(&mut stream);
    let (mut order, large) = separate_large(order, sizes, limits);
    order.chunks_mut(POOL * limits.rows).for_each(|pool| pool.sort_by_key(|&index| lengths[index]));
    let mut batches: Vec<Vec<usize>> = order.chunks(limits.rows).map(<[usize]>::to_vec).chain(large).collect();
    batches.shuffle(&mut stream);
    batches
}

/// Batches for evaluation: sorted by length, each example exactly once; `sizes` as in [`shuffled`].
pub fn sorted(lengths: &[usize], sizes: &[usize], limits: BatchLimits) -> Vec<Vec<usize>> {
    let (mut order, large) = separate_large((0..lengths.len()).collect(), sizes, limits);
    order.sort_by_key(|&index| lengths[index]);
    order.chunks(limits.rows).map(<[usize]>::to_vec).chain(large).collect()
}

/// Separates the examples too large for a full batch: the other examples, in order, and the batches of the large ones.
fn separate_large(order: Vec<usize>, sizes: &[usize], limits: BatchLimits) -> (Vec<usize>, Vec<Vec<usize>>) {
    let full = limits.rows.min(order.len());
    let fits = |rows: usize, index: usize| rows.saturating_mul(sizes[index]) <= limits.tokens;
    let (order, mut large): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|&index| fits(full, index));
    large.sort_by_key(|&index| sizes[index]);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for index in large {
        match batches.last_mut() {
            Some(batch) if batch.len() < limits.rows && fits(batch.len() + 1, index) => batch.push(index),
            _ => batches.push(vec![index]),
        }
    }
    (order, batches)
}

/// Rows of token ids, padded to the longest row.
#[derive(Debug, Clone, PartialEq)]
pub struct Padded {
    /// `[batch, time]`, row-major.
    pub tokens: Vec<i32>,
    /// Number of tokens of each row, without padding.
    pub lengths: Vec<usize>,
    /// Length of the longest row.
    pub time: usize,
}

/// Pads rows to the length of the longest.
pub fn pad<'a>(rows: impl Iterator<Item = &'a [u32]> + Clone) -> Padded {
    let lengths: Vec<usize> = rows.clone().map(<[u32]>::len).collect();
    let time = lengths.iter().copied().max().unwrap_or(0);
    let fill = |row: &'a [u32]| row.iter().copied().chain(std::iter::repeat(PADDING)).take(time);
    let tokens = rows.flat_map(fill).map(|token| i32::try_from(token).expect("token ids fit in i32")).collect();
    Padded { tokens, lengths, time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use seqzoo_random::Purpose;

    fn flat(batches: &[Vec<usize>]) -> Vec<usize> {
        let mut all = batches.concat();
        all.sort_unstable();
        all
    }

    const UNBOUNDED: usize = usize::MAX;

    proptest! {
        #[test]
        fn each_example_is_seen_once_per_epoch_in_batches_within_the_limits(
            lengths in proptest::collection::vec(1..40usize, 1..300), rows in 1..20usize, tokens in 1..900usize,
            seed: u64, epoch in 0..9u64
        ) {
            let key = Key::new(seed, Purpose::Order).with_first(epoch);
            let sizes: Vec<usize> = lengths.iter().map(|length| length + length * length / 16).collect();
            let limits = BatchLimits { rows, tokens };
            let batches = shuffled(&lengths, &sizes, limits, key);
            let every: Vec<usize> = (0..lengths.len()).collect();
            for batches in [&batches, &sorted(&lengths, &sizes, limits)] {
                prop_assert_eq!(flat(batches), every.clone());
                for batch in batches {
                    let largest = batch.iter().map(|&index| sizes[index]).max().unwrap();
                    prop_assert!((1..=rows).contains(&batch.len()));
                    prop_assert!(batch.len() == 1 || batch.len() * largest <= tokens, "{batch:?}");
                }
            }
            prop_assert_eq!(&batches, &shuffled(&lengths, &sizes, limits, key));
            prop_assert_eq!(batches.len(), shuffled(&lengths, &sizes, limits, key.with_first(epoch + 1)).len());
        }

        #[test]
        fn a_token_limit_above_every_batch_changes_nothing(
            lengths in proptest::collection::vec(1..40usize, 1..300), rows in 1..20usize, seed: u64
        ) {
            let key = Key::new(seed, Purpose::Order);
            let tokens = rows * lengths.iter().max().unwrap();
            let [bounded, unbounded] = [tokens, UNBOUNDED].map(|tokens| BatchLimits { rows, tokens });
            prop_assert_eq!(shuffled(&lengths, &lengths, bounded, key), shuffled(&lengths, &lengths, unbounded, key));
            prop_assert_eq!(sorted(&lengths, &lengths, bounded), sorted(&lengths, &lengths, unbounded));
        }
    }

    #[test]
    fn long_rows_are_batched_separately() {
        let lengths = [3, 900, 2, 3, 4, 70, 60, 3];
        let batches = sorted(&lengths, &lengths, BatchLimits { rows: 3, tokens: 150 });
        assert_eq!(batches, [vec![2, 0, 3], vec![7, 4], vec![6, 5], vec![1]]);
    }

    #[test]
    fn epochs_have_different_orders() {
        let key = Key::new(3, Purpose::Order);
        let of = |key| shuffled(&[5; 64], &[5; 64], BatchLimits { rows: 4, tokens: UNBOUNDED }, key);
        assert_ne!(of(key.with_first(0)), of(key.with_first(1)));
    }

    #[test]
    fn rows_are_padded_to_the_longest() {
        let rows: [&[u32]; 2] = [&[5, 6, 7], &[8]];
        let padded = pad(rows.into_iter());
        assert_eq!(padded, Padded { tokens: vec![5, 6, 7, 8, 0, 0], lengths: vec![3, 1], time: 3 });
    }
}
