//! Facts about the examples of a split.

use std::collections::{BTreeMap, HashSet};

use seqzoo_datasets::classification::Split;
use seqzoo_datasets::text::{Tokenization, UNKNOWN, Vocabulary, covering};
use seqzoo_inference::Examples;
use seqzoo_run::recipe::Recipe;
use seqzoo_tasks::Item;

/// Facts about one split.
pub(super) struct Facts {
    pub(super) split: Split,
    pub(super) examples: usize,
    pub(super) unit: &'static str,
    /// Numbers of tokens per example, in increasing order.
    pub(super) lengths: Vec<usize>,
    pub(super) labels: BTreeMap<String, usize>,
    /// Examples whose tokens repeat those of an earlier one of the split.
    pub(super) repeated: usize,
    /// For each earlier split, the examples whose tokens occur in it.
    shared: Vec<(Split, usize)>,
    /// Share of tokens outside of the vocabulary.
    pub(super) unknown: f64,
    /// Number of characters that a wrong encoding has damaged, and of examples with such characters.
    pub(super) damaged: (usize, usize),
}

impl Facts {
    /// The facts about each split, given its examples.
    pub(super) fn of_splits(items: &[Vec<Item>], examples: &dyn Examples, vocabulary: &Vocabulary) -> Vec<Self> {
        let mut earlier: Vec<(Split, HashSet<&[String]>)> = Vec::new();
        let mut found = Vec::new();
        for (split, items) in Split::ALL.into_iter().zip(items) {
            found.push(Self::of(split, items, examples, vocabulary, &earlier));
            earlier.push((split, items.iter().map(|item| item.tokens.as_slice()).collect()));
        }
        found
    }

    fn of(
        split: Split,
        items: &[Item],
        examples: &dyn Examples,
        vocabulary: &Vocabulary,
        earlier: &[(Split, HashSet<&[String]>)],
    ) -> Self {
        let (size, unit) = examples.size(split);
        let mut lengths: Vec<usize> = items.iter().map(|item| item.tokens.len()).collect();
        lengths.sort_unstable();
        let mut labels: BTreeMap<String, usize> = BTreeMap::new();
        items.iter().flat_map(|item| &item.labels).for_each(|label| *labels.entry(label.clone()).or_default() += 1);
        let mut seen: HashSet<&[String]> = HashSet::new();
        let repeated = items.iter().filter(|item| !seen.insert(&item.tokens)).count();
        let in_split = |(split, known): &(Split, HashSet<&[String]>)| {
            (*split, items.iter().filter(|item| known.contains(item.tokens.as_slice())).count())
        };
        let shared = earlier.iter().map(in_split).collect();
        let tokens = || items.iter().flat_map(|item| &item.tokens);
        let unknown = tokens().filter(|token| vocabulary.id(token) == UNKNOWN).count();
        let unknown = unknown as f64 / tokens().count().max(1) as f64;
        let damaged: Vec<usize> = items.iter().map(|item| damaged_characters(&item.text)).collect();
        let damaged = (damaged.iter().sum::<usize>(), damaged.iter().filter(|count| **count > 0).count());
        Self { split, examples: size, unit, lengths, labels, repeated, shared, unknown, damaged }
    }

    /// The number of tokens that a share of the examples does not exceed.
    pub(super) fn length(&self, share: f64) -> usize {
        let last = self.lengths.len().saturating_sub(1);
        self.lengths.get((share * last as f64).round() as usize).copied().unwrap_or(0)
    }

    /// The number of examples whose tokens occur in an earlier split; `None` if the split is not earlier.
    pub(super) fn shared_with(&self, earlier: Split) -> Option<usize> {
        self.shared.iter().find(|(split, _)| *split == earlier).map(|(_, count)| *count)
    }
}

/// The vocabulary that the models of a recipe would have; all words for subwords, whose pieces are any of them.
pub(super) fn vocabulary<I: Iterator<Item = String>>(recipe: &Recipe, tokens: impl Fn() -> I) -> Vocabulary {
    let value = |field: &str| recipe.task.get(field);
    let integer = |field: &str| value(field).and_then(toml::Value::as_integer).map(|count| count as usize);
    if value("level").and_then(toml::Value::as_str) == Some(Tokenization::Subwords.name()) {
        return Vocabulary::build(tokens(), 1, usize::MAX);
    }
    let coverage = value("coverage").and_then(toml::Value::as_float).unwrap_or(1.0);
    let size = covering(tokens(), coverage).min(integer("max_vocabulary").unwrap_or(usize::MAX));
    Vocabulary::build(tokens(), integer("min_count").unwrap_or(1), size)
}

/// The characters of Windows-1252 for the bytes from 0x80 to 0x9F.
const WINDOWS: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";

/// Number of characters that a conversion replaced (U+FFFD), or of UTF-8 that was read as Latin-1 or Windows-1252: a byte that begins a
/// character of two or three bytes, with one that continues it.
fn damaged_characters(text: &str) -> usize {
    let is_latin = |next: char| matches!(next, '\u{80}'..='\u{bf}');
    let is_broken = |(first, next): (char, char)| match first {
        'Ã' | 'Â' | 'â' => is_latin(next) || WINDOWS.contains(next),
        // In lower case; ã ends words, after which there may be a quotation mark or a no-break space.
        'ã' => is_latin(next) && !matches!(next, '\u{a0}' | '«' | '»'),
        _ => false,
    };
    let replaced = text.chars().filter(|&character| character == char::REPLACEMENT_CHARACTER).count();
    replaced + text.chars().zip(text.chars().skip(1)).filter(|&pair| is_broken(pair)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_characters_are_counted() {
        for (text, count) in [
            ("café crème, manhã”, irmã, Âme", 0),
            ("caf\u{fffd} cr\u{fffd}me", 2),
            ("cafÃ© crÃ¨me", 2),
            ("cafã© crã¨me", 2),
            ("StraÃŸe Ãœber donâ€™t", 3),
            ("", 0),
        ] {
            assert_eq!(damaged_characters(text), count, "{text}");
        }
    }
}
