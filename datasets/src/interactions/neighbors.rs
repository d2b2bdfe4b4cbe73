//! Items that the same users interacted with.

use std::cmp::Ordering;

use super::Interactions;

/// Number of neighbors that an item keeps.
const NEIGHBORS: usize = 100;

/// Number of items of a user, the most recent ones, that count as neighbors of each other: the time is quadratic in it.
const RECENT: usize = 1_000;

/// The most similar items of each item.
///
/// ```text
/// similarity(i, j) = |users of i and j| / √(|users of i| |users of j|)
/// ```
pub(super) struct Neighbors {
    /// Ids and similarities, by the index of an item.
    of_items: Vec<Vec<(u32, f32)>>,
}

impl Neighbors {
    /// The neighbors in the training split.
    pub fn of(data: &Interactions) -> Self {
        let known = |items: &[u32]| -> Vec<u32> { items.iter().copied().filter(|&item| data.is_known(item)).collect() };
        let histories: Vec<Vec<u32>> = data.users.iter().map(|user| distinct(known(user.train()))).collect();
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); data.items];
        for (user, items) in histories.iter().enumerate() {
            items.iter().for_each(|&item| users[item as usize - 1].push(user));
        }
        let mut counts = vec![0u32; data.items];
        let neighbors = |item: usize| {
            let mut found = Vec::new();
            for &other in users[item].iter().flat_map(|&user| &histories[user]) {
                let index = other as usize - 1;
                if counts[index] == 0 && index != item {
                    found.push(other);
                }
                counts[index] += 1;
            }
            let similarity = |&other: &u32| {
                let index = other as usize - 1;
                let norm = (users[item].len() as f64 * users[index].len() as f64).sqrt();
                (other, (f64::from(counts[index]) / norm) as f32)
            };
            let similar = nearest(found.iter().map(similarity).collect());
            found.iter().for_each(|&other| counts[other as usize - 1] = 0);
            counts[item] = 0;
            similar
        };
        Self { of_items: (0..data.items).map(neighbors).collect() }
    }

    /// Sets the score of each item: the sum of its similarities to the items of a history.
    pub fn score(&self, history: &[u32], scores: &mut [f32]) {
        scores.fill(0.0);
        let known = history.iter().filter_map(|&item| self.of_items.get(item as usize - 1));
        known.flatten().for_each(|&(other, similarity)| scores[other as usize - 1] += similarity);
    }
}

/// The different items among the most recent ones, sorted.
fn distinct(mut items: Vec<u32>) -> Vec<u32> {
    items.drain(..items.len().saturating_sub(RECENT));
    items.sort_unstable();
    items.dedup();
    items
}

/// The most similar items, in no particular order; the first ones of equally similar ones.
fn nearest(mut similar: Vec<(u32, f32)>) -> Vec<(u32, f32)> {
    let order = |a: &(u32, f32), b: &(u32, f32)| -> Ordering { b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)) };
    if similar.len() > NEIGHBORS {
        similar.select_nth_unstable_by(NEIGHBORS, order);
        similar.truncate(NEIGHBORS);
    }
    similar
}

#[cfg(test)]
mod tests {
    use super::super::History;
    use super::*;

    #[test]
    fn similarities_match_hand_computed_cosines() {
        // Users of item 1: both; of item 2: the first, twice; of item 3: the second.
        let user = |items: Vec<u32>| History { train_end: items.len(), validation_end: items.len(), items };
        let users = vec![user(vec![2, 1, 2]), user(vec![1, 3])];
        let data = Interactions {
            names: ["a", "b", "c"].map(str::to_owned).to_vec(),
            items: 3,
            users,
            ..Interactions::default()
        };
        let neighbors = Neighbors::of(&data);
        let scores = |history: &[u32]| {
            let mut scores = vec![7.0; 3];
            neighbors.score(history, &mut scores);
            scores
        };
        let similarity = 0.5f64.sqrt() as f32;
        assert_eq!(scores(&[1]), [0.0, similarity, similarity]);
        // Item 9 is unknown; items 2 and 3 have no user in common.
        assert_eq!(scores(&[2, 9, 3]), [similarity + similarity, 0.0, 0.0]);
    }

    #[test]
    fn the_most_similar_items_are_kept() {
        let all: Vec<(u32, f32)> = (1..=300).map(|item| (item, if item <= 50 { 0.1 } else { 0.2 })).collect();
        let mut kept: Vec<u32> = nearest(all).into_iter().map(|(item, _)| item).collect();
        kept.sort_unstable();
        assert_eq!(kept, (51..=150).collect::<Vec<u32>>());
    }
}
