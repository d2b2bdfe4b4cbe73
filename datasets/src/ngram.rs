//! Counts of neighbouring tokens, the baseline of language models.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::text::Level;

/// Predicts a token from the few before it, by counts of the training text, interpolated with those of shorter contexts.
///
/// ```text
/// P_n(w | h) = (c(h w) + t(h) P_{n−1}(w | h′)) / (c(h) + t(h))        P_0(w) = 1 / (|V| + 1)
/// ```
///
/// `c` counts occurrences, `t(h)` the different tokens that follow the context `h` of n − 1 tokens, `h′` is `h` without its first
/// token, `V` the tokens of the training text, beside which all unknown ones count as one. Witten and Bell, "The zero-frequency
/// problem", IEEE Transactions on Information Theory 37, 1991.
#[derive(Debug, Clone)]
pub struct NGrams {
    level: Level,
    longest: usize,
    known: HashSet<String>,
    /// Of a context's hash: how often something followed it, and how many different tokens did.
    contexts: HashMap<u64, (u32, u32)>,
    /// Of the hash of a context and the token behind it: how often they occur.
    grams: HashMap<u64, u32>,
}

impl NGrams {
    /// Counts up to six neighbouring characters, or three words.
    pub fn of(text: &str, level: Level) -> Self {
        let longest = if level == Level::Characters { 6 } else { 3 };
        let tokens: Vec<String> = level.tokens(text).collect();
        let mut model = Self {
            level,
            longest,
            known: tokens.iter().cloned().collect(),
            contexts: HashMap::new(),
            grams: HashMap::new(),
        };
        for place in 0..tokens.len() {
            for length in 0..longest.min(place + 1) {
                let context = &tokens[place - length..place];
                let seen = model.grams.entry(hash(context, Some(&tokens[place]))).or_default();
                *seen += 1;
                let (count, types) = model.contexts.entry(hash(context, None)).or_default();
                *count += 1;
                *types += u32::from(*seen == 1);
            }
        }
        model
    }

    /// Tokens of a text behind its first, and the mean of −log P of each, in nats.
    pub fn loss(&self, text: &str) -> (usize, f64) {
        let unknown = String::new(); // no token is empty
        let name = |token: String| if self.known.contains(&token) { token } else { unknown.clone() };
        let tokens: Vec<String> = self.level.tokens(text).map(name).collect();
        let log = |place: usize| self.probability(&tokens[..place], &tokens[place]).ln();
        let count = tokens.len().saturating_sub(1);
        (count, -(1..tokens.len()).map(log).sum::<f64>() / count.max(1) as f64)
    }

    /// The probability of a token behind others.
    fn probability(&self, before: &[String], token: &String) -> f64 {
        let uniform = 1.0 / (self.known.len() + 1) as f64;
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
fn hash(context: &[String], token: Option<&String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (context, token).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_as_computed_by_hand_and_sum_to_one() {
        let model = NGrams::of("a b a c", Level::Words);
        let tokens = |text: &str| -> Vec<String> { Level::Words.tokens(text).collect() };
        let of = |before: &str, token: &str| model.probability(&tokens(before), &token.to_owned());
        // Four tokens of three kinds: P_0 = 1/4, P_1(a) = (2 + 3/4) / 7, P_1(b) = P_1(c) = (1 + 3/4) / 7.
        assert!((of("", "a") - 2.75 / 7.0).abs() < 1e-15);
        // Behind `a` came b and c: P_2(b | a) = (1 + 2 · 1.75/7) / 4.
        assert!((of("a", "b") - 1.5 / 4.0).abs() < 1e-15);
        // `b a` was followed by c alone: P_3(c | b a) = (1 + P_2(c | a)) / 2; and an unknown context falls back.
        assert!((of("b a", "c") - (1.0 + 1.5 / 4.0) / 2.0).abs() < 1e-15);
        assert_eq!(of("c c", "b"), of("", "b"));
        for before in ["", "a", "b a", "x"] {
            let sum: f64 = ["a", "b", "c", ""].map(|token| of(before, token)).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{before}: {sum}");
        }
    }

    #[test]
    fn a_text_is_graded_token_by_token_and_unknown_ones_cost_the_most() {
        let model = NGrams::of("to be or not to be ", Level::Characters);
        let (count, loss) = model.loss("to be");
        assert_eq!(count, 4);
        assert!(loss < model.loss("be to").1 && model.loss("to b§").1 > loss);
        assert_eq!(model.loss("t").0, 0);
    }
}
