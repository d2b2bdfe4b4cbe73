//! Naive Bayes, a baseline for text classification.
//!
//! McCallum and Nigam, "A comparison of event models for naive Bayes text classification", AAAI workshop 1998; n-grams of
//! characters after Cavnar and Trenkle, "N-gram-based text categorization", SDAIR 1994.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::text::Tokenization;

/// Search space of [`NaiveBayes::tuned`].
const SMOOTHING: [f64; 5] = [1.0, 0.3, 0.1, 0.03, 0.01];
const PRIORS: [bool; 2] = [true, false];

/// Boundary marker before the first token and after the last, so that n-grams capture prefixes and suffixes; no token is empty.
const EDGE: &str = "";

/// Hyperparameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Maximum n of the n-grams.
    pub max_n: usize,
    /// Additive smoothing, added to each count.
    pub smoothing: f64,
    /// Whether to use the label frequencies as prior; otherwise the prior is uniform.
    pub priors: bool,
}

/// Multinomial naive Bayes over n-grams of tokens.
///
/// ```text
/// label(text)   = argmax_c  log P(c) + sum over n-grams g of the text  log P(g | c)
/// P(g | c)      = (n(g, c) + smoothing) / (n(c) + smoothing |V|)
/// ```
///
/// `n(g, c)` is the count of `g` in the training texts of label `c`, `n(c)` its sum over all `g`, and `V` the set of n-grams of
/// all training texts; other n-grams are ignored. An n-gram has 1 to `max_n` consecutive tokens, including a boundary marker at
/// either end of the text, but is not a marker alone. Labels without training texts are never predicted; ties go to the first
/// label.
#[derive(Debug, Clone)]
pub struct NaiveBayes {
    level: Tokenization,
    settings: Settings,
    /// Maps the hash of an n-gram to its row in `counts`.
    rows: HashMap<u64, usize>,
    /// `[n-grams, labels]`, row-major.
    counts: Vec<u32>,
    /// Number of n-gram occurrences in the training texts of each label.
    totals: Vec<u32>,
    /// Number of training texts of each label.
    texts: Vec<u32>,
}

impl NaiveBayes {
    /// Fits the model to (text, label) pairs with n-grams of 1 to `max_n` tokens; labels are below `labels`.
    ///
    /// # Panics
    /// If `smoothing` is not positive or a label is not below `labels`.
    pub fn fit<'a>(
        texts: impl Iterator<Item = (&'a str, usize)>,
        labels: usize,
        level: Tokenization,
        max_n: usize,
        smoothing: f64,
    ) -> Self {
        assert!(smoothing > 0.0, "smoothing must be positive, got {smoothing}");
        let settings = Settings { max_n, smoothing, priors: true };
        let none = vec![0; labels];
        let mut model =
            Self { level, settings, rows: HashMap::new(), counts: Vec::new(), totals: none.clone(), texts: none };
        for (text, label) in texts {
            model.texts[label] += 1;
            for gram in grams(text, level, max_n) {
                let next = model.rows.len();
                let row = *model.rows.entry(gram).or_insert(next);
                model.counts.resize(model.rows.len() * labels, 0);
                model.counts[row * labels + label] += 1;
                model.totals[label] += 1;
            }
        }
        model
    }

    /// Fits the model to the (text, label) pairs of the training split with the hyperparameters of the highest validation accuracy; n-grams of up to `max_n`
    /// tokens are tried.
    ///
    /// # Panics
    /// If a label is not below `labels`.
    pub fn tuned(
        train: &[(&str, usize)],
        validation: &[(&str, usize)],
        labels: usize,
        level: Tokenization,
        max_n: usize,
    ) -> Self {
        let fit = |max_n: usize| Self::fit(train.iter().copied(), labels, level, max_n, SMOOTHING[0]);
        let mut best = None;
        for max_n in 1..=max_n.max(1) {
            let mut model = fit(max_n);
            let known: Vec<Vec<usize>> = validation.iter().map(|(text, _)| model.known(text)).collect();
            for (smoothing, priors) in SMOOTHING.iter().flat_map(|&smoothing| PRIORS.map(|priors| (smoothing, priors)))
            {
                model.settings = Settings { max_n, smoothing, priors };
                let is_correct = |(rows, (_, label)): &(&Vec<usize>, &(&str, usize))| model.most_likely(rows) == *label;
                let hits = known.iter().zip(validation).filter(is_correct).count();
                if best.is_none_or(|(most, _)| hits > most) {
                    best = Some((hits, model.settings));
                }
            }
        }
        let (_, settings) = best.expect("the search space is not empty");
        Self { settings, ..fit(settings.max_n) }
    }

    /// The most likely label of a text.
    pub fn predict(&self, text: &str) -> usize {
        self.most_likely(&self.known(text))
    }

    /// The hyperparameters.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The rows of the known n-grams of a text.
    fn known(&self, text: &str) -> Vec<usize> {
        grams(text, self.level, self.settings.max_n)
            .into_iter()
            .filter_map(|gram| self.rows.get(&gram).copied())
            .collect()
    }

