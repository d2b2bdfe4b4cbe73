//! Datasets of sequences with a target at some of their steps, such as the problems of memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::DataError;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::problems::{CHANNELS, Example, Inputs, Parameters, TOLERANCE, Targets};
use crate::records::{LeftOut, Records, Split};
use crate::scores::{Evaluation, Group, Metric, Scores};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::tagging::EXACT_MATCH;
use crate::uncertainty::Resampling;

/// Data for models that predict a target at some steps of a sequence.
pub static DATA: DataSpec = DataSpec {
    task: "memory",
    roles: &[
        Role::required("inputs", Content::Tags, "Column of the input symbols of a sequence, one per step."),
        Role::required(
            "targets",
            Content::Tags,
            "Column of the output symbols that are predicted after each step, as many as inputs; `-` where nothing is predicted.",
        ),
        Role::GROUPS,
    ],
    fields: &[],
    default_format: None,
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every", "column"],
    split_note: "whole sequences are assigned to splits",
};

/// The target of a step at which nothing is predicted.
pub const NO_TARGET: &str = "-";

/// A sequence and its groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// Inputs and targets.
    pub example: Example,
    /// Groups for per-group metrics.
    pub groups: Arc<[Group]>,
}

/// A loaded dataset of sequences.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// Names of the input symbols; none if the inputs are numbers.
    pub inputs: Vec<String>,
    /// Names of the output symbols; none if the targets are numbers.
    pub outputs: Vec<String>,
    /// Training split.
    pub train: Vec<Sequence>,
    /// Validation split.
    pub validation: Vec<Sequence>,
    /// Test split; empty if there is none.
    pub test: Vec<Sequence>,
    /// The problem from which further training examples can be drawn; `None` if there is none.
    pub problem: Option<Parameters>,
    /// Sequences without a target, which are left out.
    pub without_target: LeftOut,
}

impl Memory {
    /// Converts records, using the columns `inputs`, `targets` and `groups`.
    ///
    /// # Errors
    /// If a column is missing, a row does not have as many targets as inputs, or a symbol of a test split with files of its own occurs in no other
    /// split.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let names = |role: &'static str| -> Result<Vec<String>, DataError> {
            let mut names = BTreeSet::new();
            for records in splits.labeled() {
                names.extend(records.lists(role, splits.columns.need(role)?)?.iter().flatten().cloned());
            }
            Ok(names.into_iter().filter(|name| role == "inputs" || name != NO_TARGET).collect())
        };
        let (inputs, outputs) = match &splits.problem {
            Some(Parameters { problem, difficulty, .. }) => (problem.inputs(*difficulty), problem.outputs(*difficulty)),
            None => (names("inputs")?, names("targets")?),
        };
        let parser = Parser { inputs: indices(&inputs), outputs: indices(&outputs) };
        let [train, validation, test] =
            [&splits.train, &splits.validation, &splits.test].map(|records| parser.sequences(records, splits));
        let mut data = Self {
            train: train?,
            validation: validation?,
            test: test?,
            problem: splits.problem.clone(),
            without_target: LeftOut::default(),
            inputs,
            outputs,
        };
        let has_target = |sequence: &Sequence| !sequence.example.target_steps().is_empty();
        for (sequences, split) in [&mut data.train, &mut data.validation, &mut data.test].into_iter().zip(Split::ALL) {
            let left_out = (0..sequences.len()).filter(|&row| !has_target(&sequences[row]));
            left_out.for_each(|row| data.without_target.add(splits.split(split), row));
            sequences.retain(has_target);
        }
        Ok(data)
    }

    /// The sequences of a split.
    pub fn split(&self, split: Split) -> &[Sequence] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// SHA-256 digest of the symbols and the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        for names in [&self.inputs, &self.outputs] {
            digest.number(names.len() as u64);
            names.iter().for_each(|name| digest.text(name));
        }
        for split in [&self.train, &self.validation] {
            digest.number(split.len() as u64);
            split.iter().for_each(|sequence| digest_of(&sequence.example, &mut digest));
        }
        digest.finish()
    }

    /// Evaluates the baselines on a split: a constant prediction, and chance.
    ///
    /// The constant is the most frequent symbol of the training targets, or the mean of their numbers. By chance, each of k symbols is
    /// predicted with probability 1 / k; its metrics are expected values.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let sequences = self.split(split);
        let evaluate = |predicted: &dyn Fn(&Targets) -> Predicted| {
            let found = sequences.iter().map(|sequence| predicted(&sequence.example.targets)).collect();
            evaluation(found, sequences)
        };
        if self.outputs.is_empty() {
            let mean = self.mean_target();
            return vec![("mean target", evaluate(&|targets| Predicted::of_numbers(targets, std::iter::repeat(mean))))];
        }
        let probabilities = self.target_frequencies();
        let most = (0..probabilities.len()).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap_or(0);
        let frequent = |targets: &Targets| {
            let mut found = Predicted::default();
            symbols(targets).for_each(|target| found.add(target == most, -probabilities[target].ln()));
            found.finish()
        };
        let count = self.outputs.len() as f64;
        let chance = |targets: &Targets| {
            let targets = symbols(targets).count();
            let (right, exact) = (targets as f64 / count, count.powi(-(targets as i32)));
            Predicted { targets, right, exact, loss: targets as f64 * count.ln() }
        };
        vec![("most frequent target", evaluate(&frequent)), ("chance", evaluate(&chance))]
    }

    /// Frequency of each output symbol among the training targets, plus one occurrence of each.
    fn target_frequencies(&self) -> Vec<f64> {
        let mut counts = vec![1.0; self.outputs.len()];
        let targets = self.train.iter().flat_map(|sequence| symbols(&sequence.example.targets));
        targets.for_each(|target| counts[target] += 1.0);
        let total: f64 = counts.iter().sum();
        counts.iter().map(|count| count / total).collect()
    }

    /// Mean of the numbers to predict in the training split.
    fn mean_target(&self) -> f32 {
        let targets: Vec<f32> = self.train.iter().flat_map(|sequence| numbers(&sequence.example.targets)).collect();
        targets.iter().sum::<f32>() / targets.len().max(1) as f32
    }
}

