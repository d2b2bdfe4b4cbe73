//! Pairs of source and target sequences.

use std::borrow::Cow;

use seqzoo_datasets::classification::Split;
use seqzoo_datasets::text::Tokenization;
use seqzoo_datasets::transduction::{Pair, Transduction};

use super::Settings;
use crate::Prepared;
use crate::skipped::{Skipped, joined};

fn has_source(pair: &Pair, level: Tokenization) -> bool {
    level.tokens(&pair.source).next().is_some()
}

/// Removes pairs whose source has no token, so that every metric covers the same examples.
pub(super) fn prepare(mut data: Transduction, settings: &Settings) -> Prepared {
    let level = settings.level;
    let mut skipped = Skipped::default();
    for split in [&mut data.train, &mut data.validation, &mut data.test] {
        let describe = |pair: &Pair| format!("{:?} (for {:?})", pair.source, pair.target);
        skipped.retain(split, |pair| has_source(pair, level), describe);
    }
    let splits = [&data.train, &data.validation, &data.test];
    let is_empty = |pair: &&Pair| level.tokens(&pair.target).next().is_none();
    let empty: Vec<&Pair> = splits.into_iter().flatten().filter(is_empty).collect();
    let of_targets = empty.first().map(|first| {
        let (targets, are) = if empty.len() == 1 { ("target", "is") } else { ("targets", "are") };
        format!(
            "{} {targets} without a token {are} trained on as empty sequences; first: that of {:?}",
            empty.len(),
            first.source
        )
    });
    Prepared { note: joined([skipped.note(level), of_targets]), examples: Box::new(data) }
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
        let prepared = prepare(data.clone(), &Settings::default());
        assert!(prepared.note.unwrap().ends_with(r#"first: "-" (for "x")"#));
        assert_eq!(prepared.examples.size(Split::Test), (1, "pairs"));
        let silent = Pair { target: "…".to_owned(), ..pair("b") };
        let note = prepare(Transduction { train: vec![silent], ..data.clone() }, &Settings::default()).note.unwrap();
        assert!(
            note.ends_with(r#"1 target without a token is trained on as empty sequences; first: that of "b""#),
            "{note}"
        );
        assert_eq!(with_tokens(&data, Tokenization::Words).test.len(), 1);
        assert_eq!(with_tokens(&data, Tokenization::Characters).test.len(), 2);
    }
}