    /// The most likely label of a text with these rows of known n-grams.
    fn most_likely(&self, rows: &[usize]) -> usize {
        let Settings { smoothing, priors, .. } = self.settings;
        let labels = self.texts.len();
        let mut scores: Vec<f64> = (0..labels)
            .map(|label| {
                let prior = if priors || self.texts[label] == 0 { f64::from(self.texts[label]).ln() } else { 0.0 };
                let all = f64::from(self.totals[label]) + smoothing * self.rows.len() as f64;
                // Avoids 0 · ln 0, which is NaN.
                if rows.is_empty() { prior } else { prior - rows.len() as f64 * all.ln() }
            })
            .collect();
        for row in rows {
            let counts = &self.counts[row * labels..][..labels];
            scores.iter_mut().zip(counts).for_each(|(score, &count)| *score += (f64::from(count) + smoothing).ln());
        }
        // `max_by` returns the last maximum, which in reverse order is the first label.
        (0..labels).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0)
    }
}

/// The 64-bit hashes of the n-grams of a text; collisions are negligible.
fn grams(text: &str, level: Tokenization, max_n: usize) -> Vec<u64> {
    let edge = || std::iter::once(EDGE.to_owned());
    let tokens: Vec<String> = edge().chain(level.tokens(text)).chain(edge()).collect();
    let mut grams = Vec::new();
    for start in 0..tokens.len() {
        let mut hasher = DefaultHasher::new();
        for (offset, token) in tokens[start..].iter().take(max_n).enumerate() {
            token.hash(&mut hasher);
            if offset > 0 || token != EDGE {
                grams.push(hasher.finish());
            }
        }
    }
    grams
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fit(texts: &[(&str, usize)], labels: usize, max_n: usize, smoothing: f64) -> NaiveBayes {
        NaiveBayes::fit(texts.iter().copied(), labels, Tokenization::Words, max_n, smoothing)
    }

    /// With unigrams and smoothing 1, V = {good, bad, film}: P(good | 0) = (1 + 1) / (2 + 3), P(film | 0) = 2/5,
    /// P(bad | 1) = (3 + 1) / (4 + 3), P(good | 1) = 2/7, P(film | 1) = 1/7, P(bad | 0) = 1/5; P(0) = 1/3, P(1) = 2/3.
    #[test]
    fn predictions_match_hand_computed_probabilities() {
        let mut model = fit(&[("good film", 0), ("bad bad", 1), ("bad good", 1)], 2, 1, 1.0);
        // 1/3 · 2/5 = 0.133 against 2/3 · 2/7 = 0.190; without priors 0.4 against 0.286.
        assert_eq!(model.predict("good"), 1);
        model.settings.priors = false;
        assert_eq!(model.predict("good"), 0);
        model.settings.priors = true;
        // 1/3 · 2/5 · 2/5 = 0.053 against 2/3 · 2/7 · 1/7 = 0.027; unknown words are ignored.
        assert_eq!(model.predict("good unknown film"), 0);
        // 1/3 · 1/5 · 2/5 · 2/5 = 0.0107 against 2/3 · 4/7 · 1/7 · 1/7 = 0.0078.
        assert_eq!(model.predict("bad film film"), 0);
        // 1/3 · 1/5 · 2/5 = 0.027 against 2/3 · 4/7 · 1/7 = 0.054.
        assert_eq!(model.predict("bad film"), 1);
        assert_eq!(model.predict("unknown"), 1);
    }

    #[test]
    fn only_longer_n_grams_capture_boundaries_and_order() {
        let texts = [("a b", 0), ("b a", 1)];
        let [short, long] = [1, 2].map(|max_n| fit(&texts, 2, max_n, 0.1));
        assert_eq!([short.rows.len(), long.rows.len()], [2, 8]);
        assert_eq!(["a b", "b a", "a", "x b"].map(|text| long.predict(text)), [0, 1, 0, 0]);
        assert_eq!(["a b", "b a"].map(|text| short.predict(text)), [0, 0]);
    }

    #[test]
    fn labels_without_training_texts_are_never_predicted() {
        for priors in PRIORS {
            let mut model = fit(&[("a a a b", 1)], 3, 2, 0.01);
            model.settings.priors = priors;
            assert_eq!(["a", "b", "", "x"].map(|text| model.predict(text)), [1; 4]);
        }
        assert_eq!(fit(&[], 2, 2, 1.0).predict("a"), 0);
    }

    #[test]
    fn tuning_maximizes_validation_accuracy() {
        // Only word order distinguishes the labels, and the prior misleads.
        let train = [("a b", 0), ("b a", 1), ("c c", 1), ("d d", 1)];
        let model = NaiveBayes::tuned(&train, &[("a b", 0), ("b a", 1), ("a b e", 0)], 2, Tokenization::Words, 5);
        assert_eq!((model.settings.max_n, model.predict("a b"), model.predict("b a")), (2, 0, 1));
        let train = [("a", 0), ("a", 1), ("b", 1), ("a c", 1), ("c", 1)];
        let chosen = |validation: &[_]| NaiveBayes::tuned(&train, validation, 2, Tokenization::Words, 5).settings;
        assert!(!chosen(&[("a", 0)]).priors);
        assert_eq!(chosen(&[]), Settings { max_n: 1, smoothing: 1.0, priors: true });
    }

    proptest! {
        #[test]
        fn predictions_do_not_depend_on_the_order_of_training_texts(
            texts in prop::collection::vec(("[ab ]{0,6}", 0..3usize), 1..12), text in "[abc ]{0,8}", max_n in 1..4usize,
        ) {
            let texts: Vec<(&str, usize)> = texts.iter().map(|(text, label)| (&**text, *label)).collect();
            let reversed: Vec<(&str, usize)> = texts.iter().rev().copied().collect();
            let predict = |texts: &[(&str, usize)]| fit(texts, 3, max_n, 0.3).predict(&text);
            prop_assert_eq!(predict(&texts), predict(&reversed));
        }
    }
}
