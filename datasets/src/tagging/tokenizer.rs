//! A tokenizer for plain English text.

use crate::reading::BYTE_ORDER_MARK;

/// Penn Treebank–style tokenizer for English; case is kept, and only whitespace and byte-order marks are lost.
///
/// Punctuation marks are separate tokens, except inside numbers, hyphenated words and abbreviations of single letters, and after
/// common abbreviations such as `Mr.`; a run of the same mark is one token. Clitics are split off. After Marcus, Santorini and
/// Marcinkiewicz, "Building a large annotated corpus of English", Computational Linguistics 19, 1993, but quotation marks are not
/// converted.
///
/// ```
/// let tokens = seqzoo_datasets::tagging::tokenize("I don't have $3,000 (in the U.S.)...");
/// assert_eq!(tokens, ["I", "do", "n't", "have", "$", "3,000", "(", "in", "the", "U.S.", ")", "..."]);
/// ```
pub fn tokenize(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for mut rest in text.replace(BYTE_ORDER_MARK, "").split_whitespace() {
        while let Some(start) = rest.chars().next() {
            let (token, after) = rest.split_at(first(start, rest));
            tokens.push(token.to_owned());
            rest = after;
        }
    }
    tokens
}

/// The tokens of a text that is already tokenized, which are separated by ASCII whitespace; only this and byte-order marks are lost. Other
/// whitespace, such as a no-break space, is part of a token, as in CoNLL columns.
///
/// ```
/// use seqzoo_datasets::tagging::split_tokens;
///
/// assert_eq!(split_tokens("call: mom , please"), ["call:", "mom", ",", "please"]);
/// assert_eq!(split_tokens("10\u{a0}000 francs"), ["10\u{a0}000", "francs"]);
/// ```
pub fn split_tokens(text: &str) -> Vec<String> {
    text.replace(BYTE_ORDER_MARK, "").split_ascii_whitespace().map(str::to_owned).collect()
}

const CLITICS: [&str; 7] = ["n't", "'s", "'m", "'d", "'re", "'ve", "'ll"];

/// Abbreviations that keep their period.
const ABBREVIATIONS: [&str; 14] =
    ["Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St.", "Jr.", "Sr.", "Inc.", "Corp.", "Co.", "Ltd.", "vs.", "etc."];

/// Marks that are always separate tokens, even in a run.
const SINGLE: &str = "()[]{}\"“”«»";

/// Letters, digits and combining accents.
fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c)
}

/// Length in bytes of the first token of `text`, which has no whitespace and begins with `start`.
fn first(start: char, text: &str) -> usize {
    clitic(text).unwrap_or_else(|| match start {
        _ if is_letter(start) => word(text),
        _ if SINGLE.contains(start) => start.len_utf8(),
        _ => text.len() - text.trim_start_matches(start).len(),
    })
}

/// Length of the clitic at the start of `text`.
fn clitic(text: &str) -> Option<usize> {
    let plain = |c: char| if c == '’' { '\'' } else { c.to_ascii_lowercase() };
    CLITICS.iter().find_map(|clitic| {
        let mut rest = text.chars();
        let fits = clitic.chars().all(|c| rest.next().map(plain) == Some(c));
        let after = rest.as_str();
        (fits && !after.starts_with(is_letter)).then(|| text.len() - after.len())
    })
}

/// Length of the word at the start of `text`, hyphens included.
fn word(text: &str) -> usize {
    let mut end = 0;
    loop {
        end += part(&text[end..]);
        match text[end..].strip_prefix(['-', '\u{2010}', '\u{2011}']) {
            Some(after) if after.starts_with(is_letter) => end = text.len() - after.len(),
            _ => return end,
        }
    }
}

/// Length of the hyphen-free part of a word at the start of `text`.
fn part(text: &str) -> usize {
    if let Some(known) = ABBREVIATIONS.iter().find(|known| text.starts_with(**known)) {
        return known.len();
    }
    if let Some(length) = abbreviation(text) {
        return length;
    }
    let mut before = None;
    for (index, c) in text.char_indices() {
        let rest = &text[index..];
        let after = rest.chars().nth(1);
        let inside = match c {
            '\'' | '’' => after.is_some_and(is_letter),
            '.' | ',' | ':' | '/' => [before, after].iter().all(|c| c.is_some_and(char::is_numeric)),
            _ => is_letter(c),
        };
        if !inside || index > 0 && clitic(rest).is_some() {
            return index;
        }
        before = Some(c);
    }
    text.len()
}

/// Length of the abbreviation at the start of `text`: two or more single letters, each followed by a period, optional after the
/// last.
fn abbreviation(text: &str) -> Option<usize> {
    let mut rest = text;
    let mut letters = 0;
    while let Some(after) = rest.strip_prefix(char::is_alphabetic).filter(|after| !after.starts_with(is_letter)) {
        letters += 1;
        rest = after.strip_prefix('.').unwrap_or(after);
        if rest == after {
            break;
        }
    }
    (letters > 1).then(|| text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_tokenized_as_in_the_penn_treebank() {
        for (text, expected) in [
            ("Don't, it's DONE.", "Do n't , it 's DONE ."),
            ("We'll say I'm sure they've gone", "We 'll say I 'm sure they 've gone"),
            ("she'd know; you're 5.", "she 'd know ; you 're 5 ."),
            ("The dogs' bowl isn’t theirs’, it’s O'Neill's.", "The dogs ' bowl is n’t theirs ’ , it ’s O'Neill 's ."),
            ("I'd've WON'T shouldn't've", "I 'd 've WO N'T should n't 've"),
            ("$3,000 or 3.5%, at 5:30 on 9/11.", "$ 3,000 or 3.5 % , at 5:30 on 9/11 ."),
            ("the U.S., e.g. a U.S.-based firm", "the U.S. , e.g. a U.S.-based firm"),
            ("(J.R.R.) at 5 p.m", "( J.R.R. ) at 5 p.m"),
            ("Dr. Lee vs. Acme Inc., etc.", "Dr. Lee vs. Acme Inc. , etc."),
            ("So am I.Then well-known x-ray- -", "So am I . Then well-known x-ray - -"),
            ("wait...what--no!!! ((\"yes\"))", "wait ... what -- no !!! ( ( \" yes \" ) )"),
            ("'quoted' “curly” and/or a_b", "' quoted ' “ curly ” and / or a _ b"),
            ("nai\u{308}ve Zoë 文字。", "nai\u{308}ve Zoë 文字 。"),
            ("it 's do n't", "it 's do n't"),
            (" \t\n", ""),
            ("\u{feff}Time \u{feff}", "Time"),
        ] {
            assert_eq!(tokenize(text).join(" "), expected);
            assert_eq!(tokenize(expected).join(" "), expected, "tokenization is idempotent");
        }
        assert_eq!(tokenize(&"a-".repeat(100_000)).len(), 2);
    }

    proptest! {
        #[test]
        fn only_whitespace_is_lost(
            text in prop_oneof!["\\PC{0,60}", "([a-dA-Dnt5'’.,:/ -]|n't|'s|Mr\\.|U\\.S\\.){0,40}"]
        ) {
            let tokens = tokenize(&text);
            prop_assert!(tokens.iter().all(|token| !token.is_empty() && !token.contains(char::is_whitespace)));
            prop_assert_eq!(tokens.concat(), text.split_whitespace().collect::<String>());
        }
    }
}
