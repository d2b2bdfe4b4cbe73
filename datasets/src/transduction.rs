//! Datasets for sequence-to-sequence models (seq2seq).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::DataError;
use crate::bleu::Overlap;
use crate::cleaning::Cleaning;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::edit_distance::edit_distance;
use crate::records::{Records, Split};
use crate::rouge::Rouge;
use crate::scores::{Evaluation, Group, Metric, Scores, metrics};
use crate::split_rule::SplitRule;
use crate::splits::Splits;

/// Data for sequence-to-sequence models.
pub static DATA: DataSpec = DataSpec {
    task: "seq2seq",
    roles: &[
        Role::required("source", Content::Text, "Column of the source texts."),
        Role::required("target", Content::Text, "Column of the target texts."),
        Role::GROUPS,
    ],
    fields: &[],
    default_format: Some("pairs"),
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every"],
    split_note: "whole pairs are assigned to splits",
};

metrics! {
    /// Edits (insertions, deletions, substitutions) that turn the predicted sequences into their references, per token of the references: the
    /// phoneme or word error rate, if tokens are phonemes or words.
    pub const TOKEN_ERROR_RATE = Lower("token-error-rate", "");

    /// BLEU of predicted texts: n-grams of one to four tokens that occur in a reference, as sacreBLEU computes it.
    pub const BLEU = Higher("bleu", "of 100");

    /// BLEU where a source with several references counts once for each of them, as a pair of its own, against this reference only: lower than
    /// `bleu`, and the figure to compare with results over single references. Reported if a source has several references.
    pub const BLEU_OF_PAIRS = Higher("bleu-of-pairs", "of 100");

    /// chrF of predicted texts: F2 of n-grams of one to six characters, as sacreBLEU computes it.
    pub const CHRF = Higher("chrf", "of 100");

    /// ROUGE-1 of predicted texts: F1 of words that occur in a reference, mean over texts.
    pub const ROUGE_1 = Higher("rouge-1", "of 100");

    /// ROUGE-2 of predicted texts: F1 of pairs of consecutive words that occur in a reference, mean over texts.
    pub const ROUGE_2 = Higher("rouge-2", "of 100");

    /// ROUGE-L of predicted texts: F1 of the longest common subsequence of words with a reference, mean over texts.
    pub const ROUGE_L = Higher("rouge-l", "of 100");
}

/// A source text and its target.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Source text.
    pub source: String,
    /// Target text.
    pub target: String,
    /// Groups for per-group metrics.
    pub groups: Arc<[Group]>,
}

/// A loaded dataset for sequence-to-sequence models.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transduction {
    /// Training split.
    pub train: Vec<Pair>,
    /// Validation split.
    pub validation: Vec<Pair>,
    /// Test split; empty if its file is missing.
    pub test: Vec<Pair>,
    /// Cleaning applied to these texts; a model needs it for new texts too.
    pub cleaning: Cleaning,
}

