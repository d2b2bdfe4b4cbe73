//! Pairs of source and target sequences.

use std::borrow::Cow;

use seqzoo_datasets::classification::Split;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::text::Tokenization;
use seqzoo_datasets::transduction::{Pair, Transduction};

use super::Settings;
use crate::Prepared;
use crate::skipped::{Skipped, empty_targets, joined, place};

fn has_source(pair: &Pair, level: Tokenization) -> bool {
    level.tokens(&pair.source).next().is_some()
}

/// Removes pairs whose source has no token, so that every metric covers the same examples; `splits` are the records that they were converted from.
pub(super) fn prepare(mut data: Transduction, splits: &Splits, settings: &Settings) -> Prepared {
    let level = settings.level;
    let of_targets = note_empty_targets(&data, splits, level);
    let mut skipped = Skipped::default();
    for (pairs, split) in [&mut data.train, &mut data.validation, &mut data.test].into_iter().zip(Split::ALL) {
        let describe = |pair: &Pair| format!("{:?} (for {:?})", pair.source, pair.target);
        skipped.retain(pairs, splits.split(split), |pair| has_source(pair, level), describe);
    }
    Prepared { note: joined([skipped.note(level), of_targets]), examples: Box::new(data) }
}

/// A note on targets without a token, if a source with a token has one.
fn note_empty_targets(data: &Transduction, splits: &Splits, level: Tokenization) -> Option<String> {
    let is_empty = |split: Split, row: usize| {
        let pair = &data.split(split)[row];
        has_source(pair, level) && level.tokens(&pair.target).next().is_none()
    };
    let describe = |split: Split, row: usize| {
        format!("{}that of {:?}", place(splits.split(split), row), data.split(split)[row].source)
    };
    empty_targets(["target", "targets"], |split| data.split(split).len(), is_empty, describe)
}

/// The data without pairs whose source has no token.
pub(super) fn with_tokens(data: &Transduction, level: Tokenization) -> Cow<'_, Transduction> {
    if Split::ALL.into_iter().all(|split| data.split(split).iter().all(|pair| has_source(pair, level))) {
        return Cow::Borrowed(data);
    }
    let mut data = data.clone();
    for split in [&mut data.train, &mut data.validation, &mut data.test] {
        split.retain(|pair| has_source(pair, level));
    }
    Cow::Owned(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn pairs_without_a_source_token_are_skipped_with_a_note() {
        let pair = |source: &str| Pair { source: source.to_owned(), target: "x".to_owned(), groups: Arc::default() };
        let data = Transduction { test: vec![pair("-"), pair("a")], ..Transduction::default() };
        let none = Splits::default();
        let prepared = prepare(data.clone(), &none, &Settings::default());
        assert!(prepared.note.unwrap().ends_with(r#"first: "-" (for "x")"#));
        assert_eq!(prepared.examples.size(Split::Test), (1, "pairs"));
        let silent = Pair { target: "…".to_owned(), ..pair("b") };
        let silent = Transduction { train: vec![silent], ..data.clone() };
        let note = prepare(silent, &none, &Settings::default()).note.unwrap();
        assert!(
            note.ends_with(r#"1 target without a token is trained on as empty sequences; first: that of "b""#),
            "{note}"
        );
        assert_eq!(with_tokens(&data, Tokenization::Words).test.len(), 1);
        assert_eq!(with_tokens(&data, Tokenization::Characters).test.len(), 2);
    }
}
