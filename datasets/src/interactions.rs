//! Datasets for recommendation: the items that each user interacted with, in order of time.

mod neighbors;
mod ranking;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use seqzoo_random::{Key, Purpose, RngExt};

use crate::DataError;
use crate::chronology::{Chronology, present};
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::records::Split;
use crate::scores::{Evaluation, Group, group};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::wording::counted;
use neighbors::Neighbors;
pub use ranking::{HIT_RATE, MRR, NDCG, Outcome, SAMPLED_HIT_RATE, SAMPLED_NDCG};

/// Data for recommendation.
pub static DATA: DataSpec = DataSpec {
    task: "recommendation",
    roles: &[
        Role::required("user", Content::Other, "Column that names the user of each interaction."),
        Role::required("item", Content::Other, "Column that names the item of each interaction."),
        Role::optional(
            "time",
            Content::Other,
            "Column of the times of the interactions, numbers or timestamps; without it, those of a user are in order of time.",
        ),
    ],
    fields: &[],
    default_format: Some("csv"),
    default_split: SplitRule::LeaveOneOut {},
    split_rules: &["leave-one-out"],
    split_note: "the last interactions of each user are held out",
};

/// Number of random items that the sampled metrics compare the actual one with.
const NEGATIVES: usize = 100;

/// The items that one user interacted with, in order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Item ids, from 1: see [`Interactions::names`].
    pub items: Vec<u32>,
    /// End of the training split.
    pub train_end: usize,
    /// End of the validation split; the others are the test split.
    pub validation_end: usize,
}

impl History {
    /// The items of the training split.
    pub fn train(&self) -> &[u32] {
        &self.items[..self.train_end]
    }
}

/// An item to predict from the items before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case<'a> {
    /// Index of the user.
    pub user: usize,
    /// The user's previous items, in order of time; at least one.
    pub history: &'a [u32],
    /// The actual next item.
    pub target: u32,
}

/// A loaded dataset for recommendation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interactions {
    /// Names of the items; that of item `id` is `names[id - 1]`. Those of the training split come first, in the order of their first rows.
    pub names: Vec<String>,
    /// Number of items of the training split: the ones that can be recommended.
    pub items: usize,
    /// The users, in the order of their first rows.
    pub users: Vec<History>,
    /// Notes for the user on the order of the interactions and on unknown items.
    pub notes: Vec<String>,
}

