//! Byte-pair encoding: Sennrich, Haddow and Birch, "Neural machine translation of rare words with subword units", ACL 2016; Gage 1994.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

/// A pair of neighboring pieces, by index.
type Pair = (u32, u32);

/// Learns the pieces of words: the characters, the most frequent ones first, then merges of the most frequent pair of neighboring pieces, in
/// the order in which they are learned; ties go to the pair with the smaller indices.
///
/// Characters with fewer than `min_count` occurrences and pairs with fewer, but at least 2, are left out.
pub(crate) fn learn(words: impl Iterator<Item = String>, min_count: usize, max_size: usize) -> Vec<String> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    let mut characters: HashMap<char, u64> = HashMap::new();
    for (word, count) in &counts {
        word.chars().for_each(|character| *characters.entry(character).or_default() += count);
    }
    let mut alphabet: Vec<(char, u64)> =
        characters.into_iter().filter(|&(_, count)| count >= min_count as u64).collect();
    alphabet.sort_unstable_by_key(|&(character, count)| (Reverse(count), character));
    alphabet.truncate(max_size);
    let mut pieces: Vec<String> = alphabet.iter().map(|(character, _)| character.to_string()).collect();
    let indices: HashMap<char, u32> = alphabet.iter().map(|(character, _)| *character).zip(0..).collect();
    // An unknown character divides its word.
    let mut words: Vec<(Vec<u32>, u64)> = Vec::new();
    for (word, count) in counts {
        let known: Vec<Option<u32>> = word.chars().map(|character| indices.get(&character).copied()).collect();
        words.extend(known.split(Option::is_none).map(|part| (part.iter().flatten().copied().collect(), count)));
    }
    let mut pairs = Pairs::of(&words);
    let least = (min_count as u64).max(2);
    let mut known: HashMap<String, u32> = pieces.iter().cloned().zip(0..).collect();
    while pieces.len() < max_size
        && let Some((pair, count)) = pairs.most_frequent()
        && count >= least
    {
        let merged = format!("{}{}", pieces[pair.0 as usize], pieces[pair.1 as usize]);
        let index = *known.entry(merged.clone()).or_insert(pieces.len() as u32);
        if index as usize == pieces.len() {
            pieces.push(merged);
        }
        pairs.merge(&mut words, pair, index);
    }
    pieces
}

/// Counts of pairs, and the words that they may be in.
struct Pairs {
    counts: HashMap<Pair, u64>,
    words: HashMap<Pair, BTreeSet<usize>>,
    /// By count; entries whose count has changed since are skipped.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Pairs {
    fn of(words: &[(Vec<u32>, u64)]) -> Self {
        let mut pairs = Self { counts: HashMap::new(), words: HashMap::new(), queue: BinaryHeap::new() };
        for (index, (word, count)) in words.iter().enumerate() {
            for pair in word.windows(2).map(|pair| (pair[0], pair[1])) {
                *pairs.counts.entry(pair).or_default() += count;
                pairs.words.entry(pair).or_default().insert(index);
            }
        }
        pairs.queue = pairs.counts.iter().map(|(&pair, &count)| (count, Reverse(pair))).collect();
        pairs
    }

    fn most_frequent(&mut self) -> Option<(Pair, u64)> {
        loop {
            let (count, Reverse(pair)) = self.queue.pop()?;
            match self.counts.get(&pair) {
                Some(&now) if now == count => return Some((pair, count)),
                // The count has decreased since; one that increased has another entry.
                Some(&now) if now < count && now > 0 => self.queue.push((now, Reverse(pair))),
                _ => {}
            }
        }
    }

    /// Replaces a pair by the piece with index `merged` in all words.
    fn merge(&mut self, words: &mut [(Vec<u32>, u64)], pair: Pair, merged: u32) {
        let mut increased: BTreeSet<Pair> = BTreeSet::new();
        for index in self.words.remove(&pair).unwrap_or_default() {
            let (word, count) = &mut words[index];
            for old in word.windows(2).map(|pair| (pair[0], pair[1])) {
                if let Some(sum) = self.counts.get_mut(&old) {
                    *sum -= *count;
                }
            }
            let mut replaced = Vec::with_capacity(word.len());
            let mut at = 0;
            while at < word.len() {
                let is_pair = word.get(at + 1).is_some_and(|&next| (word[at], next) == pair);
                replaced.push(if is_pair { merged } else { word[at] });
                at += if is_pair { 2 } else { 1 };
            }
            *word = replaced;
            for new in word.windows(2).map(|pair| (pair[0], pair[1])) {
                *self.counts.entry(new).or_default() += *count;
                if new.0 == merged || new.1 == merged {
                    increased.insert(new);
                    self.words.entry(new).or_default().insert(index);
                }
            }
        }
        self.counts.remove(&pair);
        self.queue.extend(increased.into_iter().map(|pair| (self.counts[&pair], Reverse(pair))));
    }
}

