//! Tokenizers, vocabularies and encoders: from text to token ids.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cleaning::Cleaning;
use crate::subwords;
use crate::wording::counted;

/// Token id of padding.
pub const PADDING: u32 = 0;
/// Token id of every token outside the vocabulary.
pub const UNKNOWN: u32 = 1;

/// Tokenizes text into lowercase words (letters, digits, apostrophes) and the punctuation marks `. , ! ?`; all other characters
/// are separators.
///
/// ```
/// let words: Vec<String> = seqzoo_datasets::text::tokenize_words("It's fine, REALLY!").collect();
/// assert_eq!(words, ["it's", "fine", ",", "really", "!"]);
/// ```
pub fn tokenize_words(text: &str) -> impl Iterator<Item = String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '\'';
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !is_word(c) && !".,!?".contains(c));
        let first = rest.chars().next()?;
        let end = match is_word(first) {
            true => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word.to_lowercase())
    })
}

/// Unit of tokenization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tokenization {
    /// Lowercase words (letters, digits and apostrophes) and the punctuation marks `. , ! ?`; all else separates words.
    #[default]
    Words,
    /// Single characters.
    Characters,
    /// Single characters, each with its position in the text, as in `1:A`, `2:C`: a character at another position is another token. For
    /// texts of a fixed length whose positions have a meaning, such as windows of DNA.
    PositionalCharacters,
    /// Whitespace-separated tokens, with `<eos>` at the end of each line: for text that is already tokenized.
    Tokens,
    /// Pieces of words (subwords), learned from the training split by byte-pair encoding (Sennrich et al. 2016): `max_vocabulary` pieces.
    /// Frequent words are one piece, rare words several, so that few tokens are unknown. Letters keep their case, punctuation marks and line ends are pieces of their
    /// own, and `▁` marks the start of a word.
    Subwords,
}

/// Marks the start of a word among subwords.
const START: char = '▁';

/// The token of a line end.
pub const END_OF_LINE: &str = "<eos>";

impl Tokenization {
    /// Name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Tokenization::Words => "words",
            Tokenization::Characters => "characters",
            Tokenization::PositionalCharacters => "positional-characters",
            Tokenization::Tokens => "tokens",
            Tokenization::Subwords => "subwords",
        }
    }

    /// The tokens of a text; for subwords, the words before they are divided, see [`Vocabulary::divide`].
    pub fn tokens(self, text: &str) -> Box<dyn Iterator<Item = String> + '_> {
        match self {
            Tokenization::Words => Box::new(tokenize_words(text)),
            Tokenization::Characters => Box::new(text.chars().map(String::from)),
            Tokenization::PositionalCharacters => {
                Box::new((1..).zip(text.chars()).map(|(position, character)| format!("{position}:{character}")))
            }
            Tokenization::Tokens => Box::new(text.split_inclusive('\n').flat_map(|line| {
                let end = line.ends_with('\n').then_some(END_OF_LINE);
                line.split_whitespace().chain(end).map(str::to_owned)
            })),
            Tokenization::Subwords => Box::new(text.split_inclusive('\n').flat_map(|line| {
                let end = line.ends_with('\n').then(|| "\n".to_owned());
                line.split_whitespace().flat_map(marked_words).chain(end)
            })),
        }
    }

    /// The vocabulary of tokens, see [`Vocabulary::build`]; for subwords, the pieces that are learned from the words.
    pub fn vocabulary(self, tokens: impl Iterator<Item = String>, min_count: usize, max_size: usize) -> Vocabulary {
        match self {
            Tokenization::Subwords => Vocabulary::from(subwords::learn(tokens, min_count, max_size)),
            _ => Vocabulary::build(tokens, min_count, max_size),
        }
    }

    /// Detokenizes one token: the separator from the token before it, and the token.
    pub fn detokenize(self, before: Option<&str>, token: &str) -> String {
        let mark = |token: &str| token.len() == 1 && ".,!?".contains(token);
        match (self, before) {
            (Tokenization::Characters, _) => token.to_owned(),
            (Tokenization::PositionalCharacters, _) => {
                token.split_once(':').map_or(token, |(_, character)| character).to_owned()
            }
            (Tokenization::Subwords, None | Some("\n")) => token.strip_prefix(START).unwrap_or(token).to_owned(),
            (Tokenization::Subwords, Some(_)) => token.replace(START, " "),
            (Tokenization::Tokens, _) if token == END_OF_LINE => "\n".to_owned(),
            (Tokenization::Tokens, None | Some(END_OF_LINE)) | (Tokenization::Words, None) => token.to_owned(),
            (Tokenization::Words, _) if mark(token) => token.to_owned(),
            (Tokenization::Tokens | Tokenization::Words, Some(_)) => format!(" {token}"),
        }
    }
}

