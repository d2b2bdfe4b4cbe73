//! Notes on examples that are skipped because they have no token, and on labels without training examples.

use seqzoo_datasets::classification::Split;
use seqzoo_datasets::records::Records;
use seqzoo_datasets::text::Tokenization;
use seqzoo_datasets::wording::counted;

/// Counts skipped examples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    count: usize,
    /// Description of the first one.
    first: Option<String>,
}

impl Skipped {
    /// Keeps the examples that satisfy `keep` and counts the others; each example was converted from the row of `records` with its index.
    pub(crate) fn retain<T>(
        &mut self,
        examples: &mut Vec<T>,
        records: &Records,
        keep: impl Fn(&T) -> bool,
        describe: impl Fn(&T) -> String,
    ) {
        if let Some(first) = examples.iter().position(|example| !keep(example)) {
            self.first.get_or_insert_with(|| place(records, first) + &describe(&examples[first]));
        }
        let before = examples.len();
        examples.retain(keep);
        self.count += before - examples.len();
    }

    /// A note for the user, if any example was skipped; the first one helps to find it.
    pub(crate) fn note(&self, level: Tokenization) -> Option<String> {
        let Self { count, first } = self;
        let (examples, were) = if *count == 1 { ("example", "was") } else { ("examples", "were") };
        let first = first.as_deref().unwrap_or_default();
        (*count > 0).then(|| {
            format!(
                "{count} {examples} without a token at task.level = {:?} {were} skipped; first: {first}",
                level.name()
            )
        })
    }
}

/// A note on targets without a token, which are trained on, if there are any. `nouns` are the singular and the plural of the targets, `sizes`
/// returns the number of examples of a split, and `describe` names an example.
pub(crate) fn empty_targets(
    nouns: [&str; 2],
    sizes: impl Fn(Split) -> usize,
    is_empty: impl Fn(Split, usize) -> bool,
    describe: impl Fn(Split, usize) -> String,
) -> Option<String> {
    let of_split = |split: Split| (0..sizes(split)).map(move |row| (split, row));
    let all = Split::ALL.into_iter().flat_map(of_split);
    let empty: Vec<(Split, usize)> = all.filter(|&(split, row)| is_empty(split, row)).collect();
    let &(split, row) = empty.first()?;
    let (count, first) = (empty.len(), describe(split, row));
    let (targets, are) = if count == 1 { (nouns[0], "is") } else { (nouns[1], "are") };
    Some(format!("{count} {targets} without a token {are} trained on as empty sequences; first: {first}"))
}

/// File and line of a row before its description; empty if it is generated.
pub(crate) fn place(records: &Records, row: usize) -> String {
    records.place_name(row).map_or_else(String::new, |place| format!("{place}: "))
}

/// A note on labels that no training example has, if there are any; none if no training split was read.
pub(crate) fn unseen(labels: &[String], trained: impl Iterator<Item = usize>) -> Option<String> {
    let mut is_seen = vec![false; labels.len()];
    trained.for_each(|label| is_seen[label] = true);
    if is_seen.iter().all(|seen| !seen) {
        return None;
    }
    let unseen: Vec<String> =
        labels.iter().zip(is_seen).filter(|(_, seen)| !seen).map(|(label, _)| format!("`{label}`")).collect();
    (!unseen.is_empty()).then(|| format!("labels without an example in the training split: {}", unseen.join(", ")))
}

/// Joins notes.
pub(crate) fn joined(notes: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// A note on training examples with more than `most` tokens, if there are any.
pub(crate) fn truncated(lengths: impl Iterator<Item = usize>, most: usize) -> Option<String> {
    let long = lengths.filter(|&length| length > most).count();
    let examples = counted(long, "training examples");
    (long > 0).then(|| format!("task.max_tokens = {most} truncates {examples}"))
}
