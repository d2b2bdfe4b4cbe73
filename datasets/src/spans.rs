//! Spans in sequences of tags, such as named entities, and their precision, recall and F1.
//!
//! ```text
//! IOB1    I-PER I-PER O B-LOC      B only where a span follows another one of its type
//! IOB2    B-PER I-PER O B-LOC      B at the start of each span
//! BIOES   B-PER E-PER O S-LOC      E at the end of each span, S for a span of one token (also L and U)
//! ```
//!
//! Spans are found as the script `conlleval` of the CoNLL-2000 and CoNLL-2003 shared tasks finds them (Tjong Kim Sang and De Meulder 2003),
//! in tags of all three schemes, and also in inconsistent ones, such as `O I-LOC I-PER`, which has two spans. Tags without a prefix are spans
//! of one token, except `O`.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::scores::{Scores, metrics};

metrics! {
    /// Share of predicted spans that are right.
    pub const PRECISION = Higher("span-precision", "");

    /// Share of actual spans that are predicted.
    pub const RECALL = Higher("span-recall", "");

    /// F1 of spans: 2 · precision · recall / (precision + recall), over the spans of all sentences.
    pub const F1 = Higher("span-f1", "");
}

/// The tag outside of spans.
const OUTSIDE: &str = "O";

/// Position of a token in its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// B: starts a span.
    Begin,
    /// I: continues the span of the previous token, or starts one.
    Inside,
    /// E or L: ends a span.
    End,
    /// S or U, or a tag without a prefix.
    Single,
}

/// How tags mark spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    has_prefixes: bool,
}

impl Scheme {
    /// The scheme of a set of tags: they have prefixes if any starts with `B-` or `I-`, or if all are single
    /// letters such as `B`, `I` and `O`.
    pub fn of<'a>(tags: impl IntoIterator<Item = &'a str>) -> Self {
        let tags: Vec<&str> = tags.into_iter().collect();
        let is_bare = tags.iter().all(|tag| ["B", "I", "O", "E", "S", "L", "U"].contains(tag));
        let has_prefixes = is_bare || tags.iter().any(|tag| tag.starts_with("B-") || tag.starts_with("I-"));
        Self { has_prefixes }
    }

    /// Whether tags have prefixes, as those of named entities have.
    pub fn has_prefixes(self) -> bool {
        self.has_prefixes
    }

    /// The position and the type of a tag; `None` outside of spans.
    fn parse(self, tag: &str) -> Option<(Position, &str)> {
        if tag == OUTSIDE {
            return None;
        }
        let (prefix, kind) = match tag.split_once('-') {
            Some((prefix, kind)) if self.has_prefixes => (prefix, kind),
            None if self.has_prefixes && tag.len() == 1 => (tag, ""),
            _ => return Some((Position::Single, tag)),
        };
        Some(match prefix {
            "B" => (Position::Begin, kind),
            "I" => (Position::Inside, kind),
            "E" | "L" => (Position::End, kind),
            "S" | "U" => (Position::Single, kind),
            _ => (Position::Single, tag),
        })
    }

    /// The spans of a sentence, with their types, in order.
    ///
    /// ```
    /// use seqzoo_datasets::spans::Scheme;
    ///
    /// let tags = ["B-PER", "I-PER", "O", "B-LOC"];
    /// let spans = Scheme::of(tags).spans(tags);
    /// assert_eq!(spans, [(0..2, "PER".to_owned()), (3..4, "LOC".to_owned())]);
    /// ```
    pub fn spans<'a>(self, tags: impl IntoIterator<Item = &'a str>) -> Vec<(Range<usize>, String)> {
        let mut spans: Vec<(Range<usize>, String)> = Vec::new();
        // Whether the last span can continue.
        let mut is_open = false;
        for (index, tag) in tags.into_iter().enumerate() {
            let Some((position, kind)) = self.parse(tag) else {
                is_open = false;
                continue;
            };
            let same = spans.last().is_some_and(|(_, last)| last == kind);
            let continues = is_open && same && matches!(position, Position::Inside | Position::End);
            match spans.last_mut().filter(|_| continues) {
                Some((range, _)) => range.end = index + 1,
                None => spans.push((index..index + 1, kind.to_owned())),
            }
            is_open = matches!(position, Position::Begin | Position::Inside);
        }
        spans
    }
}

/// Numbers of spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Actual spans.
    pub actual: usize,
    /// Predicted spans.
    pub predicted: usize,
    /// Predicted spans with the range and the type of an actual one.
    pub correct: usize,
}

impl Counts {
    /// Precision, recall and F1; 0 where they are undefined.
    pub fn scores(&self) -> Scores {
        let ratio = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let (precision, recall) = (ratio(self.correct, self.predicted), ratio(self.correct, self.actual));
        let f1 = ratio(2 * self.correct, self.predicted + self.actual);
        Scores::new(self.actual, [(F1, f1), (PRECISION, precision), (RECALL, recall)])
    }
}