/// Number of the most frequent tokens that make up a share of all, the size of a vocabulary with this coverage; no limit for a share of 1.
///
/// ```
/// use seqzoo_datasets::text::covering;
///
/// // Six, two, one and one of ten tokens.
/// let tokens = || "a a a a a a b b c d".split(' ').map(str::to_owned);
/// let sizes = [0.1, 0.6, 0.61, 0.8, 0.9, 0.95, 1.0].map(|share| covering(tokens(), share));
/// assert_eq!(sizes, [1, 1, 2, 2, 3, 4, usize::MAX]);
/// ```
pub fn covering(tokens: impl Iterator<Item = String>, share: f64) -> usize {
    if share >= 1.0 {
        return usize::MAX;
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    tokens.for_each(|token| *counts.entry(token).or_default() += 1);
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let wanted = share * counts.iter().sum::<usize>() as f64;
    let mut covered = 0;
    let reached = counts.iter().position(|count| {
        covered += count;
        covered as f64 >= wanted
    });
    reached.map_or(counts.len(), |last| last + 1).max(1)
}

/// The runs of letters, digits and apostrophes and the other characters of a text without whitespace; the first one is marked as the start
/// of a word.
fn marked_words(text: &str) -> impl Iterator<Item = String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '\'';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match is_word(first) {
            true => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let is_start = rest.len() == text.len();
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(if is_start { format!("{START}{word}") } else { word.to_owned() })
    })
}

/// A vocabulary: id 0 is padding, 1 unknown, then the tokens by descending frequency, ties in alphabetical order; subwords are in the order in
/// which they are learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Vocabulary {
    tokens: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// The tokens that occur at least `min_count` times, limited to the `max_size` most frequent.
    pub fn build<T: Into<String>>(tokens: impl Iterator<Item = T>, min_count: usize, max_size: usize) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        tokens.for_each(|token| *counts.entry(token.into()).or_default() += 1);
        let mut counted: Vec<_> = counts.into_iter().filter(|&(_, count)| count >= min_count).collect();
        counted.sort_unstable_by(|(a, many), (b, few)| few.cmp(many).then_with(|| a.cmp(b)));
        counted.truncate(max_size);
        Self::from(counted.into_iter().map(|(token, _)| token).collect::<Vec<_>>())
    }

    /// Number of token ids, including padding and unknown.
    pub fn size(&self) -> usize {
        self.tokens.len() + 2
    }

    /// The tokens, in the order of their ids, which start at 2.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(String::as_str)
    }

    /// The token with an id; `None` for padding, unknown and ids outside the vocabulary.
    pub fn token(&self, id: u32) -> Option<&str> {
        id.checked_sub(2).and_then(|index| self.tokens.get(index as usize)).map(String::as_str)
    }

    /// The id of a token; [`UNKNOWN`] if it is not in the vocabulary.
    pub fn id(&self, token: &str) -> u32 {
        self.ids.get(token).copied().unwrap_or(UNKNOWN)
    }

    /// The token ids of a text.
    pub fn encode(&self, level: Tokenization, text: &str) -> Vec<u32> {
        match level {
            Tokenization::Subwords => self.divide(level, text).iter().map(|piece| self.id(piece)).collect(),
            _ => level.tokens(text).map(|token| self.id(&token)).collect(),
        }
    }

    /// The tokens of a text that are encoded: those of [`Tokenization::tokens`], divided into known pieces and unknown characters if they are
    /// subwords.
    pub fn divide(&self, level: Tokenization, text: &str) -> Vec<String> {
        match level {
            Tokenization::Subwords => {
                let rank = |piece: &str| self.ids.get(piece).copied();
                let pieces =
                    |word: String| subwords::pieces(&word, rank).into_iter().map(str::to_owned).collect::<Vec<_>>();
                level.tokens(text).flat_map(pieces).collect()
            }
            _ => level.tokens(text).collect(),
        }
    }
}

impl From<Vec<String>> for Vocabulary {
    fn from(tokens: Vec<String>) -> Self {
        let ids = tokens.iter().cloned().zip(2..).collect();
        Self { tokens, ids }
    }
}

impl From<Vocabulary> for Vec<String> {
    fn from(vocabulary: Vocabulary) -> Self {
        vocabulary.tokens
    }
}