impl Transduction {
    /// Converts records, using the columns `source`, `target` and `groups`.
    ///
    /// # Errors
    /// If a column is missing.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let (source, target) = (splits.columns.need("source")?, splits.columns.need("target")?);
        let pairs = |records: &Records| {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let (sources, targets) = (records.texts("source", source)?, records.texts("target", target)?);
            let groups = records.groups(splits.columns.several("groups"))?;
            let pair = |row: usize| Pair {
                source: (*sources[row]).to_owned(),
                target: (*targets[row]).to_owned(),
                groups: groups[row].clone(),
            };
            Ok((0..records.len()).map(pair).collect())
        };
        let [train, validation, test] = [&splits.train, &splits.validation, &splits.test].map(pairs);
        let cleaning = splits.cleaning.clone();
        Ok(Self { train: train?, validation: validation?, test: test?, cleaning })
    }

    /// The pairs of a split.
    pub fn split(&self, split: Split) -> &[Pair] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// Evaluates baselines: the most frequent target of the training split as every prediction; for texts in a natural language, the
    /// source itself, which shares names and numbers with its translation; for words, also the first words of the source (lead), as many
    /// as targets of the training split have on average, since texts often begin with what a summary would say.
    pub fn baselines(&self, split: Split, measure: &Measure) -> Vec<(&'static str, Evaluation)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.train.iter().for_each(|pair| *counts.entry(&pair.target).or_default() += 1);
        let Some((target, _)) = counts.into_iter().max_by_key(|&(_, count)| count) else { return Vec::new() };
        let examples = examples(self.split(split));
        let evaluate = |predict: &dyn Fn(&Example) -> String| {
            let judged: Vec<Judged> =
                examples.iter().map(|example| measure.judge(&predict(example), &example.references)).collect();
            Evaluation::by_group(examples.iter().map(|example| example.groups), |indices| scores(&judged, indices))
        };
        let mut baselines = vec![("most frequent target", evaluate(&|_| target.to_owned()))];
        if measure.is_language {
            baselines.push(("source", evaluate(&|example| example.source.to_owned())));
        }
        if measure.is_words {
            let words: usize = self.train.iter().map(|pair| (measure.tokens)(&pair.target).len()).sum();
            let count = (words as f64 / self.train.len() as f64).round() as usize;
            let lead = |example: &Example| {
                let mut words = (measure.tokens)(example.source);
                words.truncate(count);
                words.join(" ")
            };
            baselines.push(("lead", evaluate(&lead)));
        }
        baselines
    }

    /// SHA-256 digest of the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        for split in [&self.train, &self.validation] {
            digest.number(split.len() as u64);
            split.iter().flat_map(|pair| [&pair.source, &pair.target]).for_each(|text| digest.text(text));
        }
        digest.finish()
    }
}

/// A source with all of its targets: any of them is a correct prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Example<'a> {
    /// Source text.
    pub source: &'a str,
    /// Its distinct targets, at least one.
    pub references: Vec<&'a str>,
    /// Groups of its first pair.
    pub groups: &'a [Group],
}

/// The distinct sources of pairs, in order.
pub fn examples(pairs: &[Pair]) -> Vec<Example<'_>> {
    let mut indices: HashMap<&str, usize> = HashMap::new();
    let mut examples: Vec<Example> = Vec::new();
    for Pair { source, target, groups } in pairs {
        let index = *indices.entry(source).or_insert(examples.len());
        match examples.get_mut(index) {
            None => examples.push(Example { source, references: vec![target], groups }),
            Some(example) if !example.references.contains(&&**target) => example.references.push(target),
            Some(_) => {}
        }
    }
    examples
}

/// How predictions are compared with references.
pub struct Measure<'a> {
    /// The tokens of a text that are counted as edits.
    pub tokens: &'a (dyn Fn(&str) -> Vec<String> + Sync),
    /// Whether the texts are in a natural language, so that BLEU and chrF apply.
    pub is_language: bool,
    /// Whether the model's tokens are words, so that ROUGE and the lead baseline apply.
    pub is_words: bool,
}

/// What the metrics need to know of a prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    is_correct: bool,
    /// Edits to the nearest reference, and its length.
    edits: usize,
    length: usize,
    overlap: Option<Overlap>,
    /// Overlap with each reference on its own, summed; `None` if there is one.
    of_pairs: Option<Overlap>,
    rouge: Option<Rouge>,
}

impl Judged {
    /// Whether the prediction equals a reference.
    pub fn is_correct(&self) -> bool {
        self.is_correct
    }

    /// Edits to the nearest reference.
    pub fn edits(&self) -> usize {
        self.edits
    }
}

impl Measure<'_> {
    /// Compares a predicted text with its references, at least one.
    pub fn judge(&self, text: &str, references: &[&str]) -> Judged {
        let tokens = (self.tokens)(text);
        let distance = |reference: &&str| {
            let reference = (self.tokens)(reference);
            (edit_distance(&tokens, &reference), reference.len())
        };
        let (edits, length) = references.iter().map(distance).min().expect("at least one reference");
        let overlap = self.is_language.then(|| Overlap::of(text, references));
        let of_pairs = (self.is_language && references.len() > 1).then(|| {
            let single = references.iter().map(|reference| Overlap::of(text, &[reference]));
            single.fold(Overlap::default(), |sum, overlap| sum.plus(&overlap))
        });
        let rouge = self.is_words.then(|| Rouge::of(text, references));
        Judged { is_correct: edits == 0, edits, length, overlap, of_pairs, rouge }
    }
}

