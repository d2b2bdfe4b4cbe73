//! Recommendations and metrics of trained recommenders.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use burn::tensor::Device;
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::interactions::{Case, HIT_RATE, Interactions, Outcome};
use seqzoo_datasets::scores::Evaluation;
use seqzoo_datasets::text::Counts;
use seqzoo_datasets::uncertainty::Resampling;
use seqzoo_models::networks::Recommender;
use seqzoo_models::parameters::Array;
use serde_json::json;

use super::{Codec, Settings, select};
use crate::{
    Examples, MAX_BATCH_TOKENS, Output, PredictError, Predictor, TextOptions, TrainedModel, batches, examples_as,
    pad_rows,
};

/// Maximum number of scores of a batch: 16 MB.
const MAX_SCORES: usize = 1 << 22;

/// Maximum number of histories per batch in evaluation and prediction.
const BATCH: usize = 128;

/// Number of recommended items of [`Predictor::predict`].
const TOP: usize = 10;

/// A trained recommender with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::interactions::{History, Interactions};
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::recommendation::{ItemRecommender, TASK};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let names = ["tea", "milk", "cup", "spoon"].map(str::to_owned).to_vec();
/// let users = vec![History { items: vec![1, 2, 3, 4], train_end: 4, validation_end: 4 }];
/// let data = Interactions { items: 4, names, users, ..Interactions::default() };
/// let spec = ModelSpec::new("gru-8", &TASK, Default::default())?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = ItemRecommender::open(&spec, &training.files(), &weights, &device)?;
/// let recommended = &model.recommend(&[vec!["tea", "cup"]], 2, true)?[0];
/// assert!(recommended.iter().all(|(item, _)| ["milk", "spoon"].contains(item)));
/// # Ok(()) }
/// ```
pub type ItemRecommender = TrainedModel<Codec>;

/// The names of the items in a text: separated by commas, or by whitespace if there is no comma. As in CSV, a name in double quotes may
/// contain commas, and `""` in it is a quote.
///
/// ```
/// use seqzoo_tasks::recommendation::history;
///
/// assert_eq!(history("green tea, milk"), ["green tea", "milk"]);
/// assert_eq!(history("tea milk"), ["tea", "milk"]);
/// assert_eq!(history(r#""Oh, Mercy", milk"#), ["Oh, Mercy", "milk"]);
/// assert!(history(" , ").is_empty());
/// ```
pub fn history(text: &str) -> Vec<String> {
    let by_commas = text.contains(',');
    let is_separator = |c: char| if by_commas { c == ',' } else { c.is_whitespace() };
    let (mut names, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let is_ended = |after: &str| after.is_empty() || after.starts_with(is_separator);
        let quoted = quoted(rest).filter(|&(_, after)| is_ended(after) || is_ended(after.trim_start()));
        let (name, after) = quoted.unwrap_or_else(|| {
            let (name, after) = rest.split_at(rest.find(is_separator).unwrap_or(rest.len()));
            (name.trim().to_owned(), after)
        });
        names.push(name);
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || is_separator(c));
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The name in double quotes at the start of a text, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('"')?;
    let (mut name, mut characters) = (String::new(), body.chars());
    while let Some(character) = characters.next() {
        if character == '"' {
            let after = characters.as_str();
            let Some(rest) = after.strip_prefix('"') else { return Some((name, after)) };
            characters = rest.chars();
        }
        name.push(character);
    }
    None
}

/// Recommended items with their scores, as one line: names as [`history`] reads them.
pub fn line(items: &[(&str, f32)]) -> String {
    let name = |name: &str| match name.contains(',') || name.starts_with('"') {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    };
    items.iter().map(|(item, score)| format!("{} {score:.4}", name(item))).collect::<Vec<_>>().join(", ")
}

impl ItemRecommender {
    /// Names of the items that can be recommended.
    pub fn items(&self) -> &[String] {
        &self.codec.items
    }

