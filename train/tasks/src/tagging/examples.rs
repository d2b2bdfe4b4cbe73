//! Sentences with a label per token.

use seqzoo_datasets::records::Split;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::tagging::{Sentence, Tagging};
use seqzoo_datasets::text::Tokenization;

use super::Settings;
use crate::Prepared;
use crate::skipped::{Skipped, joined, truncated, unseen};

/// Removes sentences without a token, so that every metric covers the same examples; `splits` are the records that they were converted from.
pub(super) fn prepare(mut data: Tagging, splits: &Splits, settings: &Settings) -> Prepared {
    let mut skipped = Skipped::default();
    let has_token = |sentence: &Sentence| !sentence.tokens.is_empty();
    for (sentences, split) in [&mut data.train, &mut data.validation, &mut data.test].into_iter().zip(Split::ALL) {
        skipped.retain(sentences, splits.split(split), has_token, |_| "a sentence".to_owned());
    }
    let truncated = truncated(data.train.iter().map(|sentence| sentence.tokens.len()), settings.max_tokens);
    let unseen = unseen(&data.labels, data.train.iter().flat_map(|sentence| sentence.labels.iter().copied()));
    Prepared { examples: Box::new(data), note: joined([skipped.note(Tokenization::Tokens), unseen, truncated]) }
}