/// The symbols to predict.
fn symbols(targets: &Targets) -> impl Iterator<Item = usize> {
    let all = if let Targets::Symbols(all) = targets { &all[..] } else { &[] };
    all.iter().flatten().map(|&symbol| symbol as usize)
}

/// The numbers to predict.
fn numbers(targets: &Targets) -> impl Iterator<Item = f32> {
    let all = if let Targets::Numbers(all) = targets { &all[..] } else { &[] };
    all.iter().flatten().copied()
}

fn indices(names: &[String]) -> HashMap<&str, u32> {
    names.iter().map(String::as_str).zip(0..).collect()
}

/// Parses the columns of sequences; symbols by name, none if the values are numbers.
struct Parser<'a> {
    inputs: HashMap<&'a str, u32>,
    outputs: HashMap<&'a str, u32>,
}

impl Parser<'_> {
    fn sequences(&self, records: &Records, splits: &Splits) -> Result<Vec<Sequence>, DataError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let inputs = records.lists("inputs", splits.columns.need("inputs")?)?;
        let targets = records.lists("targets", splits.columns.need("targets")?)?;
        let groups = records.groups(splits.columns.several("groups"))?;
        let sequence = |row: usize| {
            let (inputs, targets) = (&inputs[row], &targets[row]);
            if inputs.len() != targets.len() {
                let detail = format!(
                    "{} inputs, but {} targets; every step needs one, {NO_TARGET} where nothing is predicted",
                    inputs.len(),
                    targets.len()
                );
                return Err(records.error(row, detail));
            }
            let example = Example {
                inputs: self.inputs(inputs).map_err(|(step, detail)| records.item_error(row, step, detail))?,
                targets: self.targets(targets).map_err(|(step, detail)| records.item_error(row, step, detail))?,
            };
            Ok(Sequence { example, groups: groups[row].clone() })
        };
        (0..records.len()).map(sequence).collect()
    }

    /// The error has the step.
    fn inputs(&self, texts: &[String]) -> Result<Inputs, (usize, String)> {
        let each = || texts.iter().enumerate();
        if self.inputs.is_empty() {
            let parse = |(step, text): (usize, &String)| numbers_of(text).ok_or_else(|| (step, not_numbers(text)));
            return Ok(Inputs::Numbers(each().map(parse).collect::<Result<_, _>>()?));
        }
        let symbol = |(step, text): (usize, &String)| index(&self.inputs, text).map_err(|detail| (step, detail));
        Ok(Inputs::Symbols(each().map(symbol).collect::<Result<_, _>>()?))
    }

    /// The error has the step.
    fn targets(&self, texts: &[String]) -> Result<Targets, (usize, String)> {
        let each = || texts.iter().map(|text| Some(text.as_str()).filter(|text| *text != NO_TARGET)).enumerate();
        if self.outputs.is_empty() {
            let parse = |(step, text): (usize, Option<&str>)| match text.map(str::parse::<f32>).transpose() {
                Ok(number) => Ok(number),
                Err(_) => Err((step, format!("target {:?}: expected a number", text.unwrap_or_default()))),
            };
            return Ok(Targets::Numbers(each().map(parse).collect::<Result<_, _>>()?));
        }
        let symbol = |(step, text): (usize, Option<&str>)| {
            text.map(|text| index(&self.outputs, text).map_err(|detail| (step, detail))).transpose()
        };
        Ok(Targets::Symbols(each().map(symbol).collect::<Result<_, _>>()?))
    }
}