    /// The number of names that are not items of the model.
    pub fn unknown(&self, names: &[&str]) -> usize {
        let ids = self.ids();
        names.iter().filter(|name| !ids.contains_key(*name)).count()
    }

    /// The id of each item, by name.
    fn ids(&self) -> HashMap<&str, u32> {
        self.items().iter().map(String::as_str).zip(1..).collect()
    }

    /// The `count` items with the highest scores after each history, which names items in order of time, and their scores: probabilities if
    /// the model was trained with (sampled) softmax. With `exclude_history`, items of the history are not recommended.
    ///
    /// Unknown items of a history are skipped; after a history without a known item, nothing is recommended. A history has the same results
    /// alone and among others.
    ///
    /// # Errors
    /// If a history is empty.
    pub fn recommend(
        &self,
        histories: &[Vec<&str>],
        count: usize,
        exclude_history: bool,
    ) -> Result<Vec<Vec<(&str, f32)>>, PredictError> {
        if let Some(index) = histories.iter().position(Vec::is_empty) {
            return Err(PredictError::Empty { index });
        }
        let settings: Settings = self.spec.settings();
        let ids = self.ids();
        let encode = |names: &Vec<&str>| names.iter().filter_map(|name| ids.get(name).copied()).collect();
        let encoded: Vec<Vec<u32>> = histories.iter().map(encode).collect();
        let known: Vec<usize> = (0..encoded.len()).filter(|&index| !encoded[index].is_empty()).collect();
        let rows: Vec<&[u32]> = known.iter().map(|&index| encoded[index].as_slice()).collect();
        let best = |row: usize, scores: &[f32]| {
            let excluded: HashSet<u32> =
                if exclude_history { rows[row].iter().copied().collect() } else { HashSet::new() };
            top(scores, count, settings.loss.has_probabilities(), |item| !excluded.contains(&item))
        };
        let found = each(&self.network, &settings, &rows, &self.device, best, &|| false).expect("never stopped");
        let mut all = vec![Vec::new(); histories.len()];
        for (index, items) in known.into_iter().zip(found) {
            all[index] =
                items.into_iter().map(|(item, score)| (self.items()[item as usize - 1].as_str(), score)).collect();
        }
        Ok(all)
    }
}

/// The `count` items with the highest scores, the first of equal ones first, with their probabilities or scores.
fn top(scores: &[f32], count: usize, has_probabilities: bool, is_candidate: impl Fn(u32) -> bool) -> Vec<(u32, f32)> {
    let mut items: Vec<u32> = (1..=scores.len() as u32).filter(|&item| is_candidate(item)).collect();
    let score = |item: u32| scores[item as usize - 1];
    let order = |a: &u32, b: &u32| -> Ordering { score(*b).total_cmp(&score(*a)).then(a.cmp(b)) };
    if count < items.len() {
        items.select_nth_unstable_by(count, order);
        items.truncate(count);
    }
    items.sort_unstable_by(order);
    let constant = if has_probabilities { log_sum(scores) } else { 0.0 };
    let value = |item: u32| match has_probabilities {
        true => (f64::from(score(item)) - constant).exp() as f32,
        false => score(item),
    };
    items.into_iter().map(|item| (item, value(item))).collect()
}

/// Logarithm of the sum of the exponentials of scores.
fn log_sum(scores: &[f32]) -> f64 {
    let most = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    most + scores.iter().map(|&score| (f64::from(score) - most).exp()).sum::<f64>().ln()
}