/// Divides a word into pieces: of all neighboring pieces, those whose concatenation has the lowest rank are joined, until no concatenation
/// has a rank. `rank` is the index of a learned piece.
pub(crate) fn pieces(word: &str, rank: impl Fn(&str) -> Option<u32>) -> Vec<&str> {
    if rank(word).is_some() {
        return vec![word];
    }
    // The piece that starts at each character ends at the start of the next one; joined ones are empty.
    let mut starts: Vec<usize> = word.char_indices().map(|(start, _)| start).collect();
    let count = starts.len();
    starts.push(word.len());
    let mut next: Vec<usize> = (1..=count).collect();
    let mut before: Vec<Option<usize>> = (0..count).map(|index| index.checked_sub(1)).collect();
    let mut is_joined = vec![false; count];
    let mut queue = BinaryHeap::new();
    let joint = |first: usize, end: usize| rank(&word[starts[first]..starts[end]]);
    let add = |queue: &mut BinaryHeap<_>, first: usize, next: &[usize]| {
        let second = next[first];
        if second < count
            && let Some(rank) = joint(first, next[second])
        {
            queue.push(Reverse((rank, first, next[second])));
        }
    };
    (0..count).for_each(|first| add(&mut queue, first, &next));
    while let Some(Reverse((_, first, end))) = queue.pop() {
        let second = if is_joined[first] { count } else { next[first] };
        if second == count || next[second] != end {
            continue;
        }
        is_joined[second] = true;
        next[first] = end;
        if end < count {
            before[end] = Some(first);
        }
        add(&mut queue, first, &next);
        if let Some(previous) = before[first] {
            add(&mut queue, previous, &next);
        }
    }
    (0..count).filter(|&first| !is_joined[first]).map(|first| &word[starts[first]..starts[next[first]]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn learned(text: &str, min_count: usize, max_size: usize) -> Vec<String> {
        learn(text.split(' ').map(str::to_owned), min_count, max_size)
    }

    fn divided<'a>(word: &'a str, all: &[String]) -> Vec<&'a str> {
        pieces(word, |piece| all.iter().position(|known| known == piece).map(|index| index as u32))
    }

    #[test]
    fn merges_match_those_computed_by_hand() {
        // The example of Sennrich et al.: low five times, lower twice, newest six times, widest three times. The pair "e s" occurs nine
        // times, then "es t" nine times, "l o" and "lo w" seven times, "e w" and then "n ew" six times.
        let text = ["low"; 5].iter().chain(&["lower"; 2]).chain(&["newest"; 6]).chain(&["widest"; 3]);
        let text = text.copied().collect::<Vec<_>>().join(" ");
        let found = learned(&text, 1, 16);
        assert_eq!(found[..10].concat().chars().count(), 10, "characters first: {found:?}");
        assert_eq!(found[10..], ["es", "est", "lo", "low", "ew", "new"]);
        assert_eq!(divided("lowest", &found), ["low", "est"]);
        assert_eq!(divided("newest", &found), ["new", "est"]);
        assert_eq!(divided("low", &found), ["low"]);
        assert_eq!(divided("lxw", &found), ["l", "x", "w"], "an unknown character is a piece");
    }

    #[test]
    fn rare_characters_and_pairs_are_left_out() {
        assert_eq!(learned("ab ab xb", 2, 9), ["b", "a", "ab"]);
        assert_eq!(learned("ab cd", 1, 9), ["a", "b", "c", "d"], "a pair that occurs once");
        assert_eq!(learned("ab ab ab", 1, 2), ["a", "b"]);
        assert_eq!(learned("aaaa aaaa", 1, 9), ["a", "aa", "aaaa"]);
    }

    proptest! {
        #[test]
        fn pieces_are_the_word_and_learning_does_not_depend_on_the_order(
            words in prop::collection::vec("[abc]{1,9}", 1..30), word in "[abcdé]{1,20}", size in 1..40usize,
        ) {
            let all = learn(words.iter().cloned(), 1, size);
            prop_assert!(all.len() <= size);
            prop_assert_eq!(learn(words.iter().rev().cloned(), 1, size), all.clone());
            let found = divided(&word, &all);
            prop_assert_eq!(found.concat(), word.clone());
            // Each piece is known or a single character, and no two neighbors make a known piece.
            let is_known = |piece: &str| all.iter().any(|known| known == piece);
            prop_assert!(found.iter().all(|piece| is_known(piece) || piece.chars().count() == 1));
            prop_assert!(found.windows(2).all(|pair| !is_known(&pair.concat())));
            // Merging step by step gives the same.
            let mut slow: Vec<String> = word.chars().map(String::from).collect();
            if is_known(&word) {
                slow = vec![word.clone()];
            }
            loop {
                let rank = |at: &usize| all.iter().position(|known| *known == slow[*at..*at + 2].concat());
                let best = (0..slow.len().saturating_sub(1)).filter(|at| rank(at).is_some()).min_by_key(|at| rank(at));
                let Some(at) = best else { break };
                slow.splice(at..at + 2, [slow[at..at + 2].concat()]);
            }
            prop_assert_eq!(found, slow);
        }
    }
}
