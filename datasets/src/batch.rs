//! Batches of similar length, in an order that is a pure function of its key, and their padding.

use seqzoo_random::{Key, SliceRandom};

use crate::text::PADDING;

/// Batches that are pooled before they are sorted by length: larger pools pad less and shuffle less.
const POOL: usize = 50;

/// The most that a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of rows.
    pub rows: usize,
    /// Maximum number of padded tokens: rows times the tokens of the largest one. A single row may have more.
    pub tokens: usize,
}

/// The batches of one epoch as lists of indices, each example exactly once; how many there are does not depend on the key.
///
/// Examples are shuffled, sorted by length within pools of 50 batches so that rows of similar length meet, and the
/// batches shuffled again. `sizes` are the padded tokens of rows as large as each example; those of which a full batch
/// would exceed the limit are batched by size among themselves.
pub fn shuffled(lengths: &[usize], sizes: &[usize], limits: Limits, key: Key) -> Vec<Vec<usize>> {
    let mut stream = key.stream();
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(&mut stream);
    let (mut order, large) = apart(order, sizes, limits);
    order.chunks_mut(POOL * limits.rows).for_each(|pool| pool.sort_by_key(|&index| lengths[index]));
    let mut batches: Vec<Vec<usize>> = order.chunks(limits.rows).map(<[usize]>::to_vec).chain(large).collect();
    batches.shuffle(&mut stream);
    batches
}

/// Batches for evaluation: sorted by length, each example exactly once; `sizes` as for [`shuffled`].
pub fn sorted(lengths: &[usize], sizes: &[usize], limits: Limits) -> Vec<Vec<usize>> {
    let (mut order, large) = apart((0..lengths.len()).collect(), sizes, limits);
    order.sort_by_key(|&index| lengths[index]);
    order.chunks(limits.rows).map(<[usize]>::to_vec).chain(large).collect()
}

/// The examples of which a full batch stays within the limit, in their order, and batches of the larger ones.
fn apart(order: Vec<usize>, sizes: &[usize], limits: Limits) -> (Vec<usize>, Vec<Vec<usize>>) {
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

/// Rows of token numbers, filled up with padding to the longest.
#[derive(Debug, Clone, PartialEq)]
pub struct Padded {
    /// `[batch, time]`, row by row.
    pub tokens: Vec<i32>,
    /// True tokens of each row.
    pub lengths: Vec<usize>,
    /// Tokens of the longest row.
    pub time: usize,
}

/// Fills rows up to a rectangle.
pub fn pad<'a>(rows: impl Iterator<Item = &'a [u32]> + Clone) -> Padded {
    let lengths: Vec<usize> = rows.clone().map(<[u32]>::len).collect();
    let time = lengths.iter().copied().max().unwrap_or(0);
    let fill = |row: &'a [u32]| row.iter().copied().chain(std::iter::repeat(PADDING)).take(time);
    let tokens = rows.flat_map(fill).map(|token| i32::try_from(token).expect("vocabularies are far smaller")).collect();
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
            let key = Key::new(seed, Purpose::Order).at(epoch);
            let sizes: Vec<usize> = lengths.iter().map(|length| length + length * length / 16).collect();
            let limits = Limits { rows, tokens };
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
            prop_assert_eq!(batches.len(), shuffled(&lengths, &sizes, limits, key.at(epoch + 1)).len());
        }

        #[test]
        fn a_limit_that_no_full_batch_reaches_changes_nothing(
            lengths in proptest::collection::vec(1..40usize, 1..300), rows in 1..20usize, seed: u64
        ) {
            let key = Key::new(seed, Purpose::Order);
            let tokens = rows * lengths.iter().max().unwrap();
            let [bounded, unbounded] = [tokens, UNBOUNDED].map(|tokens| Limits { rows, tokens });
            prop_assert_eq!(shuffled(&lengths, &lengths, bounded, key), shuffled(&lengths, &lengths, unbounded, key));
            prop_assert_eq!(sorted(&lengths, &lengths, bounded), sorted(&lengths, &lengths, unbounded));
        }
    }

    #[test]
    fn one_long_row_leaves_the_others_together() {
        let lengths = [3, 900, 2, 3, 4, 70, 60, 3];
        let batches = sorted(&lengths, &lengths, Limits { rows: 3, tokens: 150 });
        assert_eq!(batches, [vec![2, 0, 3], vec![7, 4], vec![6, 5], vec![1]]);
    }

    #[test]
    fn epochs_differ_in_order() {
        let key = Key::new(3, Purpose::Order);
        let of = |key| shuffled(&[5; 64], &[5; 64], Limits { rows: 4, tokens: UNBOUNDED }, key);
        assert_ne!(of(key.at(0)), of(key.at(1)));
    }

    #[test]
    fn rows_are_filled_up_to_the_longest() {
        let rows: [&[u32]; 2] = [&[5, 6, 7], &[8]];
        let padded = pad(rows.into_iter());
        assert_eq!(padded, Padded { tokens: vec![5, 6, 7, 8, 0, 0], lengths: vec![3, 1], time: 3 });
    }
}
