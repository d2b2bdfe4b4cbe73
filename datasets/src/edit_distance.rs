//! Edit distance of sequences.

/// Minimum number of insertions, deletions and substitutions that turn one sequence into another (Levenshtein 1966).
///
/// ```
/// use seqzoo_datasets::edit_distance::edit_distance;
///
/// let phonemes = |text: &'static str| text.split(' ').collect::<Vec<_>>();
/// assert_eq!(edit_distance(&phonemes("K AE T"), &phonemes("K AA T S")), 2);
/// ```
pub fn edit_distance<T: PartialEq>(from: &[T], to: &[T]) -> usize {
    // Distances of the items so far from each prefix of `to`.
    let mut distances: Vec<usize> = (0..=to.len()).collect();
    for (row, item) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut distances[0], row + 1);
        for (column, other) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(item != other);
            diagonal = distances[column + 1];
            distances[column + 1] = substituted.min(diagonal + 1).min(distances[column] + 1);
        }
    }
    distances[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By the recursive definition.
    fn recursive(from: &[u8], to: &[u8]) -> usize {
        match (from, to) {
            ([], rest) | (rest, []) => rest.len(),
            ([a, from @ ..], [b, to @ ..]) if a == b => recursive(from, to),
            ([_, shorter @ ..], [_, other @ ..]) => {
                1 + recursive(shorter, other).min(recursive(shorter, to)).min(recursive(from, other))
            }
        }
    }

    proptest! {
        #[test]
        fn distances_match_the_recursive_definition(from in prop::collection::vec(0..3u8, 0..6), to in prop::collection::vec(0..3u8, 0..6)) {
            prop_assert_eq!(edit_distance(&from, &to), recursive(&from, &to));
        }
    }
}