/// Counts the spans of sentences, overall and by type; each sentence is a pair of actual and predicted tags.
pub fn count<'a, T: IntoIterator<Item = &'a str>>(
    scheme: Scheme,
    sentences: impl IntoIterator<Item = (T, T)>,
) -> (Counts, BTreeMap<String, Counts>) {
    let mut by_type: BTreeMap<String, Counts> = BTreeMap::new();
    for (actual, predicted) in sentences {
        let (actual, predicted) = (scheme.spans(actual), scheme.spans(predicted));
        let known: HashSet<&(Range<usize>, String)> = actual.iter().collect();
        for (_, kind) in &actual {
            by_type.entry(kind.clone()).or_default().actual += 1;
        }
        for span in &predicted {
            let counts = by_type.entry(span.1.clone()).or_default();
            counts.predicted += 1;
            counts.correct += usize::from(known.contains(span));
        }
    }
    let sum = |all: Counts, of: &Counts| Counts {
        actual: all.actual + of.actual,
        predicted: all.predicted + of.predicted,
        correct: all.correct + of.correct,
    };
    (by_type.values().fold(Counts::default(), sum), by_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(tags: &str) -> String {
        let tags: Vec<&str> = tags.split(' ').collect();
        let found = Scheme { has_prefixes: true }.spans(tags);
        found
            .iter()
            .map(|(range, kind)| format!("{kind}{}-{} ", range.start, range.end))
            .collect::<String>()
            .trim()
            .to_owned()
    }

    /// Each line follows from the conditions for the start and the end of a chunk in `conlleval`.
    #[test]
    fn spans_are_those_of_conlleval() {
        for (tags, expected) in [
            ("B-PER I-PER O B-LOC", "PER0-2 LOC3-4"),
            // IOB1: B only between two spans of one type.
            ("I-PER I-PER B-PER O I-LOC", "PER0-2 PER2-3 LOC4-5"),
            ("B-PER E-PER S-LOC S-LOC O B-ORG I-ORG E-ORG", "PER0-2 LOC2-3 LOC3-4 ORG5-8"),
            // Inconsistent tags: another type starts another span, and so does whatever follows an end.
            ("O I-LOC I-PER", "LOC1-2 PER2-3"),
            ("B-PER I-LOC I-LOC", "PER0-1 LOC1-3"),
            ("B-PER E-PER I-PER E-PER", "PER0-2 PER2-4"),
            ("E-PER E-PER", "PER0-1 PER1-2"),
            ("B-PER B-PER I-PER", "PER0-1 PER1-3"),
            ("O O", ""),
            ("B I O I", "0-2 3-4"),
            ("U-PER L-PER", "PER0-1 PER1-2"),
            ("B-a-b I-a-b", "a-b0-2"),
        ] {
            assert_eq!(spans(tags), expected, "{tags}");
        }
        let without = Scheme::of(["NN", "B", "O"]);
        assert!(!without.has_prefixes() && Scheme::of(["B", "I", "O"]).has_prefixes());
        assert_eq!(without.spans(["NN", "NN", "O", "B"]).len(), 3, "tags without prefixes are spans of one token");
    }

    #[test]
    fn precision_recall_and_f1_match_values_computed_by_hand() {
        let split = |text: &'static str| text.split(' ').collect::<Vec<_>>();
        // Actual: PER 0–2, LOC 3–4; ORG 0–1. Predicted: PER 0–2 (right), ORG 3–4 (wrong type); ORG 0–2 (wrong end).
        let sentences =
            [(split("B-PER I-PER O B-LOC"), split("B-PER I-PER O B-ORG")), (split("B-ORG O"), split("B-ORG I-ORG"))];
        let (all, by_type) = count(Scheme { has_prefixes: true }, sentences);
        assert_eq!(all, Counts { actual: 3, predicted: 3, correct: 1 });
        assert_eq!(by_type["ORG"], Counts { actual: 1, predicted: 2, correct: 0 });
        assert_eq!(by_type["LOC"], Counts { actual: 1, predicted: 0, correct: 0 });
        let scores = Counts { actual: 4, predicted: 2, correct: 1 }.scores();
        let values = [PRECISION, RECALL, F1].map(|metric| scores.get(metric).unwrap());
        assert_eq!(values, [0.5, 0.25, 1.0 / 3.0]);
        assert_eq!((scores.examples, Counts::default().scores().get(F1)), (4, Some(0.0)));
    }

    proptest! {
        #[test]
        fn spans_are_disjoint_in_order_and_cover_every_tag_but_o(
            tags in prop::collection::vec("O|[BIES]-[ab]", 0..20),
        ) {
            let found = Scheme { has_prefixes: true }.spans(tags.iter().map(String::as_str));
            prop_assert!(found.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start));
            let covered: usize = found.iter().map(|(range, _)| range.len()).sum();
            prop_assert_eq!(covered, tags.iter().filter(|tag| *tag != "O").count());
        }
    }
}
