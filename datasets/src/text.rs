//! From text to token numbers: tokeniser, vocabulary, encoder.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::cleaning::Cleaning;

/// The number of padding, which stands for no token.
pub const PADDING: u32 = 0;
/// The number of every token that the vocabulary lacks.
pub const UNKNOWN: u32 = 1;

/// Cuts text into lower-case words (letters, digits, apostrophes) and the marks `. , ! ?`; all else separates.
///
/// ```
/// let words: Vec<String> = seqzoo_datasets::text::words("It's fine, REALLY!").collect();
/// assert_eq!(words, ["it's", "fine", ",", "really", "!"]);
/// ```
pub fn words(text: &str) -> impl Iterator<Item = String> {
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

/// What a token of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As [`words`] cuts it.
    #[default]
    Words,
    /// Each character, as it is.
    Characters,
    /// Whatever spaces separate, as it is, and [`END_OF_LINE`] at each line's end: for text that is cut already.
    Tokens,
}

/// The token at a line's end.
pub const END_OF_LINE: &str = "<eos>";

impl Level {
    /// The name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Level::Words => "words",
            Level::Characters => "characters",
            Level::Tokens => "tokens",
        }
    }

    /// The tokens of a text.
    pub fn tokens(self, text: &str) -> Box<dyn Iterator<Item = String> + '_> {
        match self {
            Level::Words => Box::new(words(text)),
            Level::Characters => Box::new(text.chars().map(String::from)),
            Level::Tokens => Box::new(text.split_inclusive('\n').flat_map(|line| {
                let end = line.ends_with('\n').then_some(END_OF_LINE);
                line.split_whitespace().chain(end).map(str::to_owned)
            })),
        }
    }

    /// How a token is written after another: what separates them, and itself.
    pub fn write(self, before: Option<&str>, token: &str) -> String {
        let mark = |token: &str| token.len() == 1 && ".,!?".contains(token);
        match (self, before) {
            (Level::Characters, _) => token.to_owned(),
            (Level::Tokens, _) if token == END_OF_LINE => "\n".to_owned(),
            (Level::Tokens, None | Some(END_OF_LINE)) | (Level::Words, None) => token.to_owned(),
            (Level::Words, _) if mark(token) => token.to_owned(),
            (Level::Tokens | Level::Words, Some(_)) => format!(" {token}"),
        }
    }
}

/// The known tokens: number 0 is padding, 1 unknown, then by falling frequency, ties alphabetically.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Vocabulary {
    tokens: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Vocabulary {
    /// The tokens that occur at least `min_count` times, the `max_size` most frequent of them at most.
    pub fn of<T: Into<String>>(tokens: impl Iterator<Item = T>, min_count: usize, max_size: usize) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        tokens.for_each(|token| *counts.entry(token.into()).or_default() += 1);
        let mut counted: Vec<_> = counts.into_iter().filter(|&(_, count)| count >= min_count).collect();
        counted.sort_unstable_by(|(a, many), (b, few)| few.cmp(many).then_with(|| a.cmp(b)));
        counted.truncate(max_size);
        Self::from(counted.into_iter().map(|(token, _)| token).collect::<Vec<_>>())
    }

    /// How many numbers there are, padding and unknown included.
    pub fn size(&self) -> usize {
        self.tokens.len() + 2
    }

    /// The token of a number, if it stands for one.
    pub fn token(&self, number: u32) -> Option<&str> {
        number.checked_sub(2).and_then(|place| self.tokens.get(place as usize)).map(String::as_str)
    }

    /// The number of a token.
    pub fn number(&self, token: &str) -> u32 {
        self.numbers.get(token).copied().unwrap_or(UNKNOWN)
    }

    /// Numbers of the tokens of a text.
    pub fn encode(&self, level: Level, text: &str) -> Vec<u32> {
        level.tokens(text).map(|token| self.number(&token)).collect()
    }
}

impl From<Vec<String>> for Vocabulary {
    fn from(tokens: Vec<String>) -> Self {
        let numbers = tokens.iter().cloned().zip(2..).collect();
        Self { tokens, numbers }
    }
}

