//! Datasets for relation classification: texts in which two entities are marked, each with the relation between them.

use std::ops::Range;

use crate::DataError;
use crate::classification::Classification;
use crate::data_spec::{Content, DataSpec, Role};
use crate::scores::{Scores, metrics};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::text::Tokenization;

/// Data for relation classification.
pub static DATA: DataSpec = DataSpec {
    task: "relations",
    roles: &[
        Role::required(
            "text",
            Content::Text,
            "Column of the texts, in which the entities are marked as in `the <e1>key</e1> of the <e2>door</e2>`.",
        ),
        Role::required("label", Content::Label, "Column of the relation of each text."),
        Role::GROUPS,
    ],
    fields: &["labels", "naive_bayes"],
    default_format: None,
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every"],
    split_note: "whole texts are assigned to splits",
};

metrics! {
    /// Official metric of SemEval-2010 task 8: macro-F1 over the relations without `Other`, where a prediction in the wrong direction is wrong.
    pub const RELATION_F1 = Higher("relation-f1", "");
}

/// The relation that stands for none.
const OTHER: &str = "Other";

/// A text with two marked entities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marked {
    /// The tokens, markers included.
    pub tokens: Vec<String>,
    /// The tokens of both entities, without their markers.
    pub entities: [Range<usize>; 2],
}

/// Markers of the beginning and the end of each entity.
const MARKERS: [[&str; 2]; 2] = [["<e1>", "</e1>"], ["<e2>", "</e2>"]];

impl Marked {
    /// Tokenizes a text; the markers are tokens of their own.
    ///
    /// # Errors
    /// A message with the missing or repeated marker.
    pub fn parse(text: &str, level: Tokenization) -> Result<Self, String> {
        let example = "mark both entities once, as in `the <e1>key</e1> of the <e2>door</e2>`";
        let mut cuts = Vec::new();
        for (entity, markers) in MARKERS.iter().enumerate() {
            let [begin, end] = markers.map(|marker| {
                let mut found = text.match_indices(marker).map(|(at, _)| (at, marker, entity));
                let first = found.next().ok_or_else(|| format!("no {marker}; {example}"))?;
                found.next().map_or(Ok(first), |_| Err(format!("more than one {marker}; {example}")))
            });
            let (begin, end) = (begin?, end?);
            if end.0 < begin.0 {
                return Err(format!("{} before {}; {example}", end.1, begin.1));
            }
            cuts.extend([begin, end]);
        }
        cuts.sort_unstable();
        if cuts[0].2 != cuts[1].2 {
            return Err(format!("the entities overlap; {example}"));
        }
        let mut marked = Self::default();
        let mut at = 0;
        for pair in cuts.chunks_exact(2) {
            let [(begin, first, entity), (end, last, _)] = [pair[0], pair[1]];
            marked.tokens.extend(level.tokens(&text[at..begin]));
            marked.tokens.push(first.to_owned());
            let start = marked.tokens.len();
            marked.tokens.extend(level.tokens(&text[begin + first.len()..end]));
            marked.entities[entity] = start..marked.tokens.len();
            if start == marked.tokens.len() {
                return Err(format!("nothing between {first} and {last}; {example}"));
            }
            marked.tokens.push(last.to_owned());
            at = end + last.len();
        }
        marked.tokens.extend(level.tokens(&text[at..]));
        Ok(marked)
    }
}

/// A loaded dataset for relation classification: labeled texts, each with two marked entities.
#[derive(Debug, Clone, Default)]
pub struct Relations(pub Classification);

impl Relations {
    /// The splits without texts whose entities are not marked or have no token, and a note on these texts.
    ///
    /// # Errors
    /// If a split has no other texts.
    pub fn usable(splits: &Splits, level: Tokenization) -> Result<(Splits, Option<String>), DataError> {
        let column = splits.columns.need("text")?;
        let (mut splits, mut count, mut first) = (splits.clone(), 0, None);
        for records in [&mut splits.train, &mut splits.validation, &mut splits.test] {
            if records.is_empty() {
                continue;
            }
            let texts = records.texts("text", column)?;
            let parsed: Vec<Result<Marked, String>> = texts.iter().map(|text| Marked::parse(text, level)).collect();
            let rows: Vec<usize> = (0..parsed.len()).filter(|&row| parsed[row].is_ok()).collect();
            let mut bad = parsed.into_iter().enumerate().filter_map(|(row, parsed)| Some((row, parsed.err()?)));
            let Some((row, detail)) = bad.next() else { continue };
            let error = records.error(row, detail);
            if rows.is_empty() {
                return Err(error);
            }
            count += 1 + bad.count();
            first.get_or_insert(error);
            *records = records.select(&rows);
        }
        let texts = if count == 1 { "text was" } else { "texts were" };
        let note = first.map(|error| format!("{count} {texts} left out; first: {error}"));
        Ok((splits, note))
    }