impl Interactions {
    /// Converts records, using the columns `user`, `item` and `time`. The interactions of a user are those of the training split, the
    /// validation split and the test split, each in order of time.
    ///
    /// # Errors
    /// If a column is missing, a user or an item is missing, or a time is neither a number nor a timestamp.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let item = splits.columns.need("item")?;
        let (mut data, mut users, mut ids) = (Self::default(), HashMap::new(), HashMap::new());
        let mut moments = Vec::new();
        for split in Split::ALL {
            let records = splits.split(split);
            if !records.is_empty() {
                let names = present(records, "item", item)?;
                let Chronology { users: rows_of_users, times } = Chronology::of(records, &splits.columns)?;
                // Ids are in the order of the rows.
                let of_rows: Vec<u32> = names.iter().map(|name| data.id(name, &mut ids)).collect();
                for (name, rows) in rows_of_users {
                    let user = *users.entry(name).or_insert(data.users.len());
                    if user == data.users.len() {
                        data.users.push(History::default());
                    }
                    data.users[user].items.extend(rows.iter().map(|&row| of_rows[row]));
                    if let Some(times) = &times {
                        moments.extend(rows.iter().filter_map(|&row| Some((user, records.place(row)?, times[row]))));
                    }
                }
            }
            for history in &mut data.users {
                let end = history.items.len();
                match split {
                    Split::Train => (history.train_end, history.validation_end) = (end, end),
                    Split::Validation => history.validation_end = end,
                    Split::Test => {}
                }
            }
            if split == Split::Train {
                data.items = data.names.len();
            }
        }
        data.notes.extend(disorder(moments));
        let of_splits = [Split::Validation, Split::Test].map(|split| data.note_unknown(split));
        data.notes.extend(of_splits.into_iter().flatten());
        Ok(data)
    }

    /// The id of an item, which gets the next one if it is new.
    fn id<'a>(&mut self, name: &'a str, ids: &mut HashMap<&'a str, u32>) -> u32 {
        *ids.entry(name).or_insert_with(|| {
            self.names.push(name.to_owned());
            u32::try_from(self.names.len()).expect("fewer than 2³² items")
        })
    }

    /// A note on items of a split that cannot be recommended.
    fn note_unknown(&self, split: Split) -> Option<String> {
        let cases = self.cases(split);
        let unknown = cases.iter().filter(|case| !self.is_known(case.target)).count();
        let (all, name) = (counted(cases.len(), "items"), split.name());
        (unknown > 0).then(|| {
            format!("{unknown} of {all} of the {name} split are not in the training split: none can be recommended, so each is a miss")
        })
    }

    /// Whether the training split has an item, so that it can be recommended.
    pub fn is_known(&self, id: u32) -> bool {
        id > 0 && id as usize <= self.items
    }

    /// The items to predict in a split; of the training split, the last one of each user. Items without others before them are left out.
    pub fn cases(&self, split: Split) -> Vec<Case<'_>> {
        let of_user = |(user, history): (usize, &History)| {
            let History { train_end, validation_end, .. } = *history;
            let range = match split {
                Split::Train => train_end.saturating_sub(1)..train_end,
                Split::Validation => train_end..validation_end,
                Split::Test => validation_end..history.items.len(),
            };
            (range.start.max(1)..range.end).map(move |index| (user, index))
        };
        let case = |(user, index): (usize, usize)| {
            let items = &self.users[user].items;
            Case { user, history: &items[..index], target: items[index] }
        };
        self.users.iter().enumerate().flat_map(of_user).map(case).collect()
    }

    /// The same interactions with the items that another training split has, such as that of a trained model, and with its ids.
    pub fn with_items(&self, names: &[String]) -> Cow<'_, Self> {
        if self.names.get(..self.items) == Some(names) {
            return Cow::Borrowed(self);
        }
        let mut all = Self { items: names.len(), names: names.to_vec(), users: self.users.clone(), notes: Vec::new() };
        let mut ids: HashMap<&str, u32> = names.iter().map(String::as_str).zip(1..).collect();
        let new: Vec<u32> = self.names.iter().map(|name| all.id(name, &mut ids)).collect();
        all.users.iter_mut().flat_map(|user| &mut user.items).for_each(|item| *item = new[*item as usize - 1]);
        Cow::Owned(all)
    }

    /// The random items that the actual next item of a user is compared with: at most 100 different ones of the training split, with which
    /// the user never interacted. They depend on the index of the user only.
    ///
    /// Differs from Kang and McAuley 2018: no item is drawn twice.
    pub fn negatives(&self, user: usize) -> Vec<u32> {
        let items = self.users[user].items.iter().copied();
        let mut taken: HashSet<u32> = items.filter(|&item| self.is_known(item)).collect();
        let all = 1..=self.items as u32;
        if self.items - taken.len() <= NEGATIVES {
            return all.filter(|item| !taken.contains(item)).collect();
        }
        let mut stream = Key::new(0, Purpose::Negatives).with_first(user as u64).offset(1).stream();
        let mut drawn = Vec::with_capacity(NEGATIVES);
        while drawn.len() < NEGATIVES {
            let item = stream.random_range(all.clone());
            if taken.insert(item) {
                drawn.push(item);
            }
        }
        drawn
    }

    /// The ranks of the actual next item, given the score of each item of the training split and the [`negatives`](Self::negatives) of the
    /// user. Equal scores, and scores that are NaN, count against it.
    ///
    /// # Panics
    /// If there is not one score per item.
    pub fn outcome(&self, case: &Case, scores: &[f32], negatives: &[u32]) -> Outcome {
        assert_eq!(scores.len(), self.items, "one score per item");
        if !self.is_known(case.target) {
            return Outcome::default();
        }
        let score = |item: u32| scores[item as usize - 1];
        let target = score(case.target);
        let ahead = scores.iter().filter(|&&other| is_ahead(other, target)).count();
        let others: HashSet<u32> =
            case.history.iter().copied().filter(|&item| self.is_known(item) && item != case.target).collect();
        let in_history = others.iter().filter(|&&item| is_ahead(score(item), target)).count();
        let sampled = negatives.iter().filter(|&&item| is_ahead(score(item), target)).count();
        // The actual item itself is not below its own score.
        Outcome { rank: Some(ahead - 1 - in_history), sampled_rank: Some(sampled), loss: None }
    }

    /// Metrics of the outcomes of cases, overall and by the length of the history.
    ///
    /// # Panics
    /// If there is not one outcome per case.
    pub fn evaluation(cases: &[Case], outcomes: &[Outcome]) -> Evaluation {
        assert_eq!(cases.len(), outcomes.len(), "one outcome per case");
        let groups: Vec<[Group; 1]> =
            cases.iter().map(|case| [group("history", length_range(case.history.len()))]).collect();
        let score = |indices: &mut dyn Iterator<Item = usize>| Outcome::scores(indices.map(|index| &outcomes[index]));
        Evaluation::by_group(groups.iter().map(|groups| &groups[..]), score)
    }

    /// Evaluates the baselines on a split: the most popular items, and the items most similar to those of the history.
    ///
    /// "Most popular item" ranks items by the number of interactions of the training split. "Item neighbors" (Sarwar et al., "Item-based
    /// collaborative filtering recommendation algorithms", WWW 2001; Deshpande and Karypis 2004) sums, over the items of the history, the
    /// cosine similarity of the users of both items; each item has its 100 most similar neighbors.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let cases = self.cases(split);
        let negatives: Vec<Vec<u32>> = cases.iter().map(|case| self.negatives(case.user)).collect();
        let evaluate = |score: &mut dyn FnMut(&Case, &mut [f32])| {
            let mut scores = vec![0.0; self.items];
            let outcome = |(case, negatives): (&Case, &Vec<u32>)| {
                score(case, &mut scores);
                self.outcome(case, &scores, negatives)
            };
            let outcomes: Vec<Outcome> = cases.iter().zip(&negatives).map(outcome).collect();
            Self::evaluation(&cases, &outcomes)
        };
        let mut counts = vec![0.0f32; self.items];
        let trained = self.users.iter().flat_map(History::train).filter(|&&item| self.is_known(item));
        trained.for_each(|&item| counts[item as usize - 1] += 1.0);
        let neighbors = Neighbors::of(self);
        vec![
            ("most popular item", evaluate(&mut |_, scores| scores.copy_from_slice(&counts))),
            ("item neighbors", evaluate(&mut |case, scores| neighbors.score(case.history, scores))),
        ]
    }

    /// SHA-256 digest of the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        digest.number(self.users.len() as u64);
        for History { items, train_end, validation_end } in &self.users {
            for split in [&items[..*train_end], &items[*train_end..*validation_end]] {
                digest.number(split.len() as u64);
                split.iter().for_each(|&item| digest.text(&self.names[item as usize - 1]));
            }
        }
        digest.finish()
    }
}