/// End of a long text that is kept when it is truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Truncation {
    /// The first `max_tokens` tokens.
    #[default]
    First,
    /// The last `max_tokens` tokens.
    Last,
}

/// Encodes text as token ids: cleaning, tokenization, vocabulary and truncation; saved with every checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// Cleaning before tokenization; none in encoders saved by older versions.
    #[serde(default = "Cleaning::none")]
    pub cleaning: Cleaning,
    /// Tokenization.
    pub level: Tokenization,
    /// Vocabulary.
    pub vocabulary: Vocabulary,
    /// Maximum number of tokens per text.
    pub max_tokens: usize,
    /// Truncation of longer texts.
    pub keep: Truncation,
}

/// Numbers of texts and tokens that a model read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Number of texts.
    pub texts: usize,
    /// Number of texts whose tokens were not all read.
    pub truncated: usize,
    /// Number of tokens that were read.
    pub tokens: usize,
    /// Number of those that are not in the vocabulary.
    pub unknown: usize,
}

impl Counts {
    /// The counts of a text with these token ids.
    pub fn of_text(ids: &[u32], is_truncated: bool) -> Self {
        let unknown = ids.iter().filter(|&&id| id == UNKNOWN).count();
        Self { texts: 1, truncated: is_truncated.into(), tokens: ids.len(), unknown }
    }

    /// Adds other counts.
    pub fn add(&mut self, other: Self) {
        self.texts += other.texts;
        self.truncated += other.truncated;
        self.tokens += other.tokens;
        self.unknown += other.unknown;
    }