/// Metrics of the predictions at the given indices: exact match, token error rate; BLEU and chrF of texts in a natural language; ROUGE of
/// words.
pub fn scores(judged: &[Judged], indices: &mut dyn Iterator<Item = usize>) -> Scores {
    let (mut count, mut correct, mut edits, mut length) = (0, 0, 0, 0);
    let mut overlap: Option<Overlap> = None;
    let (mut of_pairs, mut has_several) = (Overlap::default(), false);
    let mut rouge: Option<[f64; 3]> = None;
    for judged in indices.map(|index| &judged[index]) {
        count += 1;
        correct += usize::from(judged.is_correct);
        edits += judged.edits;
        length += judged.length;
        overlap = judged.overlap.map(|more| overlap.unwrap_or_default().plus(&more));
        has_several |= judged.of_pairs.is_some();
        of_pairs = judged.of_pairs.or(judged.overlap).map_or(of_pairs, |more| of_pairs.plus(&more));
        rouge = judged.rouge.map(|Rouge { one, two, l }| {
            let [sum_one, sum_two, sum_l] = rouge.unwrap_or_default();
            [sum_one + one, sum_two + two, sum_l + l]
        });
    }
    let share = |part: usize, all: usize| part as f64 / all.max(1) as f64;
    let metrics = [(Metric::ACCURACY, share(correct, count)), (TOKEN_ERROR_RATE, share(edits, length))];
    let mut scores = Scores::new(count, metrics);
    if let Some(overlap) = overlap {
        scores.insert(BLEU, overlap.bleu());
        if has_several {
            scores.insert(BLEU_OF_PAIRS, of_pairs.bleu());
        }
        scores.insert(CHRF, overlap.chrf());
    }
    for (metric, sum) in [ROUGE_1, ROUGE_2, ROUGE_L].into_iter().zip(rouge.into_iter().flatten()) {
        scores.insert(metric, 100.0 * sum / count as f64);
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::group;

    #[test]
    fn exact_match_accuracy_is_computed_per_group() {
        let pair = |digits: &str, nesting: &str, target: &str| Pair {
            source: format!("{digits} {nesting} {target}"),
            target: target.to_owned(),
            groups: Arc::new([group("digits", digits), group("nesting", nesting)]),
        };
        let test = [("1", "0", "7"), ("1", "1", "-3"), ("2", "0", "7"), ("2", "1", "7"), ("2", "1", "70")];
        let data = Transduction {
            train: ["7", "12", "7", "-3"].map(|target| pair("1", "0", target)).to_vec(),
            test: test.map(|(digits, nesting, target)| pair(digits, nesting, target)).to_vec(),
            ..Transduction::default()
        };
        let tokens = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let measure = Measure { tokens: &tokens, is_language: false, is_words: false };
        let (name, found) = data.baselines(Split::Test, &measure).remove(0);
        let accuracy = |scores: &Scores| (scores.examples, scores.get(Metric::ACCURACY).unwrap());
        assert_eq!((name, accuracy(&found.all)), ("most frequent target", (5, 0.6)));
        let of_groups: Vec<_> =
            found.groups.iter().map(|((kind, value), scores)| (&**kind, value.as_str(), accuracy(scores))).collect();
        let third = 1.0 / 3.0;
        let by_hand = [
            ("digits", "1", (2, 0.5)),
            ("digits", "2", (3, 2.0 * third)),
            ("nesting", "0", (2, 1.0)),
            ("nesting", "1", (3, third)),
        ];
        assert_eq!(of_groups, by_hand);
        assert!(Transduction::default().baselines(Split::Test, &measure).is_empty());
        let measure = Measure { is_language: true, ..measure };
        let names: Vec<&str> = data.baselines(Split::Test, &measure).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["most frequent target", "source"]);
    }

    #[test]
    fn words_have_rouge_and_the_lead_as_a_baseline() {
        let pair = |source: &str, target: &str| Pair {
            source: source.to_owned(),
            target: target.to_owned(),
            groups: Arc::default(),
        };
        // Targets of the training split have (2 + 3) / 2 = 2.5 words on average: three.
        let train = vec![pair("x", "a b"), pair("y", "a b c")];
        let test = vec![pair("storm hits port again", "storm hits harbor"), pair("rain", "rain")];
        let data = Transduction { train, test, ..Transduction::default() };
        let tokens = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let measure = Measure { tokens: &tokens, is_language: true, is_words: true };
        let (name, found) = data.baselines(Split::Test, &measure).remove(2);
        let rouge = [ROUGE_1, ROUGE_2, ROUGE_L].map(|metric| found.all.get(metric).unwrap());
        // `storm hits port`: two of three words, one of two pairs; `rain`: all, no pair.
        let expected = [100.0 * (2.0 / 3.0 + 1.0) / 2.0, 25.0, 100.0 * (2.0 / 3.0 + 1.0) / 2.0];
        assert_eq!(name, "lead");
        assert!(rouge.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9), "{rouge:?}");
        let other = Measure { is_words: false, ..measure };
        assert_eq!(data.baselines(Split::Test, &other).remove(1).1.all.get(ROUGE_L), None);
    }

    #[test]
    fn any_target_of_a_source_is_a_correct_prediction() {
        let pair = |source: &str, target: &str| Pair {
            source: source.to_owned(),
            target: target.to_owned(),
            groups: Arc::default(),
        };
        let pairs = [pair("read", "R EH D"), pair("cat", "K AE T"), pair("read", "R IY D"), pair("cat", "K AE T")];
        let examples = examples(&pairs);
        let references: Vec<(&str, &[&str])> =
            examples.iter().map(|example| (example.source, &*example.references)).collect();
        assert_eq!(references, [("read", &["R EH D", "R IY D"][..]), ("cat", &["K AE T"])]);
        let tokens = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let measure = Measure { tokens: &tokens, is_language: false, is_words: false };
        let judged: Vec<Judged> = ["R IY D", "K AA T S"]
            .iter()
            .zip(&examples)
            .map(|(text, example)| measure.judge(text, &example.references))
            .collect();
        let all = scores(&judged, &mut (0..2));
        // Two edits of six tokens.
        assert_eq!(
            (all.examples, all.get(Metric::ACCURACY), all.get(TOKEN_ERROR_RATE)),
            (2, Some(0.5), Some(1.0 / 3.0))
        );
        assert_eq!(all.get(BLEU), None);
        let measure = Measure { is_language: true, ..measure };
        let judged = [measure.judge("the cat sat on the mat", &["the cat sat on a mat", "a cat sat on the mat"])];
        let all = scores(&judged, &mut (0..1));
        assert!((all.get(BLEU).unwrap() - 95.544).abs() < 1e-3 && (all.get(CHRF).unwrap() - 88.957).abs() < 1e-3);
        // sacreBLEU, of the prediction twice, with one reference each.
        assert!((all.get(BLEU_OF_PAIRS).unwrap() - 65.3419).abs() < 1e-3);
        let one = [measure.judge("the cat sat on the mat", &["a cat sat on the mat"])];
        assert_eq!(scores(&one, &mut (0..1)).get(BLEU_OF_PAIRS), None);
    }

    #[test]
    fn the_digest_covers_everything_but_the_test_split() {
        let pair = |source: &str, target: &str| Pair {
            source: source.to_owned(),
            target: target.to_owned(),
            groups: Arc::default(),
        };
        let split = |pairs: &[&Pair]| pairs.iter().map(|&pair| pair.clone()).collect();
        let digest = |train: &[&Pair], validation: &[&Pair], test: &[&Pair]| {
            Transduction {
                train: split(train),
                validation: split(validation),
                test: split(test),
                ..Transduction::default()
            }
            .digest()
        };
        let [a, b, c] = &[pair("1+1", "2"), pair("1+", "12"), pair("1+1", "3")];
        let one = digest(&[a], &[b], &[]);
        assert_eq!(one, digest(&[a], &[b], &[c]));
        for other in
            [digest(&[a, b], &[], &[]), digest(&[b], &[b], &[]), digest(&[c], &[b], &[]), digest(&[b], &[a], &[])]
        {
            assert_ne!(one, other);
        }
    }
}
