//! Labeled texts.

use std::borrow::Cow;

use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::{Classification, Example, Split};
use seqzoo_datasets::multi_label;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::text::Tokenization;

use super::Settings;
use crate::Prepared;
use crate::skipped::{Skipped, joined, truncated, unseen};

fn has_token(text: &str, level: Tokenization) -> bool {
    level.tokens(text).next().is_some()
}

/// Removes texts without a token, so that every metric covers the same examples; `splits` are the records that they were converted from.
///
/// # Errors
/// If fewer than two labels have a text left in the training split, unless it was not read.
pub(super) fn prepare(mut data: Classification, splits: &Splits, settings: &Settings) -> Result<Prepared, DataError> {
    let level = settings.level;
    let mut skipped = Skipped::default();
    let Classification { labels, train, validation, test, .. } = &mut data;
    for (examples, split) in [train, validation, test].into_iter().zip(Split::ALL) {
        let describe = |example: &Example| format!("{:?} ({})", example.text, labels[example.label]);
        skipped.retain(examples, splits.split(split), |example| has_token(&example.text, level), describe);
    }
    let mut labels = data.train.iter().map(|example| example.label);
    let first = labels.next();
    if !splits.train.is_empty() && labels.all(|label| Some(label) == first) {
        let value = first.map_or("none", |label| &data.labels[label]).to_owned();
        let expected = format!(
            "at least two labels are needed in the training split, over texts with a token at task.level = {:?}",
            level.name()
        );
        return Err(DataError::Setting { field: "data.columns.label".to_owned(), value, expected });
    }
    let lengths = data.train.iter().map(|example| level.tokens(&example.text).take(settings.max_tokens + 1).count());
    let truncated = truncated(lengths, settings.max_tokens);
    let unseen = unseen(&data.labels, data.train.iter().map(|example| example.label));
    let several = of_several(&data.labels);
    Ok(Prepared { examples: Box::new(data), note: joined([skipped.note(level), several, unseen, truncated]) })
}

/// A note on a label that is a list of labels.
fn of_several(labels: &[String]) -> Option<String> {
    let (label, separator) = multi_label::list_of_labels(labels)?;
    Some(format!("`{label}` is read as one label; recipe multi-label reads several labels, separated by `{separator}`"))
}

/// The data without texts that have no token.
pub(super) fn with_tokens(data: &Classification, level: Tokenization) -> Cow<'_, Classification> {
    let is_empty = |example: &Example| !has_token(&example.text, level);
    if !Split::ALL.into_iter().any(|split| data.split(split).iter().any(is_empty)) {
        return Cow::Borrowed(data);
    }
    let mut data = data.clone();
    for split in [&mut data.train, &mut data.validation, &mut data.test] {
        split.retain(|example| has_token(&example.text, level));
    }
    Cow::Owned(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Examples;
    use std::sync::Arc;

    #[test]
    fn texts_without_tokens_are_skipped_with_a_note() {
        let example = |text: &str, label| Example { text: text.to_owned(), label, groups: Arc::default() };
        let data = Classification {
            labels: ["Korean", "Polish"].map(str::to_owned).to_vec(),
            train: vec![example("Han", 0), example("-", 0), example("Wit", 1)],
            validation: vec![example(" ;", 1), example("Lis", 1)],
            ..Classification::default()
        };
        let none = Splits::default();
        let prepared = prepare(data.clone(), &none, &Settings::default()).unwrap();
        let note = r#"2 examples without a token at task.level = "words" were skipped; first: "-" (Korean)"#;
        assert_eq!(prepared.note.as_deref(), Some(note));
        let sizes = |examples: &dyn Examples| Split::ALL.map(|split| examples.size(split).0);
        assert_eq!(sizes(&*prepared.examples), [2, 1, 0]);
        assert_eq!(sizes(&*with_tokens(&data, Tokenization::Words)), [2, 1, 0]);
        let characters =
            prepare(data.clone(), &none, &Settings { level: Tokenization::Characters, ..Settings::default() }).unwrap();
        assert_eq!((characters.note, sizes(&*characters.examples)), (None, [3, 2, 0]));
        assert!(matches!(with_tokens(&data, Tokenization::Characters), Cow::Borrowed(_)));
    }

    #[test]
    fn a_label_that_is_a_list_of_labels_is_noted() {
        let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let note = of_several(&labels(&["bad", "good", "good;fun"])).unwrap();
        assert!(note.starts_with("`good;fun` is read as one label; recipe multi-label"), "{note}");
        assert_eq!(of_several(&labels(&["Opens(e1,e2)", "Other", "New York, NY"])), None);
    }

    #[test]
    fn a_single_label_left_in_the_training_split_is_an_error() {
        let example = |text: &str, label| Example { text: text.to_owned(), label, groups: Arc::default() };
        let data = Classification {
            labels: ["a", "b"].map(str::to_owned).to_vec(),
            train: vec![example("-", 0), example("Wit", 1)],
            ..Classification::default()
        };
        let error = prepare(data, &Splits::default(), &Settings::default()).unwrap_err().to_string();
        assert!(error.starts_with("data.columns.label = b: at least two labels"), "{error}");
    }
}
