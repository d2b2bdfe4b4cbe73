//! Batches of similar length, in an order that is a pure function of its key, and their padding.

use seqzoo_random::{Key, SliceRandom};

use crate::text::PADDING;

/// Batches that are pooled before they are sorted by length: larger pools pad less and shuffle less.
const POOL: usize = 50;

/// The batches of one epoch as lists of indices, each example exactly once.
///
/// Examples are shuffled, sorted by length within pools of 50 batches so that rows of similar length meet, and the
/// batches shuffled again.
pub fn shuffled(lengths: &[usize], batch_size: usize, key: Key) -> Vec<Vec<usize>> {
    let mut stream = key.stream();
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(&mut stream);
    order.chunks_mut(POOL * batch_size).for_each(|pool| pool.sort_by_key(|&index| lengths[index]));
    let mut batches: Vec<Vec<usize>> = order.chunks(batch_size).map(<[usize]>::to_vec).collect();
    batches.shuffle(&mut stream);
    batches
}

/// Batches for evaluation: sorted by length, each example exactly once.
pub fn sorted(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| lengths[index]);
    order.chunks(batch_size).map(<[usize]>::to_vec).collect()
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

    proptest! {
        #[test]
        fn each_example_is_seen_once_per_epoch(
            lengths in proptest::collection::vec(1..40usize, 1..300), size in 1..20usize, seed: u64, epoch in 0..9u64
        ) {
            let key = Key::new(seed, Purpose::Order).at(epoch);
            let batches = shuffled(&lengths, size, key);
            let every: Vec<usize> = (0..lengths.len()).collect();
            prop_assert_eq!(flat(&batches), every.clone());
            prop_assert_eq!(flat(&sorted(&lengths, size)), every);
            prop_assert!(batches.iter().all(|batch| (1..=size).contains(&batch.len())));
            prop_assert_eq!(&batches, &shuffled(&lengths, size, key));
        }
    }

    #[test]
    fn epochs_differ_in_order() {
        let key = Key::new(3, Purpose::Order);
        assert_ne!(shuffled(&[5; 64], 4, key.at(0)), shuffled(&[5; 64], 4, key.at(1)));
    }

    #[test]
    fn rows_are_filled_up_to_the_longest() {
        let rows: [&[u32]; 2] = [&[5, 6, 7], &[8]];
        let padded = pad(rows.into_iter());
        assert_eq!(padded, Padded { tokens: vec![5, 6, 7, 8, 0, 0], lengths: vec![3, 1], time: 3 });
    }
}