impl From<Vocabulary> for Vec<String> {
    fn from(vocabulary: Vocabulary) -> Self {
        vocabulary.tokens
    }
}

/// Which tokens of a long text are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Those at its beginning.
    #[default]
    First,
    /// Those at its end.
    Last,
}

/// All that is needed to turn new text into token numbers; saved with every checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// What is done to a text first; encoders of an older version have none.
    #[serde(default = "Cleaning::none")]
    pub cleaning: Cleaning,
    /// What a token is.
    pub level: Level,
    /// The known tokens.
    pub vocabulary: Vocabulary,
    /// Tokens kept of a text at most.
    pub max_tokens: usize,
    /// Which tokens of a longer text are kept.
    pub keep: Keep,
}

impl Encoder {
    /// Numbers of the tokens of `text`; empty if it has no token.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut numbers = self.vocabulary.encode(self.level, &self.cleaning.apply(text));
        match self.keep {
            Keep::First => numbers.truncate(self.max_tokens),
            Keep::Last => drop(numbers.drain(..numbers.len().saturating_sub(self.max_tokens))),
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cleaning::Step;
    use proptest::prelude::*;

    fn encoder(keep: Keep) -> Encoder {
        let vocabulary = Vocabulary::of(words("b b b a a c c d"), 2, 3);
        Encoder { cleaning: Cleaning::none(), level: Level::Words, vocabulary, max_tokens: 3, keep }
    }

    #[test]
    fn what_is_cut_into_tokens_is_written_again() {
        for (level, text) in [
            (Level::Characters, "To be,\nor not"),
            (Level::Words, "to be, or not to be. that"),
            (Level::Tokens, "to <unk> N 's\n\nor not\n"),
        ] {
            let tokens: Vec<String> = level.tokens(text).collect();
            let mut before = None;
            let written: String = tokens.iter().map(|token| level.write(before.replace(token), token)).collect();
            assert_eq!(written, text);
        }
        assert_eq!(Level::Tokens.tokens("a b\r\nc").collect::<Vec<_>>(), ["a", "b", END_OF_LINE, "c"]);
    }

    #[test]
    fn text_is_cleaned_before_it_is_cut_and_encoders_of_an_older_version_clean_nothing() {
        let vocabulary = Vocabulary::of(Level::Characters.tokens("né"), 1, 9);
        let cleaning = Cleaning::default().with(Step::Trim);
        let encoder = Encoder { cleaning, level: Level::Characters, vocabulary, max_tokens: 9, keep: Keep::First };
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
    fn frequent_tokens_come_first_and_ties_are_alphabetical() {
        let vocabulary = encoder(Keep::First).vocabulary;
        assert_eq!(["b", "a", "c", "d", "B"].map(|token| vocabulary.number(token)), [2, 3, 4, UNKNOWN, UNKNOWN]);
        assert_eq!(vocabulary.size(), 5);
    }

    #[test]
    fn the_named_end_of_a_long_text_is_kept() {
        assert_eq!(encoder(Keep::First).encode("a b c x"), [3, 2, 4]);
        assert_eq!(encoder(Keep::Last).encode("a b c x"), [2, 4, UNKNOWN]);
        assert_eq!(encoder(Keep::Last).encode("  ;; "), [0u32; 0]);
    }

    proptest! {
        #[test]
        fn tokens_are_lower_case_and_any_text_is_taken(text in ".{0,80}") {
            for word in words(&text) {
                prop_assert!(!word.is_empty() && !word.contains(char::is_whitespace));
            }
            let loud = text.to_ascii_uppercase();
            let quiet = text.to_ascii_lowercase();
            prop_assert!(words(&loud).eq(words(&quiet)));
        }

        #[test]
        fn a_token_of_a_text_is_found_again_when_joined_by_blanks(text in "[a-zäß0-9'.,!? ]{0,60}") {
            let once: Vec<String> = words(&text).collect();
            prop_assert!(words(&once.join(" ")).eq(once.iter().cloned()));
        }
    }
}