impl Predictor for ItemRecommender {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let data = examples_as::<Interactions>(examples)?.with_items(self.items());
        let cases = data.cases(split);
        let found = outcomes(&self.network, &self.spec.settings(), &data, &cases, &self.device, &|| false);
        let found = found.expect("never stopped");
        let mut evaluation = Interactions::evaluation(&cases, &found);
        evaluation.right = Some((HIT_RATE, found.iter().map(Outcome::is_hit).collect()));
        let count = found.len();
        Ok(evaluation
            .with_resampling(Resampling::of_examples(count, move |indices: &mut dyn Iterator<Item = usize>| {
                Outcome::scores(indices.map(|index| &found[index])).named()
            })))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples_as::<Interactions>(examples)?.with_items(self.items()).baselines(split))
    }

    /// Each text is a [`history`]; its items are not recommended again.
    fn predict(&self, texts: &[&str], _: TextOptions) -> Result<Vec<Output>, PredictError> {
        let texts: Vec<Vec<String>> = texts.iter().map(|text| history(text)).collect();
        let histories: Vec<Vec<&str>> = texts.iter().map(|names| names.iter().map(String::as_str).collect()).collect();
        let found = self.recommend(&histories, TOP, true)?;
        let ids = self.ids();
        let of_history = |(names, items): (&Vec<&str>, Vec<(&str, f32)>)| {
            let unknown = names.iter().filter(|name| !ids.contains_key(*name)).count();
            let counts = Counts { texts: 1, truncated: 0, tokens: names.len(), unknown };
            Output { counts, ..output(&items) }
        };
        Ok(histories.iter().zip(found).map(of_history).collect())
    }

    fn empty_output(&self) -> Output {
        output(&[])
    }
}

fn output(items: &[(&str, f32)]) -> Output {
    let (names, scores): (Vec<&str>, Vec<f32>) = items.iter().copied().unzip();
    Output::new(line(items), [("items", json!(names)), ("scores", json!(scores))])
}

