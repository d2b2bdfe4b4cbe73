//! Naive Bayes, the baseline of text classification.
//!
//! McCallum and Nigam, "A comparison of event models for naive Bayes text classification", AAAI workshop 1998; n-grams of
//! characters after Cavnar and Trenkle, "N-gram-based text categorization", SDAIR 1994.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::classification::Example;
use crate::text::Level;

/// What [`NaiveBayes::tuned`] chooses among.
const SMOOTHING: [f64; 5] = [1.0, 0.3, 0.1, 0.03, 0.01];
const PRIORS: [bool; 2] = [true, false];

/// Stands before the first token and after the last, so that n-grams know prefixes and suffixes; no token is empty.
const EDGE: &str = "";

/// What a model is besides what it has counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Tokens of the longest n-gram.
    pub longest: usize,
    /// Added to each count.
    pub smoothing: f64,
    /// Whether frequent labels are likelier before the text is seen.
    pub priors: bool,
}

/// Multinomial naive Bayes over n-grams of tokens.
///
/// ```text
/// answer(text)  = argmax_c  log P(c) + sum over n-grams g of the text  log P(g | c)
/// P(g | c)      = (n(g, c) + smoothing) / (n(c) + smoothing |V|)
/// ```
///
/// `n(g, c)` is how often `g` occurs in the training texts of label `c`, `n(c)` its sum over all `g`, `V` the n-grams of
/// all training texts; others are passed over. An n-gram is 1 to `longest` neighbors of the text's tokens and the mark at
/// either end, the mark alone excepted. A label without training texts is never the answer; of equally likely ones the
/// first is.
#[derive(Debug, Clone)]
pub struct NaiveBayes {
    level: Level,
    settings: Settings,
    /// The place of an n-gram, by its hash, among the rows of `counts`.
    rows: HashMap<u64, usize>,
    /// `[n-grams, labels]`, row by row.
    counts: Vec<u32>,
    /// N-grams in the training texts of each label, repeated ones again.
    totals: Vec<u32>,
    /// Training texts of each label.
    texts: Vec<u32>,
}

impl NaiveBayes {
    /// Counts n-grams of 1 to `longest` tokens in texts and their labels, which are below `labels`.
    ///
    /// # Panics
    /// If `smoothing` is not positive or a label is not below `labels`.
    pub fn fit<'a>(
        texts: impl Iterator<Item = (&'a str, usize)>,
        labels: usize,
        level: Level,
        longest: usize,
        smoothing: f64,
    ) -> Self {
        assert!(smoothing > 0.0, "smoothing is {smoothing}: without it an unseen pair has no logarithm");
        let settings = Settings { longest, smoothing, priors: true };
        let none = vec![0; labels];
        let mut model =
            Self { level, settings, rows: HashMap::new(), counts: Vec::new(), totals: none.clone(), texts: none };
        for (text, label) in texts {
            model.texts[label] += 1;
            for gram in grams(text, level, longest) {
                let next = model.rows.len();
                let row = *model.rows.entry(gram).or_insert(next);
                model.counts.resize(model.rows.len() * labels, 0);
                model.counts[row * labels + label] += 1;
                model.totals[label] += 1;
            }
        }
        model
    }

    /// Fitted to a training part with the settings that are right most often on a validation part, n-grams of up to
    /// `longest` tokens among them.
    ///
    /// # Panics
    /// If a label is not below `labels`.
    pub fn tuned(train: &[Example], validation: &[Example], labels: usize, level: Level, longest: usize) -> Self {
        let fit = |longest: usize| {
            let texts = train.iter().map(|example| (&*example.text, example.label));
            Self::fit(texts, labels, level, longest, SMOOTHING[0])
        };
        let mut most = None;
        for longest in 1..=longest.max(1) {
            let mut model = fit(longest);
            let known: Vec<Vec<usize>> = validation.iter().map(|example| model.known(&example.text)).collect();
            for (smoothing, priors) in SMOOTHING.iter().flat_map(|&smoothing| PRIORS.map(|priors| (smoothing, priors)))
            {
                model.settings = Settings { longest, smoothing, priors };
                let is_right = |(rows, example): &(&Vec<usize>, &Example)| model.likeliest(rows) == example.label;
                let hits = known.iter().zip(validation).filter(is_right).count();
                if most.is_none_or(|(so_far, _)| hits > so_far) {
                    most = Some((hits, model.settings));
                }
            }
        }
        let (_, settings) = most.expect("there are settings to choose among");
        Self { settings, ..fit(settings.longest) }
    }

    /// The likeliest label of a text.
    pub fn answer(&self, text: &str) -> usize {
        self.likeliest(&self.known(text))
    }

    /// What was given or chosen.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The rows of the n-grams of a text that training has seen.
    fn known(&self, text: &str) -> Vec<usize> {
        grams(text, self.level, self.settings.longest)
            .into_iter()
            .filter_map(|gram| self.rows.get(&gram).copied())
            .collect()
    }

    /// The likeliest label of a text whose known n-grams have these rows.
    fn likeliest(&self, rows: &[usize]) -> usize {
        let Settings { smoothing, priors, .. } = self.settings;
        let labels = self.texts.len();
        let mut scores: Vec<f64> = (0..labels)
            .map(|label| {
                let prior = if priors || self.texts[label] == 0 { f64::from(self.texts[label]).ln() } else { 0.0 };
                let all = f64::from(self.totals[label]) + smoothing * self.rows.len() as f64;
                // No n-gram times the logarithm of nothing would be no number.
                if rows.is_empty() { prior } else { prior - rows.len() as f64 * all.ln() }
            })
            .collect();
        for row in rows {
            let counts = &self.counts[row * labels..][..labels];
            scores.iter_mut().zip(counts).for_each(|(score, &count)| *score += (f64::from(count) + smoothing).ln());
        }
        // The last of equal ones in this order is the first label.
        (0..labels).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0)
    }
}

