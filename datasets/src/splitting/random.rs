//! Random splits: shuffled, systematic and folds.

use std::collections::{HashMap, HashSet};

use seqzoo_random::{Key, Purpose, RngExt, SliceRandom};

use super::{Undivided, comparison, items};
use crate::DataError;
use crate::data_spec::Content;
use crate::digest::Digest;
use crate::records::Records;
use crate::split_rule::{Fractions, UNITS};

/// The rows of each label, with its name; one group without a name if they are not stratified.
type Groups = Vec<(Option<String>, Vec<usize>)>;

/// See [`SplitRule::Shuffle`](crate::split_rule::SplitRule::Shuffle).
pub(super) struct Shuffle {
    pub fractions: Fractions,
    pub seed: u64,
    pub stratify: bool,
}

impl Shuffle {
    pub fn split(&self, data: &Undivided) -> Result<[Records; 3], DataError> {
        let records = data.records;
        let compare = comparison(data)?;
        let mut splits = [Vec::new(), Vec::new(), Vec::new()];
        for (index, (name, mut rows)) in self.groups(data)?.into_iter().enumerate() {
            let minimum = self.fractions.minimum();
            if rows.len() < minimum {
                let hint = match name {
                    Some(_) => "or set data.split.stratify = false, or merge this label with another",
                    None => "or set larger fractions in data.split, or give each split its own files",
                };
                let of = name.map_or_else(String::new, |name| format!(" of `{name}`"));
                let detail = format!(
                    "{} rows{of} are too few for all splits; at least {minimum} are needed, {hint}",
                    rows.len()
                );
                let file = rows.first().and_then(|&row| Some(records.place(row)?.0)).or(records.file());
                return Err(DataError::of_records(file, detail));
            }
            rows.sort_by(|&a, &b| compare(a, b));
            rows.shuffle(&mut Key::new(self.seed, Purpose::Data).with_first(index as u64).stream());
            let (validation, test) = self.fractions.sizes(rows.len());
            let mut rows = rows.into_iter();
            splits[1].extend(rows.by_ref().take(validation));
            splits[2].extend(rows.by_ref().take(test));
            splits[0].extend(rows);
        }
        Ok(splits.map(|rows| records.select(&rows)))
    }

    /// The rows of each label, in the order of the labels; all rows if they are not stratified.
    fn groups(&self, data: &Undivided) -> Result<Groups, DataError> {
        let records = data.records;
        if !self.stratify {
            return Ok(vec![(None, (0..records.len()).collect())]);
        }
        let (role, name) = data.column(Content::Label, "stratify")?;
        let found = records.texts(role, name)?;
        let mut names = data.labels.to_vec();
        if names.is_empty() {
            let distinct: std::collections::BTreeSet<&str> = found.iter().map(|label| &**label).collect();
            names = distinct.into_iter().map(str::to_owned).collect();
        }
        let rows = |name: &String| (0..found.len()).filter(|&row| *found[row] == **name).collect();
        Ok(names.iter().map(|name| (Some(name.clone()), rows(name))).collect())
    }
}

/// See [`SplitRule::Systematic`](crate::split_rule::SplitRule::Systematic).
pub(super) struct Systematic {
    pub fractions: Fractions,
    pub seed: u64,
}

/// Position of a split among those of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Assigned {
    Train = 0,
    Validation = 1,
    Test = 2,
}

impl Systematic {
    pub fn split(&self, data: &Undivided, group: Option<&str>) -> Result<[Records; 3], DataError> {
        let mut strata: HashMap<String, Stratum> = HashMap::new();
        assigned(data, group, |label| {
            strata.entry(label.to_owned()).or_insert_with(|| Stratum::new(self, label)).next()
        })
    }
}

/// See [`SplitRule::Folds`](crate::split_rule::SplitRule::Folds); `fold` is one of the `folds` parts, from 1, and `rest` divides the others.
pub(super) fn folds(
    data: &Undivided,
    group: Option<&str>,
    (folds, fold): (usize, usize),
    rest: &Systematic,
) -> Result<[Records; 3], DataError> {
    let mut strata: HashMap<String, (Folds, Stratum)> = HashMap::new();
    assigned(data, group, |label| {
        let new = || (Folds::new(folds, rest.seed, label), Stratum::new(rest, label));
        let (parts, rest) = strata.entry(label.to_owned()).or_insert_with(new);
        if parts.next() + 1 == fold { Assigned::Test } else { rest.next() }
    })
}

/// Whether [`folds`] leaves no split of any fold empty, whatever the seed, in data without labels; `rest` divides the rows that are not held out.
pub(super) fn suffices_for_folds(data: &Undivided, folds: usize, rest: Fractions) -> Result<bool, DataError> {
    let groups: HashSet<Vec<&str>> = groups(data, None)?.into_iter().collect();
    let left = groups.len() - groups.len().div_ceil(folds);
    Ok(groups.len() >= folds && left >= rest.minimum().max(2))
}