/// Whether a score is not below another one.
fn is_ahead(score: f32, target: f32) -> bool {
    score.partial_cmp(&target) != Some(Ordering::Less)
}

/// Ranges of the length of histories, for metrics per group.
fn length_range(length: usize) -> &'static str {
    match length {
        0..=4 => "1-4",
        5..=9 => "5-9",
        10..=19 => "10-19",
        _ => "20 or more",
    }
}

/// User, place and time of an interaction.
type Moment<'a> = (usize, (&'a Path, usize), f64);

/// A note on interactions whose time is before that of the user's previous one in the same file.
fn disorder(mut moments: Vec<Moment>) -> Option<String> {
    moments.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let steps_back = |pair: &&[Moment]| {
        let ((user, (file, _), time), (next_user, (next_file, _), next_time)) = (pair[0], pair[1]);
        user == next_user && file == next_file && next_time < time
    };
    let count = moments.windows(2).filter(steps_back).count();
    let rows = if count == 1 { "row is" } else { "rows are" };
    (count > 0).then(|| {
        format!("{count} {rows} earlier than the user's previous one; the rows of each user are sorted by time")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;
    use crate::records::{Column, Records};

    fn records(rows: &[(&str, &str)]) -> Records {
        let users = Column::text(rows.iter().map(|(user, _)| *user));
        Records::new([("user", users), ("item", Column::text(rows.iter().map(|(_, item)| *item)))])
    }

    fn splits(train: &[(&str, &str)], validation: &[(&str, &str)], test: &[(&str, &str)]) -> Splits {
        let columns = Columns::default().with("user", "user").with("item", "item");
        let [train, validation, test] = [train, validation, test].map(records);
        Splits { train, validation, test, columns, ..Splits::default() }
    }

    /// Two users: the first has three items, then `d` and `e`; the second has one, then `a`, and an item that is in no training split.
    fn data() -> Interactions {
        let train = [("x", "a"), ("y", "d"), ("x", "b"), ("x", "c"), ("z", "e"), ("z", "a")];
        let data = Interactions::from_records(&splits(&train, &[("x", "d"), ("y", "a")], &[("y", "new"), ("x", "e")]));
        data.unwrap()
    }

    #[test]
    fn histories_include_the_previous_splits() {
        let data = data();
        assert_eq!(data.names, ["a", "d", "b", "c", "e", "new"]);
        assert_eq!((data.items, data.users.len()), (5, 3));
        let case = |user, history, target| Case { user, history, target };
        assert_eq!(data.cases(Split::Train), [case(0, &[1, 3], 4), case(2, &[5], 1)]);
        assert_eq!(data.cases(Split::Validation), [case(0, &[1, 3, 4], 2), case(1, &[2], 1)]);
        assert_eq!(data.cases(Split::Test), [case(0, &[1, 3, 4, 2], 5), case(1, &[2, 1], 6)]);
        assert_eq!(data.notes.len(), 1);
        assert!(data.notes[0].starts_with("1 of 2 items of the test split are not in the training split"));
        let missing = Interactions::from_records(&splits(&[("x", "a"), ("x", "")], &[], &[])).unwrap_err().to_string();
        assert!(missing.contains("row 1: missing value in column `item`"), "{missing}");
    }

    #[test]
    fn ranks_match_hand_computed_ones() {
        let data = data();
        let cases = data.cases(Split::Validation);
        // User x knows a, b, c; the actual item d competes with e only. Equal scores count against it.
        let ranks = |scores: [f32; 5]| data.outcome(&cases[0], &scores, &[5]);
        let outcome = |rank| Outcome { rank: Some(rank), sampled_rank: Some(rank), loss: None };
        assert_eq!(ranks([9.0, 0.5, 9.0, 9.0, 0.4]), outcome(0));
        assert_eq!(ranks([9.0, 0.5, 9.0, 9.0, 0.5]), outcome(1));
        assert_eq!(ranks([9.0, f32::NAN, 9.0, 9.0, 0.4]), outcome(1));
        assert_eq!(ranks([9.0, 0.5, 9.0, 9.0, f32::NAN]), outcome(1));
        // An item of the history that is the actual one again competes with those that are not in the history.
        let again = Case { user: 0, history: &[1, 3, 4], target: 3 };
        assert_eq!(data.outcome(&again, &[9.0, 2.0, 1.0, 9.0, 0.0], &[]).rank, Some(1));
        let unknown = data.cases(Split::Test)[1];
        assert_eq!(data.outcome(&unknown, &[0.0; 5], &[3]), Outcome::default());
    }

    #[test]
    fn negatives_are_other_items_and_always_the_same() {
        let few = data();
        assert_eq!((few.negatives(0), few.negatives(1)), (vec![], vec![3, 4, 5]));
        let names: Vec<String> = (1..=300).map(|item| item.to_string()).collect();
        let user = |items: Vec<u32>| History { train_end: items.len(), validation_end: items.len(), items };
        let users = vec![user((1..=150).collect()), user(vec![7, 8]), user(vec![7, 8])];
        let many = Interactions { items: names.len(), names, users, notes: Vec::new() };
        let drawn = many.negatives(0);
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), NEGATIVES);
        assert!(drawn.iter().all(|item| (151..=300).contains(item)));
        assert_eq!(drawn, many.clone().negatives(0));
        assert_ne!(many.negatives(1), many.negatives(2));
    }

    #[test]
    fn baselines_match_hand_computed_metrics() {
        // Counts: a 2, b 1, c 1, d 1, e 1. User x knows a, b, c: d is tied with e. User y knows d: a is the most popular one.
        let data = data();
        let found = data.baselines(Split::Validation);
        let (popular, neighbors) = (&found[0].1, &found[1].1);
        assert_eq!((popular.all.examples, popular.all.get(MRR)), (2, Some((1.0 / 2.0 + 1.0) / 2.0)));
        assert_eq!(popular.all.get(NDCG), Some((1.0 / 3f64.log2() + 1.0) / 2.0));
        // e is a neighbor of a, d has none. The only item of y has no neighbor, so that a is the last of a, b, c, e.
        assert_eq!(neighbors.all.get(MRR), Some((1.0 / 2.0 + 1.0 / 4.0) / 2.0));
        let groups: Vec<&str> = popular.groups.iter().map(|((_, value), _)| value.as_str()).collect();
        assert_eq!(groups, ["1-4"]);
        assert_eq!(
            [1, 4, 5, 9, 10, 19, 20].map(length_range),
            ["1-4", "1-4", "5-9", "5-9", "10-19", "10-19", "20 or more"]
        );
    }

    #[test]
    fn items_are_those_of_a_model() {
        let data = data();
        let own: Vec<String> = data.names[..5].to_vec();
        assert!(matches!(data.with_items(&own), Cow::Borrowed(_)));
        let names = ["e", "a", "other"].map(str::to_owned);
        let changed = data.with_items(&names).into_owned();
        assert_eq!(changed.names, ["e", "a", "other", "d", "b", "c", "new"]);
        assert_eq!((changed.items, &changed.users[0].items), (3, &vec![2, 5, 6, 4, 1]));
    }

    #[test]
    fn the_digest_is_that_of_training_and_validation() {
        let data = data();
        let mut other = data.clone();
        other.users[0].items[4] = 1;
        assert_eq!(other.digest(), data.digest());
        other.users[0].items[3] = 1;
        assert_ne!(other.digest(), data.digest());
    }

    #[test]
    fn rows_out_of_order_are_counted() {
        let columns = Columns::default().with("user", "user").with("item", "item").with("time", "time");
        let column = |texts: [&str; 4]| Column::text(texts);
        let rows = [
            ("user", column(["x", "x", "y", "x"])),
            ("item", column(["c", "a", "a", "b"])),
            ("time", column(["3", "1", "9", "2"])),
        ];
        let train = Records::of_file(Path::new("a.csv"), rows, 2..6);
        let data = Interactions::from_records(&Splits { train, columns, ..Splits::default() }).unwrap();
        assert_eq!(data.users[0].items, [2, 3, 1]);
        let expected = "1 row is earlier than the user's previous one; the rows of each user are sorted by time";
        assert_eq!(data.notes, [expected]);
    }
}