fn index(known: &HashMap<&str, u32>, text: &str) -> Result<u32, String> {
    known
        .get(text)
        .copied()
        .ok_or_else(|| format!("symbol {text:?} does not occur in the training and validation splits"))
}

/// Numbers separated by commas.
fn numbers_of(text: &str) -> Option<[f32; CHANNELS]> {
    let numbers: Vec<f32> = text.split(',').map(str::parse::<f32>).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

fn not_numbers(text: &str) -> String {
    format!("input {text:?}: expected {CHANNELS} numbers separated by a comma, such as 0.5,1")
}

/// Parses the inputs of a sequence, separated by whitespace; `names` are those of the input symbols, none if the inputs are numbers.
///
/// # Errors
/// If an input is neither.
pub fn parse_inputs(text: &str, names: &[String]) -> Result<Inputs, String> {
    let texts: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let parser = Parser { inputs: indices(names), outputs: HashMap::new() };
    parser.inputs(&texts).map_err(|(step, detail)| match names.is_empty() {
        true => detail,
        false => format!("no input symbol {:?}; the symbols are {}", texts[step], names.join(" ")),
    })
}

fn digest_of(example: &Example, digest: &mut Digest) {
    digest.number(example.steps() as u64);
    match &example.inputs {
        Inputs::Symbols(all) => all.iter().for_each(|&symbol| digest.number(symbol.into())),
        Inputs::Numbers(all) => all.iter().flatten().for_each(|number| digest.number(number.to_bits().into())),
    }
    // 0 where there is no target.
    match &example.targets {
        Targets::Symbols(all) => all.iter().for_each(|target| digest.number(target.map_or(0, |it| u64::from(it) + 1))),
        Targets::Numbers(all) => {
            all.iter().for_each(|target| digest.number(target.map_or(0, |it| u64::from(it.to_bits()) + 1)));
        }
    }
}

/// The predictions of the targets of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Predicted {
    /// Number of targets.
    pub targets: usize,
    /// Number of right predictions; an expected value for chance.
    pub right: f64,
    /// 1 if all predictions are right; an expected value for chance.
    pub exact: f64,
    /// Sum of the losses.
    pub loss: f64,
}

impl Predicted {
    /// Adds the prediction of a target.
    pub fn add(&mut self, is_right: bool, loss: f64) {
        self.targets += 1;
        self.right += f64::from(u8::from(is_right));
        self.loss += loss;
    }

    /// Completes the predictions of a sequence.
    pub fn finish(mut self) -> Self {
        self.exact = f64::from(u8::from(self.right == self.targets as f64));
        self
    }

    /// Predictions of symbols, from their log probabilities at each target step.
    pub fn of_symbols<'a>(targets: &Targets, log_probabilities: impl Iterator<Item = &'a [f32]>) -> Self {
        let mut found = Self::default();
        for (target, row) in symbols(targets).zip(log_probabilities) {
            let is_right = row.iter().all(|&other| other <= row[target]);
            found.add(is_right, -f64::from(row[target]));
        }
        found.finish()
    }

    /// Predictions of numbers at each target step. A prediction is right if its error is less than [`TOLERANCE`]; the loss is the squared
    /// error.
    pub fn of_numbers(targets: &Targets, predicted: impl Iterator<Item = f32>) -> Self {
        let mut found = Self::default();
        for (target, predicted) in numbers(targets).zip(predicted) {
            let error = predicted - target;
            found.add(error.abs() < TOLERANCE, f64::from(error * error));
        }
        found.finish()
    }
}

/// Metrics of predicted sequences, together and per group.
///
/// # Panics
/// If there are not as many predictions as sequences.
pub fn evaluation(found: Vec<Predicted>, sequences: &[Sequence]) -> Evaluation {
    assert_eq!(found.len(), sequences.len(), "predictions of every sequence");
    let groups = sequences.iter().map(|sequence| &*sequence.groups);
    let evaluation = Evaluation::by_group(groups, |indices| scores(indices.map(|index| found[index])));
    evaluation.with_resampling(Resampling::of_examples(found.len(), move |indices: &mut dyn Iterator<Item = usize>| {
        scores(indices.map(|index| found[index])).named()
    }))
}

