//! Overlap of a text with reference texts: BLEU and chrF, as sacreBLEU defines them (Post 2018).

use std::collections::HashMap;

/// Maximum length of the n-grams of BLEU.
const WORDS: usize = 4;

/// Maximum length of the n-grams of chrF.
const CHARACTERS: usize = 6;

/// Weight of recall against precision in chrF.
const BETA: f64 = 2.0;

/// Counts of n-grams of one text, or sums over several texts, from which BLEU and chrF are computed.
///
/// ```
/// use seqzoo_datasets::bleu::Overlap;
///
/// let found = Overlap::of("the cat sat on the mat", &["the cat sat on a mat", "a cat sat on the mat"]);
/// assert!((found.bleu() - 95.54).abs() < 0.01);
/// assert!((found.chrf() - 88.96).abs() < 0.01);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Overlap {
    /// Number of words of the text, and of the reference whose length is the nearest.
    lengths: [usize; 2],
    /// By the length of n-grams of words: the number in the text, and those that a reference has too.
    words: [[usize; 2]; WORDS],
    /// By the length of n-grams of characters: the numbers in the text and in the reference, and those in both.
    characters: [[usize; 3]; CHARACTERS],
}

impl Overlap {
    /// The counts of a text and its references, at least one. For chrF, the reference with the highest value is used.
    pub fn of(text: &str, references: &[&str]) -> Self {
        let words = words(text);
        let of_references: Vec<Vec<String>> = references.iter().map(|reference| self::words(reference)).collect();
        let nearest = of_references.iter().map(Vec::len).min_by_key(|&length| (length.abs_diff(words.len()), length));
        let mut overlap = Self { lengths: [words.len(), nearest.unwrap_or(0)], ..Self::default() };
        for (size, [all, matched]) in (1..).zip(&mut overlap.words) {
            let mut most: HashMap<&[String], usize> = HashMap::new();
            for reference in &of_references {
                for (n_gram, count) in counts(reference, size) {
                    let most = most.entry(n_gram).or_default();
                    *most = count.max(*most);
                }
            }
            for (n_gram, count) in counts(&words, size) {
                *all += count;
                *matched += count.min(most.get(n_gram).copied().unwrap_or(0));
            }
        }
        let characters = characters(text);
        let each = references.iter().map(|reference| common(&characters, &self::characters(reference)));
        let best = each.reduce(|best, other| if chrf(&other) > chrf(&best) { other } else { best });
        overlap.characters = best.unwrap_or_default();
        overlap
    }

    /// The counts of both.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        let add = |sum: &mut [usize], more: &[usize]| sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        add(&mut self.lengths, &other.lengths);
        self.words.iter_mut().zip(&other.words).for_each(|(sum, more)| add(sum, more));
        self.characters.iter_mut().zip(&other.characters).for_each(|(sum, more)| add(sum, more));
        self
    }

    /// BLEU of the whole corpus, from 0 to 100 (Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002).
    ///
    /// ```text
    /// BLEU = 100 · min(1, exp(1 - r / c)) · (p_1 p_2 p_3 p_4)^¼
    /// ```
    ///
    /// `p_n` is the share of the n-grams of the texts that a reference has too, `c` the number of words of the texts, `r` that of the
    /// references. As in sacreBLEU by default, words are those of mteval-v13a, and of sizes without a match, the k-th has
    /// `p_n = 1 / (2^k · number of n-grams)`.
    pub fn bleu(&self) -> f64 {
        let [length, of_references] = self.lengths.map(|length| length as f64);
        if self.words.iter().all(|&[all, matched]| all == 0 || matched == 0) || self.words[WORDS - 1][0] == 0 {
            return 0.0;
        }
        let mut missing = 0;
        let logs = self.words.iter().map(|&[all, matched]| {
            missing += i32::from(matched == 0);
            let matched = if matched == 0 { 0.5f64.powi(missing) } else { matched as f64 };
            (matched / all as f64).ln()
        });
        let mean = logs.sum::<f64>() / WORDS as f64;
        100.0 * (mean + (1.0 - of_references / length).min(0.0)).exp()
    }

    /// chrF2 of the whole corpus, from 0 to 100 (Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015).
    ///
    /// ```text
    /// chrF = 100 · (1 + β²) P R / (β² P + R),   β = 2
    /// ```
    ///
    /// `P` and `R` are the means over n = 1 … 6 of precision and recall of the n-grams of characters, without white space.
    pub fn chrf(&self) -> f64 {
        chrf(&self.characters)
    }
}

fn chrf(characters: &[[usize; 3]; CHARACTERS]) -> f64 {
    let used = || characters.iter().filter(|[in_text, in_reference, _]| *in_text > 0 && *in_reference > 0);
    let count = used().count().max(1) as f64;
    let mean = |side: usize| used().map(|counts| counts[2] as f64 / counts[side] as f64).sum::<f64>() / count;
    let (precision, recall) = (mean(0), mean(1));
    if precision + recall == 0.0 {
        return 0.0;
    }
    100.0 * (1.0 + BETA * BETA) * precision * recall / (BETA * BETA * precision + recall)
}

/// The number of each n-gram.
fn counts<T: std::hash::Hash + Eq>(items: &[T], size: usize) -> HashMap<&[T], usize> {
    let mut counts = HashMap::new();
    items.windows(size).for_each(|n_gram| *counts.entry(n_gram).or_default() += 1);
    counts
}

