//! Overlap of a summary with reference texts: ROUGE (Lin 2004).

use std::collections::HashMap;
use std::hash::Hash;

/// ROUGE-1, ROUGE-2 and ROUGE-L of a text, each from 0 to 1: the F1 of precision and recall.
///
/// ```text
/// F1 = 2 P R / (P + R),   P = matches / (number in the text),   R = matches / (number in the reference)
/// ```
///
/// ROUGE-N counts n-grams of words, each at most as often as in the reference; ROUGE-L the words of the longest common subsequence. Words are
/// runs of letters and digits in lower case, without stemming, as in the Python package rouge-score, which knows ASCII letters only.
///
/// Lin, "ROUGE: a package for automatic evaluation of summaries", ACL workshop "Text summarization branches out", 2004.
///
/// ```
/// use seqzoo_datasets::rouge::Rouge;
///
/// let rouge = Rouge::of("police kill the gunman", &["police killed the gunman"]);
/// assert_eq!([rouge.one, rouge.l], [0.75, 0.75]);
/// assert!((rouge.two - 1.0 / 3.0).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rouge {
    /// ROUGE-1: words.
    pub one: f64,
    /// ROUGE-2: pairs of consecutive words.
    pub two: f64,
    /// ROUGE-L: longest common subsequence of words.
    pub l: f64,
}

impl Rouge {
    /// The values of a text; of several references, each metric uses the one with the highest value.
    pub fn of(text: &str, references: &[&str]) -> Self {
        let text = words(text);
        let each = references.iter().map(|reference| Self::of_words(&text, &words(reference)));
        each.fold(Self::default(), |best, other| Self {
            one: best.one.max(other.one),
            two: best.two.max(other.two),
            l: best.l.max(other.l),
        })
    }

    fn of_words(text: &[String], reference: &[String]) -> Self {
        let of_size = |size: usize| {
            let numbers = [text, reference].map(|words| (words.len() + 1).saturating_sub(size));
            f1(common(text, reference, size), numbers)
        };
        let l = f1(longest_common_subsequence(text, reference), [text.len(), reference.len()]);
        Self { one: of_size(1), two: of_size(2), l }
    }
}

/// F1 from the number of matches and the numbers in the text and in the reference.
fn f1(matches: usize, [in_text, in_reference]: [usize; 2]) -> f64 {
    // 2 P R / (P + R) = 2 matches / (in_text + in_reference)
    if matches == 0 { 0.0 } else { 2.0 * matches as f64 / (in_text + in_reference) as f64 }
}

/// Number of n-grams that both have, each as often as in the one that has fewer.
fn common<T: Hash + Eq>(text: &[T], reference: &[T], size: usize) -> usize {
    let mut left: HashMap<&[T], usize> = HashMap::new();
    reference.windows(size).for_each(|n_gram| *left.entry(n_gram).or_default() += 1);
    let mut matches = 0;
    for n_gram in text.windows(size) {
        if let Some(count) = left.get_mut(n_gram)
            && *count > 0
        {
            *count -= 1;
            matches += 1;
        }
    }
    matches
}

/// Length of the longest common subsequence.
fn longest_common_subsequence<T: PartialEq>(text: &[T], reference: &[T]) -> usize {
    // Lengths for the words so far of the text, by the number of words of the reference.
    let mut lengths = vec![0; reference.len() + 1];
    for word in text {
        let mut before = 0;
        for (index, other) in reference.iter().enumerate() {
            let above = lengths[index + 1];
            lengths[index + 1] = if word == other { before + 1 } else { above.max(lengths[index]) };
            before = above;
        }
    }
    lengths[reference.len()]
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_rouge(text: &str, references: &[&str], [one, two, l]: [f64; 3]) {
        let found = Rouge::of(text, references);
        let is_near = [(found.one, one), (found.two, two), (found.l, l)].iter().all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(is_near, "{text:?}, {references:?}: {found:?}");
    }

    /// The examples of Lin (2004), and others computed by hand.
    #[test]
    fn values_match_those_computed_by_hand() {
        let reference = ["police killed the gunman"];
        // Three of four words; `the gunman` of three pairs; police … the gunman.
        assert_rouge("police kill the gunman", &reference, [0.75, 1.0 / 3.0, 0.75]);
        // The same words in another order: `the gunman`, and that is also the longest common subsequence.
        assert_rouge("the gunman kill police", &reference, [0.75, 1.0 / 3.0, 0.5]);
        // Three of five words: P = 3/5, R = 3/4, F1 = 2 · 3 / 9. Pairs: `the gunman` of four and three.
        assert_rouge("The gunman: police, police shot!", &reference, [6.0 / 9.0, 2.0 / 7.0, 4.0 / 9.0]);
        // Repeated words match at most as often as in the reference.
        assert_rouge("the the the", &["the cat on the mat"], [4.0 / 8.0, 0.0, 4.0 / 8.0]);
    }

    #[test]
    fn each_metric_uses_the_best_reference() {
        assert_rouge("a b c d", &["a x b y c", "c d"], [6.0 / 9.0, 2.0 / 4.0, 6.0 / 9.0]);
    }

    #[test]
    fn empty_and_short_texts_have_no_overlap() {
        assert_rouge("", &["a b"], [0.0; 3]);
        assert_rouge("a b", &["…"], [0.0; 3]);
        // One word has no pair.
        assert_rouge("rain", &["Rain"], [1.0, 0.0, 1.0]);
    }
}