    /// Converts records, using the columns `text`, `label` and `groups`.
    ///
    /// # Errors
    /// As [`Classification::from_records`]; if the entities of a text are not marked.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let column = splits.columns.need("text")?;
        for records in [&splits.train, &splits.validation, &splits.test] {
            let texts = if records.is_empty() { &[] } else { records.texts("text", column)? };
            for (row, text) in texts.iter().enumerate() {
                Marked::parse(text, Tokenization::Tokens).map_err(|detail| records.error(row, detail))?;
            }
        }
        Classification::from_records(splits).map(Self)
    }
}

/// Adds [`RELATION_F1`] to the metrics of (actual, predicted) pairs of labels.
///
/// Labels such as `Cause-Effect(e1,e2)` are a relation and its direction. Of each relation, predictions in the wrong direction count as
/// wrong: precision is the share of its predictions with the right direction, recall the share of its examples that are predicted
/// with their direction; `Other` is not averaged (the official scorer's third measure, Hendrickx et al. 2010). Labels without direction
/// are relations of their own.
pub fn add_scores(scores: &mut Scores, labels: &[String], pairs: impl Iterator<Item = (usize, usize)>) {
    let relation = |label: usize| labels[label].split('(').next().unwrap_or_default();
    let mut relations: Vec<&str> = (0..labels.len()).map(relation).filter(|name| *name != OTHER).collect();
    relations.sort_unstable();
    relations.dedup();
    // None for `Other`.
    let place: Vec<Option<usize>> =
        (0..labels.len()).map(|label| relations.iter().position(|name| *name == relation(label))).collect();
    // Of each relation, its examples and predictions together, and its right predictions.
    let mut counts = vec![(0usize, 0usize); relations.len()];
    for (actual, predicted) in pairs {
        place[actual].iter().chain(&place[predicted]).for_each(|&relation| counts[relation].0 += 1);
        place[actual].iter().for_each(|&relation| counts[relation].1 += usize::from(actual == predicted));
    }
    let f1 = |&(all, right): &(usize, usize)| (all > 0).then(|| 2.0 * right as f64 / all as f64);
    let each: Vec<f64> = counts.iter().filter_map(f1).collect();
    scores.insert(RELATION_F1, each.iter().sum::<f64>() / each.len().max(1) as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_ranges_of_tokens_between_markers() {
        let marked = Marked::parse("The <e2>old door</e2>of <e1>Rome</e1>.", Tokenization::Words).unwrap();
        assert_eq!(marked.tokens, ["the", "<e2>", "old", "door", "</e2>", "of", "<e1>", "rome", "</e1>", "."]);
        assert_eq!(marked.entities, [7..8, 2..4]);
        for (text, part) in [
            ("a <e1>b</e1> c", "no <e2>; mark both entities once"),
            ("<e1>a</e1> <e2>b", "no </e2>"),
            ("<e1>a</e1> <e2>b</e2> <e1>c</e1>", "more than one <e1>"),
            ("</e1>a<e1> <e2>b</e2>", "</e1> before <e1>"),
            ("<e1>a <e2>b</e1> c</e2>", "the entities overlap"),
            ("<e1> </e1> <e2>b</e2>", "nothing between <e1> and </e1>"),
        ] {
            let error = Marked::parse(text, Tokenization::Words).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_official_metric_counts_wrong_directions_and_leaves_out_other() {
        let labels = ["Cause(e1,e2)", "Cause(e2,e1)", "Other", "Part(e1,e2)"].map(str::to_owned);
        // Cause: 3 actual, 3 predicted, of which 1 with the right direction and 1 with the wrong one: F1 = 2 · 1 / 6.
        // Part: 2 actual, 1 predicted, rightly: F1 = 2 / 3. Other: right once, not averaged.
        let pairs = [(0, 0), (0, 1), (1, 2), (2, 0), (2, 2), (3, 3), (3, 2)];
        let mut scores = Scores::default();
        add_scores(&mut scores, &labels, pairs.into_iter());
        assert!((scores.get(RELATION_F1).unwrap() - (1.0 / 3.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    }
}