/// The hashes of the n-grams of a text: equal n-grams have equal ones, and 64 bits keep the others apart.
fn grams(text: &str, level: Level, longest: usize) -> Vec<u64> {
    let edge = || std::iter::once(EDGE.to_owned());
    let tokens: Vec<String> = edge().chain(level.tokens(text)).chain(edge()).collect();
    let mut grams = Vec::new();
    for start in 0..tokens.len() {
        let mut hasher = DefaultHasher::new();
        for (place, token) in tokens[start..].iter().take(longest).enumerate() {
            token.hash(&mut hasher);
            if place > 0 || token != EDGE {
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
    use std::sync::Arc;

    fn fit(texts: &[(&str, usize)], labels: usize, longest: usize, smoothing: f64) -> NaiveBayes {
        NaiveBayes::fit(texts.iter().copied(), labels, Level::Words, longest, smoothing)
    }

    fn examples(texts: &[(&str, usize)]) -> Vec<Example> {
        texts.iter().map(|&(text, label)| Example { text: text.to_owned(), label, groups: Arc::default() }).collect()
    }

    /// With words alone and smoothing 1, V = {good, bad, film}: P(good | 0) = (1 + 1) / (2 + 3), P(film | 0) = 2/5,
    /// P(bad | 1) = (3 + 1) / (4 + 3), P(good | 1) = 2/7, P(film | 1) = 1/7, P(bad | 0) = 1/5; P(0) = 1/3, P(1) = 2/3.
    #[test]
    fn answers_are_those_worked_by_hand() {
        let mut model = fit(&[("good film", 0), ("bad bad", 1), ("bad good", 1)], 2, 1, 1.0);
        // 1/3 · 2/5 = 0.133 against 2/3 · 2/7 = 0.190; without priors 0.4 against 0.286.
        assert_eq!(model.answer("good"), 1);
        model.settings.priors = false;
        assert_eq!(model.answer("good"), 0);
        model.settings.priors = true;
        // 1/3 · 2/5 · 2/5 = 0.053 against 2/3 · 2/7 · 1/7 = 0.027; what is unknown is passed over.
        assert_eq!(model.answer("good unknown film"), 0);
        // 1/3 · 1/5 · 2/5 · 2/5 = 0.0107 against 2/3 · 4/7 · 1/7 · 1/7 = 0.0078.
        assert_eq!(model.answer("bad film film"), 0);
        // 1/3 · 1/5 · 2/5 = 0.027 against 2/3 · 4/7 · 1/7 = 0.054.
        assert_eq!(model.answer("bad film"), 1);
        assert_eq!(model.answer("unknown"), 1);
    }

    #[test]
    fn prefixes_suffixes_and_order_are_features_of_longer_n_grams_alone() {
        let texts = [("a b", 0), ("b a", 1)];
        let [short, long] = [1, 2].map(|longest| fit(&texts, 2, longest, 0.1));
        assert_eq!([short.rows.len(), long.rows.len()], [2, 8]);
        assert_eq!(["a b", "b a", "a", "x b"].map(|text| long.answer(text)), [0, 1, 0, 0]);
        assert_eq!(["a b", "b a"].map(|text| short.answer(text)), [0, 0]);
    }

    #[test]
    fn a_label_never_seen_is_never_the_answer() {
        for priors in PRIORS {
            let mut model = fit(&[("a a a b", 1)], 3, 2, 0.01);
            model.settings.priors = priors;
            assert_eq!(["a", "b", "", "x"].map(|text| model.answer(text)), [1; 4]);
        }
        assert_eq!(fit(&[], 2, 2, 1.0).answer("a"), 0);
    }

    #[test]
    fn what_helps_on_the_validation_part_is_chosen() {
        // Only order tells the labels apart, and the frequent label misleads where it counts.
        let train = examples(&[("a b", 0), ("b a", 1), ("c c", 1), ("d d", 1)]);
        let model = NaiveBayes::tuned(&train, &examples(&[("a b", 0), ("b a", 1), ("a b e", 0)]), 2, Level::Words, 5);
        assert_eq!((model.settings.longest, model.answer("a b"), model.answer("b a")), (2, 0, 1));
        let train = examples(&[("a", 0), ("a", 1), ("b", 1), ("a c", 1), ("c", 1)]);
        let chosen = |validation| NaiveBayes::tuned(&train, &examples(validation), 2, Level::Words, 5).settings;
        assert!(!chosen(&[("a", 0)]).priors);
        assert_eq!(chosen(&[]), Settings { longest: 1, smoothing: 1.0, priors: true });
    }

    proptest! {
        #[test]
        fn the_order_of_training_texts_changes_no_answer(
            texts in prop::collection::vec(("[ab ]{0,6}", 0..3usize), 1..12), text in "[abc ]{0,8}", longest in 1..4usize,
        ) {
            let texts: Vec<(&str, usize)> = texts.iter().map(|(text, label)| (&**text, *label)).collect();
            let reversed: Vec<(&str, usize)> = texts.iter().rev().copied().collect();
            let answer = |texts: &[(&str, usize)]| fit(texts, 3, longest, 0.3).answer(&text);
            prop_assert_eq!(answer(&texts), answer(&reversed));
        }
    }
}
