//! N-gram language model, a baseline for language modeling.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// N-gram language model with Witten–Bell smoothing: counts are interpolated with those of shorter contexts.
///
/// ```text
/// P_n(w | h) = (c(h w) + t(h) P_{n−1}(w | h′)) / (c(h) + t(h))        P_0(w) = 1 / events
/// ```
///
/// `c` is the number of occurrences, `t(h)` the number of distinct tokens after the context `h` of n − 1 tokens, and `h′` is `h`
/// without its first token. `events` is the number of tokens that can be predicted, where all unknown tokens are one event. Witten
/// and Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37, 1991.
#[derive(Debug, Clone)]
pub struct NGrams {
    max_n: usize,
    events: usize,
    /// By hash of the context: the number of tokens after it, and how many of them are distinct.
    contexts: HashMap<u64, (u32, u32)>,
    /// By hash of a context and the next token: the number of occurrences.
    grams: HashMap<u64, u32>,
}

impl NGrams {
    /// Counts n-grams of up to `max_n` tokens; there are `events` possible tokens.
    pub fn fit(tokens: &[u32], events: usize, max_n: usize) -> Self {
        let mut model = Self { max_n, events, contexts: HashMap::new(), grams: HashMap::new() };
        for index in 0..tokens.len() {
            for length in 0..max_n.min(index + 1) {
                let context = &tokens[index - length..index];
                let seen = model.grams.entry(hash(context, Some(tokens[index]))).or_default();
                *seen += 1;
                let (count, types) = model.contexts.entry(hash(context, None)).or_default();
                *count += 1;
                *types += u32::from(*seen == 1);
            }
        }
        model
    }

    /// The number of predicted tokens, all but the first, and their mean negative log-likelihood in nats.
    pub fn loss(&self, tokens: &[u32]) -> (usize, f64) {
        let log = |index: usize| self.probability(&tokens[..index], tokens[index]).ln();
        let count = tokens.len().saturating_sub(1);
        // Sums of rounded probabilities may exceed one.
        (count, (-(1..tokens.len()).map(log).sum::<f64>() / count.max(1) as f64).max(0.0))
    }

    /// The probability of `token` after `before`.
    fn probability(&self, before: &[u32], token: u32) -> f64 {
        let uniform = 1.0 / self.events as f64;
        (0..self.max_n.min(before.len() + 1)).fold(uniform, |shorter, length| {
            let context = &before[before.len() - length..];
            let Some(&(count, types)) = self.contexts.get(&hash(context, None)) else { return shorter };
            let seen = self.grams.get(&hash(context, Some(token))).copied().unwrap_or(0);
            let (count, types) = (f64::from(count), f64::from(types));
            (f64::from(seen) + types * shorter) / (count + types)
        })
    }
}

/// Hash of a context, or of a context and the next token.
fn hash(context: &[u32], token: Option<u32>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (context, token).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_match_hand_computed_values_and_sum_to_one() {
        // The text `a b a c` over four events: unknown, a, b, c.
        let (unknown, a, b, c) = (1, 2, 3, 4);
        let model = NGrams::fit(&[a, b, a, c], 4, 3);
        let of = |before: &[u32], token: u32| model.probability(before, token);
        // Four tokens, three of them distinct: P_0 = 1/4, P_1(a) = (2 + 3/4) / 7, P_1(b) = P_1(c) = (1 + 3/4) / 7.
        assert!((of(&[], a) - 2.75 / 7.0).abs() < 1e-15);
        // b and c follow `a`: P_2(b | a) = (1 + 2 · 1.75/7) / 4.
        assert!((of(&[a], b) - 1.5 / 4.0).abs() < 1e-15);
        // Only c follows `b a`: P_3(c | b a) = (1 + P_2(c | a)) / 2; unknown contexts back off.
        assert!((of(&[b, a], c) - (1.0 + 1.5 / 4.0) / 2.0).abs() < 1e-15);
        assert_eq!(of(&[c, c], b), of(&[], b));
        for before in [&[][..], &[a], &[b, a], &[unknown]] {
            let sum: f64 = [unknown, a, b, c].map(|token| of(before, token)).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{before:?}: {sum}");
        }
    }

    #[test]
    fn seen_sequences_have_lower_loss_than_unseen_and_unknown_ones() {
        let ids = |text: &str| -> Vec<u32> { text.chars().map(u32::from).collect() };
        let model = NGrams::fit(&ids("to be or not to be "), 8, 6);
        let loss = |text: &str| model.loss(&ids(text));
        let (count, to_be) = loss("to be");
        assert_eq!(count, 4);
        assert!(to_be < loss("be to").1 && loss("to b§").1 > to_be);
        assert_eq!(loss("t").0, 0);
    }
}