/// Metrics of predicted sequences: the share of right targets, the share of sequences with only right ones, and the mean loss of a target.
pub fn scores(found: impl Iterator<Item = Predicted>) -> Scores {
    let (mut sequences, mut all) = (0u32, Predicted::default());
    for one in found {
        sequences += 1;
        all.targets += one.targets;
        all.right += one.right;
        all.exact += one.exact;
        all.loss += one.loss;
    }
    let per_target = |sum: f64| sum / all.targets.max(1) as f64;
    let metrics = [
        (Metric::ACCURACY, per_target(all.right)),
        (EXACT_MATCH, all.exact / f64::from(sequences.max(1))),
        (Metric::LOSS, per_target(all.loss)),
    ];
    Scores::new(sequences as usize, metrics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;
    use crate::records::Column;
    use crate::scores::group;

    fn records(rows: &[(&str, &str)]) -> Records {
        let lists = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        Records::new([
            ("inputs", Column::Lists(rows.iter().map(|(inputs, _)| lists(inputs)).collect())),
            ("targets", Column::Lists(rows.iter().map(|(_, targets)| lists(targets)).collect())),
        ])
    }

    fn splits(train: &[(&str, &str)], test: &[(&str, &str)]) -> Splits {
        let columns = Columns::default().with("inputs", "inputs").with("targets", "targets");
        let [train, validation, test] = [train, train, test].map(records);
        Splits { train, validation, test, columns, ..Splits::default() }
    }

    #[test]
    fn sequences_of_the_user_have_the_symbols_of_the_training_data() {
        let data = Memory::from_records(&splits(&[("b a", "- y"), ("a", "x"), ("a a", "- -")], &[("b", "y")])).unwrap();
        assert_eq!((data.inputs.concat(), data.outputs.concat()), ("ab".to_owned(), "xy".to_owned()));
        assert_eq!(data.train[0].example.inputs, Inputs::Symbols(vec![1, 0]));
        assert_eq!(data.train[0].example.targets, Targets::Symbols(vec![None, Some(1)]));
        assert_eq!((data.train.len(), data.without_target.count), (2, 2));
        for (row, part) in
            [(("b a", "y"), "2 inputs, but 1 targets"), (("c", "y"), "symbol \"c\""), (("b", "z"), "symbol \"z\"")]
        {
            let error = Memory::from_records(&splits(&[("b a", "- y")], &[row])).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn inputs_of_symbols_and_numbers_are_parsed() {
        let names = ["0", "1", "?"].map(str::to_owned);
        assert_eq!(parse_inputs("1 0 ?", &names), Ok(Inputs::Symbols(vec![1, 0, 2])));
        assert!(parse_inputs("1 2", &names).unwrap_err().contains("\"2\"; the symbols are 0 1 ?"));
        assert_eq!(parse_inputs("0.5,1 0.25,0", &[]), Ok(Inputs::Numbers(vec![[0.5, 1.0], [0.25, 0.0]])));
        assert!(parse_inputs("0.5", &[]).unwrap_err().contains("2 numbers"));
    }

    #[test]
    fn metrics_are_means_over_targets_and_over_sequences() {
        let right =
            |right: f64, targets: usize| Predicted { targets, right, loss: 1.0, ..Predicted::default() }.finish();
        let sequence = |length: &str| Sequence {
            example: Example { inputs: Inputs::Symbols(vec![0]), targets: Targets::Symbols(vec![Some(0)]) },
            groups: [group("length", length)].into(),
        };
        let found = evaluation(vec![right(3.0, 4), right(2.0, 2)], &[sequence("4"), sequence("2")]);
        let of =
            |scores: &Scores| [Metric::ACCURACY, EXACT_MATCH, Metric::LOSS].map(|metric| scores.get(metric).unwrap());
        assert_eq!(of(&found.all), [5.0 / 6.0, 0.5, 2.0 / 6.0]);
        let by_length: Vec<_> =
            found.groups.iter().map(|((_, value), scores)| (value.as_str(), of(scores)[0])).collect();
        assert_eq!(by_length, [("2", 1.0), ("4", 0.75)]);
    }

    #[test]
    fn baselines_match_hand_computed_metrics() {
        let data = Memory::from_records(&splits(&[("a a", "x x"), ("a", "y")], &[("a a", "x y"), ("a", "x")])).unwrap();
        let found = data.baselines(Split::Test);
        let of = |index: usize, metric| found[index].1.all.get(metric).unwrap();
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["most frequent target", "chance"]);
        assert_eq!((of(0, Metric::ACCURACY), of(0, EXACT_MATCH)), (2.0 / 3.0, 0.5));
        assert_eq!((of(1, Metric::ACCURACY), of(1, EXACT_MATCH)), (0.5, 0.375));
        // Each symbol is counted once more than it occurs: x has 3 / 5.
        let expected = -(2.0 * 0.6f64.ln() + 0.4f64.ln()) / 3.0;
        assert!((of(0, Metric::LOSS) - expected).abs() < 1e-12);
        assert!((of(1, Metric::LOSS) - 2f64.ln()).abs() < 1e-12);
    }
}