/// The numbers of n-grams of characters in a text, in a reference, and in both.
fn common(text: &[char], reference: &[char]) -> [[usize; 3]; CHARACTERS] {
    std::array::from_fn(|index| {
        let (of_text, of_reference) = (counts(text, index + 1), counts(reference, index + 1));
        let both = of_text.iter().map(|(n_gram, &count)| count.min(of_reference.get(n_gram).copied().unwrap_or(0)));
        let in_text = if of_reference.is_empty() { 0 } else { of_text.values().sum() };
        [in_text, of_reference.values().sum(), both.sum()]
    })
}

fn characters(text: &str) -> Vec<char> {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

/// Words and punctuation marks of a text, as mteval-v13a separates them: marks other than apostrophe, comma, full stop and hyphen always; full
/// stops and commas unless between digits; hyphens after digits.
fn words(text: &str) -> Vec<String> {
    let mut text = text.replace("<skipped>", "").replace("-\n", "");
    for (entity, mark) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        text = text.replace(entity, mark);
    }
    let is_mark = |character: char| character.is_ascii_punctuation() && !"'-.,".contains(character);
    let mut separated = String::from(" ");
    for character in text.chars() {
        match is_mark(character) {
            true => separated.extend([' ', character, ' ']),
            false => separated.push(character),
        }
    }
    separated.push(' ');
    let is_stop = |character: char| matches!(character, '.' | ',');
    let separated = pairs(&separated, |a, b| (!a.is_ascii_digit() && is_stop(b)).then(|| format!("{a} {b} ")));
    let separated = pairs(&separated, |a, b| (is_stop(a) && !b.is_ascii_digit()).then(|| format!(" {a} {b}")));
    let separated = pairs(&separated, |a, b| (a.is_ascii_digit() && b == '-').then(|| format!("{a} {b} ")));
    separated.split_whitespace().map(str::to_owned).collect()
}

/// A text with some pairs of consecutive characters replaced, from the left and without overlap.
fn pairs(text: &str, replacement: impl Fn(char, char) -> Option<String>) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(first) = characters.next() {
        match characters.peek().and_then(|&second| replacement(first, second)) {
            Some(pair) => {
                replaced += &pair;
                characters.next();
            }
            None => replaced.push(first),
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts, each with its references.
    type Corpus<'a> = &'a [(&'a str, &'a [&'a str])];

    /// BLEU and chrF.
    fn scores(corpus: Corpus) -> (f64, f64) {
        let sum =
            corpus.iter().fold(Overlap::default(), |sum, (text, references)| sum.plus(&Overlap::of(text, references)));
        (sum.bleu(), sum.chrf())
    }

    /// Values of sacreBLEU 2.5 (`BLEU()` and `CHRF()` with their defaults).
    #[test]
    fn scores_match_those_of_sacrebleu() {
        let cat: (&str, &[&str]) = ("the cat sat on the mat", &["the cat sat on a mat", "a cat sat on the mat"]);
        let cases: [(Corpus, f64, f64); 9] = [
            (&[cat], 95.54427922043672, 88.95696795445868),
            (&[cat, ("Go 3.5-4, now!", &["Go 3.5-4 ,now !"])], 98.01882078613896, 93.60143870337511),
            (
                &[
                    ("It costs $1,000.50 (or so).", &["It costs 1,000.50 $ or so."]),
                    ("Ça va bien, merci.", &["Ça va très bien, merci !", "Je vais bien."]),
                ],
                20.255986027125637,
                59.32581092604885,
            ),
            (&[("a b c", &["a b c"])], 0.0, 100.0),
            (&[("yes", &["no"])], 0.0, 0.0),
            (&[("a b x d e", &["a b c d e"])], 30.213753973567677, 26.0),
            (&[("a c x b z", &["a b c d e"])], 14.058533129758727, 12.0),
            (&[("un chat dort", &["le chat dort ici", "un chat dort là"]), ("", &["rien"])], 0.0, 72.93564377409352),
            (&[("the the the the the the the", &["the cat is on the mat"])], 7.809849842300637, 14.232426848159646),
        ];
        for (corpus, bleu, chrf) in cases {
            let found = scores(corpus);
            assert!((found.0 - bleu).abs() < 1e-9 && (found.1 - chrf).abs() < 1e-9, "{corpus:?}: {found:?}");
        }
    }

    #[test]
    fn words_are_separated_as_by_mteval_v13a() {
        for (text, expected) in [
            ("It costs $1,000.50 (or so).", "It costs $ 1,000.50 ( or so ) ."),
            ("3-4 e.g. x-y, l'eau", "3 - 4 e . g . x-y , l'eau"),
            ("a.b 1.b b.1 1.1 ..., 5,", "a . b 1 . b b . 1 1.1 . . . , 5 ,"),
            ("&quot;A&amp;B&quot; <x>", "\" A & B \" < x >"),
            ("x 10- -10 1-2-3", "x 10 - -10 1 - 2 - 3"),
            ("{a}~[b]`c^d_e|f\\g", "{ a } ~ [ b ] ` c ^ d _ e | f \\ g"),
        ] {
            assert_eq!(words(text).join(" "), expected);
        }
    }
}
