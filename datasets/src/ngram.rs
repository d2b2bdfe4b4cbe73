//! Counts of neighboring tokens, the baseline of language models.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Predicts a token from the few before it, by counts of the training text, interpolated with those of shorter contexts.
///
/// ```text
/// P_n(w | h) = (c(h w) + t(h) P_{n−1}(w | h′)) / (c(h) + t(h))        P_0(w) = 1 / events
/// ```
///
/// `c` counts occurrences, `t(h)` the different tokens that follow the context `h` of n − 1 tokens, `h′` is `h` without its first
/// token. `events` is how many tokens a model can predict, all unknown ones together being one of them. Witten and Bell, "The
/// zero-frequency problem", IEEE Transactions on Information Theory 37, 1991.
#[derive(Debug, Clone)]
pub struct NGrams {
    longest: usize,
    events: usize,
    /// Of a context's hash: how often something followed it, and how many different tokens did.
    contexts: HashMap<u64, (u32, u32)>,
    /// Of the hash of a context and the token behind it: how often they occur.
    grams: HashMap<u64, u32>,
}

impl NGrams {
    /// Counts up to `longest` neighboring tokens, each one of `events`.
    pub fn of(tokens: &[u32], events: usize, longest: usize) -> Self {
        let mut model = Self { longest, events, contexts: HashMap::new(), grams: HashMap::new() };
        for place in 0..tokens.len() {
            for length in 0..longest.min(place + 1) {
                let context = &tokens[place - length..place];
                let seen = model.grams.entry(hash(context, Some(tokens[place]))).or_default();
                *seen += 1;
                let (count, types) = model.contexts.entry(hash(context, None)).or_default();
                *count += 1;
                *types += u32::from(*seen == 1);
            }
        }
        model
    }

    /// Tokens of a text behind its first, and the mean of −log P of each, in nats.
    pub fn loss(&self, tokens: &[u32]) -> (usize, f64) {
        let log = |place: usize| self.probability(&tokens[..place], tokens[place]).ln();
        let count = tokens.len().saturating_sub(1);
        (count, -(1..tokens.len()).map(log).sum::<f64>() / count.max(1) as f64)
    }

    /// The probability of a token behind others.
    fn probability(&self, before: &[u32], token: u32) -> f64 {
        let uniform = 1.0 / self.events as f64;
        (0..self.longest.min(before.len() + 1)).fold(uniform, |shorter, length| {
            let context = &before[before.len() - length..];
            let Some(&(count, types)) = self.contexts.get(&hash(context, None)) else { return shorter };
            let seen = self.grams.get(&hash(context, Some(token))).copied().unwrap_or(0);
            let (count, types) = (f64::from(count), f64::from(types));
            (f64::from(seen) + types * shorter) / (count + types)
        })
    }
}

/// Of a context, or of one and the token behind it.
fn hash(context: &[u32], token: Option<u32>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (context, token).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_as_computed_by_hand_and_sum_to_one() {
        // `a b a c` of the four tokens unknown, a, b, c.
        let (unknown, a, b, c) = (1, 2, 3, 4);
        let model = NGrams::of(&[a, b, a, c], 4, 3);
        let of = |before: &[u32], token: u32| model.probability(before, token);
        // Four tokens of three kinds: P_0 = 1/4, P_1(a) = (2 + 3/4) / 7, P_1(b) = P_1(c) = (1 + 3/4) / 7.
        assert!((of(&[], a) - 2.75 / 7.0).abs() < 1e-15);
        // Behind `a` came b and c: P_2(b | a) = (1 + 2 · 1.75/7) / 4.
        assert!((of(&[a], b) - 1.5 / 4.0).abs() < 1e-15);
        // `b a` was followed by c alone: P_3(c | b a) = (1 + P_2(c | a)) / 2; and an unknown context falls back.
        assert!((of(&[b, a], c) - (1.0 + 1.5 / 4.0) / 2.0).abs() < 1e-15);
        assert_eq!(of(&[c, c], b), of(&[], b));
        for before in [&[][..], &[a], &[b, a], &[unknown]] {
            let sum: f64 = [unknown, a, b, c].map(|token| of(before, token)).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{before:?}: {sum}");
        }
    }

    #[test]
    fn a_text_is_graded_token_by_token_and_unknown_ones_cost_the_most() {
        let numbers = |text: &str| -> Vec<u32> { text.chars().map(u32::from).collect() };
        let model = NGrams::of(&numbers("to be or not to be "), 8, 6);
        let loss = |text: &str| model.loss(&numbers(text));
        let (count, to_be) = loss("to be");
        assert_eq!(count, 4);
        assert!(to_be < loss("be to").1 && loss("to b§").1 > to_be);
        assert_eq!(loss("t").0, 0);
    }
}