/// Assigns groups of rows to splits, in the order of their first rows; `next` returns the split of the next group, given the label of that row.
fn assigned(
    data: &Undivided,
    group: Option<&str>,
    mut next: impl FnMut(&str) -> Assigned,
) -> Result<[Records; 3], DataError> {
    let records = data.records;
    let groups = groups(data, group)?;
    let label = data.spec.single(data.columns).find(|(role, _)| role.content == Content::Label);
    let labels = label.map(|(role, name)| records.texts(role.name, name)).transpose()?;
    let mut assigned: HashMap<&[&str], Assigned> = HashMap::new();
    let mut splits = [Vec::new(), Vec::new(), Vec::new()];
    for row in 0..records.len() {
        let label: &str = labels.map_or("", |labels| &labels[row]);
        let split = match groups.get(row) {
            Some(group) => *assigned.entry(group.as_slice()).or_insert_with(|| next(label)),
            None => next(label),
        };
        splits[split as usize].push(row);
    }
    Ok(splits.map(|rows| records.select(&rows)))
}

/// The group of each row: the rows with the same value of column `group`, else with the same text, are a group. None without texts: each row is
/// then a group of its own.
fn groups<'a>(data: &Undivided<'a>, group: Option<&str>) -> Result<Vec<Vec<&'a str>>, DataError> {
    let records = data.records;
    if let Some(name) = group {
        return Ok(records.texts("group", name)?.iter().map(|value| vec![&**value]).collect());
    }
    let text = |content| matches!(content, Content::Text | Content::Tokens);
    let first = data.spec.single(data.columns).find(|(role, _)| text(role.content));
    let column = first.map(|(role, name)| records.column(role.name, name)).transpose()?;
    Ok(column.map_or_else(Vec::new, |column| (0..records.len()).map(|row| items(&[column], row).collect()).collect()))
}

/// Assigns the groups of one label to the parts of a cross-validation, in order: each run of as many groups as there are parts in
/// random order.
struct Folds {
    folds: usize,
    key: Key,
    /// Number of groups so far.
    count: usize,
    /// Order of the parts in the current run.
    order: Vec<usize>,
}

impl Folds {
    fn new(folds: usize, seed: u64, label: &str) -> Self {
        Self { folds, key: stratum_key(seed, label), count: 0, order: Vec::new() }
    }

    /// The part of the next group, from 0.
    fn next(&mut self) -> usize {
        let (run, place) = (self.count / self.folds, self.count % self.folds);
        if place == 0 {
            self.order = (0..self.folds).collect();
            self.order.shuffle(&mut self.key.offset(run as u64).stream());
        }
        self.count += 1;
        self.order[place]
    }
}

/// Random key of a label.
fn stratum_key(seed: u64, label: &str) -> Key {
    let mut digest = Digest::default();
    digest.text(label);
    let index = u64::from_str_radix(&digest.finish()[..16], 16).unwrap_or(0);
    Key::new(seed, Purpose::Data).with_first(index)
}

/// Assigns the groups of one label to splits, in order.
struct Stratum {
    key: Key,
    /// In units of [`UNITS`].
    held_out: usize,
    validation: usize,
    /// Number of groups so far.
    count: usize,
    /// Number of groups held out so far, and the index of the next one.
    picked: usize,
    next: usize,
}

impl Stratum {
    fn new(rule: &Systematic, label: &str) -> Self {
        let Fractions { validation, test } = rule.fractions;
        let key = stratum_key(rule.seed, label);
        let mut stratum = Self { key, held_out: validation + test, validation, count: 0, picked: 0, next: 0 };
        stratum.next = stratum.position(0);
        stratum
    }

    /// Index of the n-th held-out group: random among the n-th block of 1 / fraction groups. The first group of a label is always in the
    /// training split.
    fn position(&self, n: usize) -> usize {
        let offset: f64 = self.key.offset(n as u64).stream().random();
        (((n as f64 + offset) * UNITS as f64 / self.held_out as f64) as usize).max(1)
    }

    fn next(&mut self) -> Assigned {
        let index = self.count;
        self.count += 1;
        if index != self.next {
            return Assigned::Train;
        }
        // Held-out groups go alternately to the validation and the test split, in proportion to the sizes of the splits.
        let share = |picked: usize| (2 * picked * self.validation + self.held_out) / (2 * self.held_out);
        let is_validation = share(self.picked + 1) > share(self.picked);
        self.picked += 1;
        self.next = self.position(self.picked).max(index + 1);
        if is_validation { Assigned::Validation } else { Assigned::Test }
    }
}