    /// A note on truncated texts and unknown tokens, if there are any.
    pub fn note(&self) -> Option<String> {
        let Self { texts, truncated, tokens, unknown } = *self;
        let of_tokens = (unknown > 0).then(|| {
            let (percent, are) = (100.0 * unknown as f64 / tokens as f64, if unknown == 1 { "is" } else { "are" });
            format!("{unknown} of {} ({percent:.1} %) {are} not in the model's vocabulary", counted(tokens, "tokens"))
        });
        let of_texts = (truncated > 0).then(|| {
            let (are, were) = if truncated == 1 { ("is", "was") } else { ("are", "were") };
            let texts = counted(texts, "texts");
            format!("{truncated} of {texts} {are} longer than the model reads, and {were} truncated")
        });
        let notes: Vec<String> = of_tokens.into_iter().chain(of_texts).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

impl Encoder {
    /// The token ids of a text; empty if it has no tokens.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.encode_counted(text).0
    }

    /// The token ids of a text, and their counts.
    pub fn encode_counted(&self, text: &str) -> (Vec<u32>, Counts) {
        let mut ids = self.vocabulary.encode(self.level, &self.cleaning.apply(text));
        let is_truncated = ids.len() > self.max_tokens;
        match self.keep {
            Truncation::First => ids.truncate(self.max_tokens),
            Truncation::Last => drop(ids.drain(..ids.len().saturating_sub(self.max_tokens))),
        }
        let counts = Counts::of_text(&ids, is_truncated);
        (ids, counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cleaning::CleaningStep;
    use proptest::prelude::*;

    fn encoder(keep: Truncation) -> Encoder {
        let vocabulary = Vocabulary::build(tokenize_words("b b b a a c c d"), 2, 3);
        Encoder { cleaning: Cleaning::none(), level: Tokenization::Words, vocabulary, max_tokens: 3, keep }
    }

    #[test]
    fn tokenization_round_trips() {
        for (level, text) in [
            (Tokenization::Characters, "To be,\nor not"),
            (Tokenization::PositionalCharacters, "To: be,\nor not"),
            (Tokenization::Words, "to be, or not to be. that"),
            (Tokenization::Tokens, "to <unk> N 's\n\nor not\n"),
            (Tokenization::Subwords, "To be, or\n\nnot (to): be.\n"),
        ] {
            let tokens: Vec<String> = level.tokens(text).collect();
            let mut before = None;
            let written: String = tokens.iter().map(|token| level.detokenize(before.replace(token), token)).collect();
            assert_eq!(written, text);
        }
        assert_eq!(Tokenization::PositionalCharacters.tokens("aa:").collect::<Vec<_>>(), ["1:a", "2:a", "3::"]);
        assert_eq!(Tokenization::Tokens.tokens("a b\r\nc").collect::<Vec<_>>(), ["a", "b", END_OF_LINE, "c"]);
    }

    #[test]
    fn text_is_cleaned_before_tokenization_except_by_older_encoders() {
        let vocabulary = Vocabulary::build(Tokenization::Characters.tokens("né"), 1, 9);
        let cleaning = Cleaning::default().with(CleaningStep::Trim);
        let encoder =
            Encoder { cleaning, level: Tokenization::Characters, vocabulary, max_tokens: 9, keep: Truncation::First };
        for text in ["né", " n\u{e9}\t", "\u{feff}ne\u{301}"] {
            assert_eq!(encoder.encode(text), encoder.encode("né"), "{text:?}");
        }
        assert_eq!(encoder.encode(" \u{a0}"), [0u32; 0]);
        let mut json = serde_json::to_value(&encoder).unwrap();
        assert!(json.as_object_mut().unwrap().remove("cleaning").is_some());
        let older: Encoder = serde_json::from_value(json).unwrap();
        assert_eq!(older, Encoder { cleaning: Cleaning::none(), ..encoder });
    }

    #[test]
    fn subwords_compose_rare_words() {
        let level = Tokenization::Subwords;
        let words: Vec<String> = level.tokens("It's low,low\nLOW!").collect();
        assert_eq!(words, ["▁It's", "▁low", ",", "low", "\n", "▁LOW", "!"]);
        let text = "low lower lowest slow ".repeat(9);
        let vocabulary = level.vocabulary(level.tokens(&text), 1, 14);
        assert_eq!(vocabulary.divide(level, "lowest slower x"), ["▁lowe", "st", "▁s", "low", "e", "r", "▁", "x"]);
        let ids = vocabulary.encode(level, "lowest slower x");
        assert_eq!((ids.len(), ids[7], vocabulary.token(ids[0])), (8, UNKNOWN, Some("▁lowe")));
        let mut before = None;
        let pieces = vocabulary.divide(level, "slower lowest");
        let text: String = pieces.iter().map(|piece| level.detokenize(before.replace(piece.as_str()), piece)).collect();
        assert_eq!(text, "slower lowest");
    }

    #[test]
    fn frequent_tokens_come_first_and_ties_are_alphabetical() {
        let vocabulary = encoder(Truncation::First).vocabulary;
        assert_eq!(["b", "a", "c", "d", "B"].map(|token| vocabulary.id(token)), [2, 3, 4, UNKNOWN, UNKNOWN]);
        assert_eq!(vocabulary.size(), 5);
    }

    #[test]
    fn unknown_tokens_and_truncated_texts_are_counted() {
        let mut counts = Counts::default();
        assert_eq!(counts.note(), None);
        for text in ["a b", "a x", "a b c b"] {
            counts.add(encoder(Truncation::First).encode_counted(text).1);
        }
        assert_eq!(counts, Counts { texts: 3, truncated: 1, tokens: 7, unknown: 1 });
        let note = "1 of 7 tokens (14.3 %) is not in the model's vocabulary; 1 of 3 texts is longer than the model reads, and was truncated";
        assert_eq!(counts.note().as_deref(), Some(note));
        counts = Counts { texts: 1, truncated: 1, tokens: 1, unknown: 0 };
        let note = "1 of 1 text is longer than the model reads, and was truncated";
        assert_eq!(counts.note().as_deref(), Some(note));
        counts = Counts { texts: 3, truncated: 2, tokens: 4, unknown: 2 };
        let note = "2 of 4 tokens (50.0 %) are not in the model's vocabulary; 2 of 3 texts are longer than the model reads, and were truncated";
        assert_eq!(counts.note().as_deref(), Some(note));
    }

    #[test]
    fn long_texts_are_truncated_at_either_end() {
        assert_eq!(encoder(Truncation::First).encode("a b c x"), [3, 2, 4]);
        assert_eq!(encoder(Truncation::Last).encode("a b c x"), [2, 4, UNKNOWN]);
        assert_eq!(encoder(Truncation::Last).encode("  ;; "), [0u32; 0]);
    }

    proptest! {
        #[test]
        fn words_of_any_text_are_not_empty_and_ignore_case(text in ".{0,80}") {
            for word in tokenize_words(&text) {
                prop_assert!(!word.is_empty() && !word.contains(char::is_whitespace));
            }
            let upper = text.to_ascii_uppercase();
            let lower = text.to_ascii_lowercase();
            prop_assert!(tokenize_words(&upper).eq(tokenize_words(&lower)));
        }

        #[test]
        fn words_joined_by_spaces_are_tokenized_alike(text in "[a-zäß0-9'.,!? ]{0,60}") {
            let once: Vec<String> = tokenize_words(&text).collect();
            prop_assert!(tokenize_words(&once.join(" ")).eq(once.iter().cloned()));
        }
    }
}