/// The ranks and losses of cases, in order; `None` if stopped. The loss is that of training; the sampled ones use the items of the metrics.
pub(super) fn outcomes(
    network: &Recommender,
    settings: &Settings,
    data: &Interactions,
    cases: &[Case],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Outcome>> {
    let known =
        |case: &Case| -> Vec<u32> { case.history.iter().copied().filter(|&item| data.is_known(item)).collect() };
    let histories: Vec<Vec<u32>> = cases.iter().map(known).collect();
    let rows: Vec<&[u32]> = histories.iter().map(Vec::as_slice).collect();
    let outcome = |index: usize, scores: &[f32]| {
        let case = &cases[index];
        let negatives = data.negatives(case.user);
        let outcome = data.outcome(case, scores, &negatives);
        let score = |item: u32| scores[item as usize - 1];
        let loss = || match settings.loss.sampled() {
            None => log_sum(scores) - f64::from(score(case.target)),
            Some(loss) => loss.of_scores(score(case.target), negatives.iter().map(|&item| score(item))),
        };
        Outcome { loss: outcome.rank.map(|_| loss()), ..outcome }
    };
    each(network, settings, &rows, device, outcome, stop)
}

/// The results of a function of the scores of all items after each history, in order; `None` if stopped. A history without items is one of
/// an unknown item.
fn each<R: Clone + Send>(
    network: &Recommender,
    settings: &Settings,
    histories: &[&[u32]],
    device: &Device,
    function: impl Fn(usize, &[f32]) -> R + Sync,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<R>> {
    let recent = |items: &&[u32]| match items.is_empty() {
        true => vec![0],
        false => items[items.len().saturating_sub(settings.max_history)..].to_vec(),
    };
    let rows: Vec<Vec<u32>> = histories.iter().map(recent).collect();
    let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
    let limits = BatchLimits { rows: (MAX_SCORES / network.items()).clamp(1, BATCH), tokens: MAX_BATCH_TOKENS };
    let batches = batch::sorted(&lengths, &lengths, limits);
    let compute = |network: &Recommender, batch: &[usize]| -> Vec<R> {
        let (items, lengths) = pad_rows(batch.iter().map(|&index| rows[index].as_slice()), device);
        let states = network.states(items, &lengths, None);
        let time = states.dims()[1];
        let last: Vec<usize> = lengths.iter().enumerate().map(|(row, length)| row * time + length - 1).collect();
        let scores = Array::of(network.scores(select(states, &last))).values;
        let of_row = |(&index, scores): (&usize, &[f32])| function(index, scores);
        batch.iter().zip(scores.chunks_exact(network.items())).map(of_row).collect()
    };
    let found = batches::each(network, &batches, device, compute, stop)?;
    let mut results: Vec<(usize, R)> = batches.concat().into_iter().zip(found.concat()).collect();
    results.sort_unstable_by_key(|(index, _)| *index);
    Some(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::super::RecommendationTraining;
    use super::*;
    use crate::{StepKeys, TrainingTask as _, test_spec};
    use burn::module::Module;
    use seqzoo_datasets::interactions::{History, NDCG, SAMPLED_NDCG};
    use seqzoo_datasets::scores::Metric;
    use seqzoo_kernels::devices;
    use seqzoo_models::parameters::{DynNetwork, read};

    const ITEMS: u32 = 30;

    /// Item i + 1 follows item i, in a circle; the histories have different starts and lengths.
    fn circle() -> Interactions {
        let user = |start: u32| {
            let length = 5 + start % 5;
            let items: Vec<u32> = (start..start + length + 2).map(|item| item % ITEMS + 1).collect();
            History { items, train_end: length as usize, validation_end: length as usize + 1 }
        };
        let names = (1..=ITEMS).map(|item| format!("item {item}")).collect();
        Interactions { names, items: ITEMS as usize, users: (0..ITEMS).map(user).collect(), notes: Vec::new() }
    }

    fn training(settings: &str) -> RecommendationTraining {
        RecommendationTraining::new(&test_spec("recommendation", settings, "gru-16"), &circle()).unwrap()
    }

    #[test]
    fn an_order_of_items_is_learned_with_every_loss() {
        let (_, device) = devices().remove(0);
        for loss in ["cross-entropy", "sampled-softmax", "bpr", "top1"] {
            let task = training(&format!("loss = {loss:?}\nnegatives = 30\nembedding_size = 16"));
            let device = device.clone().autodiff();
            let mut network = task.network(&device);
            for step in 0..400u64 {
                let rate = 0.02 * (1.0 - step as f64 / 400.0);
                for batch in task.batches(step) {
                    let loss = task.loss(&network, &batch, None, StepKeys::new(0, step, step), &device).loss;
                    let gradients = DynNetwork::gradients(&network, &loss.backward());
                    // The sign of each gradient: a step of Adam without memory.
                    network.change_parameters(&mut |name, _, value| {
                        Some(value - gradients.get(name)?.clone().sign() * rate)
                    });
                }
            }
            let network = network.valid();
            let scores = task.validate(&network, &device.clone().inner(), &|| false).unwrap();
            assert_eq!(scores.get(HIT_RATE), Some(1.0), "{loss}");
            assert!(scores.get(NDCG) > Some(0.9) && scores.get(SAMPLED_NDCG) > Some(0.9), "{loss}: {scores:?}");
        }
    }

    #[test]
    fn the_same_seed_and_batch_have_the_same_loss() {
        let (_, device) = devices().remove(0);
        let task = training("loss = \"bpr\"\nnegatives = 3\nnegatives_power = 0.5");
        let network = task.network(&device);
        let loss = |batch: u64| {
            let found = task.loss(&network, &[0, 3, 4], None, StepKeys::new(0, batch, 0), &device);
            (found.weight, found.loss.into_scalar::<f32>())
        };
        assert_eq!(loss(1), loss(1));
        assert_ne!(loss(1), loss(2), "other items are drawn");
        assert_eq!(loss(1).0, 4.0 + 7.0 + 8.0, "each item but the first is predicted");
    }

    #[test]
    fn names_with_commas_are_quoted_in_histories_and_lines() {
        for (text, names) in [
            (r#""a, b",c"#, &["a, b", "c"][..]),
            (r#" "a, b" , "say ""hi""" "#, &["a, b", "say \"hi\""]),
            (r#"5" nail, "half"#, &["5\" nail", "\"half"]),
            (r#""green tea" milk"#, &["green tea", "milk"]),
            (r#""a"b, c"#, &["\"a\"b", "c"]),
        ] {
            assert_eq!(history(text), names, "{text}");
        }
        let printed = line(&[("a, b", 0.5), ("\"x\"", 0.25), ("c d", 0.125)]);
        assert_eq!(printed, "\"a, b\" 0.5000, \"\"\"x\"\"\" 0.2500, c d 0.1250");
    }

    #[test]
    fn a_history_has_the_same_recommendations_alone_and_among_others() {
        let (_, device) = devices().remove(0);
        let task = training("max_history = 3");
        let network = task.network(&device);
        let spec = test_spec("recommendation", "max_history = 3", "gru-16");
        let model = ItemRecommender::open(&spec, &task.files(), &read(&network), &device).unwrap();
        let histories = [vec!["item 1"], vec!["item 4", "nothing", "item 5"], vec!["nothing"]];
        let all = model.recommend(&histories, 40, true).unwrap();
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [29, 28, 0]);
        assert!(all[1].iter().all(|(item, _)| !["item 4", "item 5"].contains(item)));
        assert!(all[1].is_sorted_by(|one, next| one.1 >= next.1));
        for (history, found) in histories.iter().zip(&all) {
            assert_eq!(&model.recommend(std::slice::from_ref(history), 40, true).unwrap()[0], found);
        }
        let whole = model.recommend(&histories[..1], 40, false).unwrap();
        let total: f32 = whole[0].iter().map(|(_, probability)| probability).sum();
        assert!(whole[0].len() == 30 && (total - 1.0).abs() < 1e-5, "{total}");
        // Only the most recent items are read.
        let recent = ["item 2", "item 3", "item 4"];
        let long = [&["item 9"][..], &recent].concat();
        let of = |history: &[&str]| model.recommend(&[history.to_vec()], 3, false).unwrap();
        assert_eq!(of(&long), of(&recent));
        let outputs = model.predict(&["item 4,nothing", "nothing"], TextOptions::default()).unwrap();
        assert_eq!((outputs[0].counts.tokens, outputs[0].counts.unknown), (2, 1));
        assert_eq!((outputs[1].line.as_str(), &outputs[1].json["items"]), ("", &json!([])));
        assert_eq!(model.predict(&["a", ","], TextOptions::default()), Err(PredictError::Empty { index: 1 }));
    }

    #[test]
    fn evaluation_does_not_depend_on_the_order_of_the_items() {
        let (_, device) = devices().remove(0);
        let task = training("");
        let network = task.network(&device);
        let spec = test_spec("recommendation", "", "gru-16");
        let model = ItemRecommender::open(&spec, &task.files(), &read(&network), &device).unwrap();
        let data = circle();
        let evaluation = model.evaluate(&data, Split::Validation).unwrap();
        assert_eq!(evaluation.all, task.validate(&network, &device, &|| false).unwrap());
        assert_eq!(evaluation.all.examples, 30);
        let loss = evaluation.all.get(Metric::LOSS).unwrap();
        assert!((loss - 30f64.ln()).abs() < 0.5, "{loss}");
        let groups: Vec<&str> = evaluation.groups.iter().map(|((_, value), _)| value.as_str()).collect();
        assert_eq!(groups, ["5-9"]);
        let reversed = Interactions {
            names: data.names.iter().rev().cloned().collect(),
            users: data
                .users
                .iter()
                .map(|user| History { items: user.items.iter().map(|item| ITEMS + 1 - item).collect(), ..user.clone() })
                .collect(),
            ..data.clone()
        };
        assert_eq!(model.evaluate(&reversed, Split::Validation).unwrap().all, evaluation.all);
        assert_eq!(Interactions::evaluation(&[], &[]).all.examples, 0);
    }
}
