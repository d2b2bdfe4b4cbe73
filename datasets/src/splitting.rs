//! Division of records into training, validation and test split.

use std::cmp::Ordering;
use std::collections::HashSet;

use seqzoo_random::{Key, Purpose, SliceRandom};
use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::records::{Column, Records};
use crate::settings::{Columns, DataSettings};

/// How records are divided into splits. Fractions are rounded to whole ten-thousandths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SplitRule {
    /// Running text: the last characters are the test split, those before them the validation split.
    Characters {
        /// Fraction of the validation split.
        validation: f64,
        /// Fraction of the test split.
        #[serde(default, skip_serializing_if = "is_zero")]
        test: f64,
    },
    /// The last rows are the test split, those before them the validation split.
    Rows {
        /// Fraction of the validation split.
        validation: f64,
        /// Fraction of the test split.
        #[serde(default, skip_serializing_if = "is_zero")]
        test: f64,
    },
    /// The rows are sorted, so that their order in files does not matter, and shuffled: the first ones are the validation split,
    /// the next ones the test split.
    Shuffle {
        /// Fraction of the validation split.
        validation: f64,
        /// Fraction of the test split.
        #[serde(default, skip_serializing_if = "is_zero")]
        test: f64,
        /// Random seed; the seed of a run does not affect its splits.
        #[serde(default)]
        seed: u64,
        /// Whether each label has its fractions in every split.
        #[serde(default)]
        stratify: bool,
    },
    /// Every nth row, from the first one on, is the validation split; there is no test split.
    Every {
        /// n.
        validation: usize,
    },
    /// A series: the splits start at the rows of these timestamps.
    Time {
        /// First timestamp of the validation split.
        validation: String,
        /// First timestamp of the test split.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<String>,
    },
}

fn is_zero(fraction: &f64) -> bool {
    *fraction == 0.0
}

/// The rows of each label, with its name; one group without a name if they are not stratified.
type Groups = Vec<(Option<String>, Vec<usize>)>;

/// Unit of fractions.
const UNITS: usize = 10_000;

/// Minimum number of characters of a running text that is divided.
const MIN_CHARACTERS: usize = 100;

impl SplitRule {
    /// The default rule for data of a task.
    pub fn for_task(task: Option<&str>) -> Self {
        match task {
            Some("language-model") => Self::Characters { validation: 0.1, test: 0.0 },
            Some("forecasting") => Self::Rows { validation: 0.15, test: 0.15 },
            _ => Self::Shuffle { validation: 0.1, test: 0.0, seed: 0, stratify: false },
        }
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The first invalid one.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        match self {
            Self::Characters { validation, test }
            | Self::Rows { validation, test }
            | Self::Shuffle { validation, test, .. } => Fractions::new(*validation, *test).map(drop),
            Self::Every { validation: validation @ (0 | 1) } => {
                Err(DataError::setting("data.split.validation", validation, "a whole number from 2"))
            }
            Self::Every { .. } | Self::Time { .. } => Ok(()),
        }
    }

    /// The same rule without a test split.
    pub(crate) fn without_test(&self) -> Self {
        let mut rule = self.clone();
        match &mut rule {
            Self::Characters { test, .. } | Self::Rows { test, .. } | Self::Shuffle { test, .. } => *test = 0.0,
            Self::Time { test, .. } => *test = None,
            Self::Every { .. } => {}
        }
        rule
    }
}

/// The training, validation and test split of records.
///
/// # Errors
/// If a value of the rule is invalid, or there are too few records for it.
pub(crate) fn split(records: &Records, rule: &SplitRule, settings: &DataSettings) -> Result<[Records; 3], DataError> {
    let columns = &settings.columns;
    rule.check()?;
    let fractions = |validation: f64, test: f64| Fractions::new(validation, test);
    let splits = match rule {
        SplitRule::Characters { validation, test } => characters(records, columns, fractions(*validation, *test)?)?,
        SplitRule::Rows { validation, test } => {
            let (train, validation) = fractions(*validation, *test)?.ends(records.len());
            consecutive(records, train, validation)
        }
        SplitRule::Shuffle { validation, test, seed, stratify } => {
            let order = Shuffle { fractions: fractions(*validation, *test)?, seed: *seed, stratify: *stratify };
            order.split(records, settings)?
        }
        SplitRule::Every { validation } => {
            let (held_out, train): (Vec<_>, Vec<_>) = (0..records.len()).partition(|row| row % validation == 0);
            [records.select(&train), records.select(&held_out), records.select(&[])]
        }
        SplitRule::Time { validation, test } => {
            let start = |field: &str, timestamp: &String| {
                let name = Columns::need("time", columns.time.as_ref())?;
                let times = records.texts("time", name)?;
                times.iter().position(|time| **time == **timestamp).ok_or_else(|| {
                    let expected = format!("a timestamp of column `{name}`");
                    DataError::setting(format!("data.split.{field}"), timestamp, expected)
                })
            };
            let train = start("validation", validation)?;
            let end = test.as_ref().map_or(Ok(records.len()), |test| start("test", test))?;
            if end < train {
                let expected = "a timestamp after that of the validation split";
                return Err(DataError::setting("data.split.test", test.as_deref().unwrap_or_default(), expected));
            }
            consecutive(records, train, end)
        }
    };
    if splits[0].is_empty() || splits[1].is_empty() {
        let detail = format!("{} rows are too few for a training and a validation split", records.len());
        return Err(DataError::of_records(records.file(), detail));
    }
    Ok(splits)
}

/// Fractions of the validation and the test split, in [`UNITS`].
#[derive(Debug, Clone, Copy)]
struct Fractions {
    validation: usize,
    test: usize,
}

impl Fractions {
    fn new(validation: f64, test: f64) -> Result<Self, DataError> {
        let units = |field: &str, fraction: f64, least: f64| {
            let expected = format!("a fraction from {least}, below 1 together with that of the other split");
            match (least..1.0).contains(&fraction) && validation + test < 1.0 {
                true => Ok((fraction * UNITS as f64).round() as usize),
                false => Err(DataError::setting(format!("data.split.{field}"), fraction, expected)),
            }
        };
        Ok(Self { validation: units("validation", validation, 1.0 / UNITS as f64)?, test: units("test", test, 0.0)? })
    }

    /// The ends of the training and the validation split of `count` consecutive rows.
    fn ends(self, count: usize) -> (usize, usize) {
        let end = |units: usize| count * (UNITS - units) / UNITS;
        (end(self.validation + self.test), end(self.test))
    }

    /// The sizes of the validation and the test split of `count` rows.
    fn sizes(self, count: usize) -> (usize, usize) {
        let size = |units: usize| (count * units + UNITS / 2) / UNITS;
        (size(self.validation), size(self.test))
    }

    /// Minimum number of rows of which each split has at least one.
    fn minimum(self) -> usize {
        let smallest = [self.validation, self.test].into_iter().filter(|&units| units > 0).min();
        smallest.map_or(1, |units| UNITS.div_ceil(units))
    }
}

fn consecutive(records: &Records, train: usize, validation: usize) -> [Records; 3] {
    let rows = |from: usize, to: usize| records.select(&(from..to).collect::<Vec<_>>());
    [rows(0, train), rows(train, validation), rows(validation, records.len())]
}

fn characters(records: &Records, columns: &Columns, fractions: Fractions) -> Result<[Records; 3], DataError> {
    let name = Columns::need("text", columns.text.as_ref())?;
    let text = records.joined("text", name)?;
    let count = text.chars().count();
    if count < MIN_CHARACTERS {
        let detail = format!("{count} characters are too few to train on; at least {MIN_CHARACTERS} are needed");
        return Err(DataError::of_records(records.file(), detail));
    }
    let (train, validation) = fractions.ends(count);
    let cut = |characters: usize| text.char_indices().nth(characters).map_or(text.len(), |(cut, _)| cut);
    let (train, validation) = (cut(train), cut(validation));
    Ok([0..train, train..validation, validation..text.len()].map(|range| {
        let line = 1 + text[..range.start].matches('\n').count();
        let texts = (!range.is_empty()).then(|| &text[range]);
        let (lines, column) = (texts.map(|_| line), [(name, Column::text(texts))]);
        match records.file() {
            Some(file) => Records::of_file(file, column, lines),
            None => Records::new(column),
        }
    }))
}

struct Shuffle {
    fractions: Fractions,
    seed: u64,
    stratify: bool,
}

impl Shuffle {
    fn split(&self, records: &Records, settings: &DataSettings) -> Result<[Records; 3], DataError> {
        let compare = comparison(records, &settings.columns)?;
        let mut splits = [Vec::new(), Vec::new(), Vec::new()];
        for (index, (name, mut rows)) in self.groups(records, settings)?.into_iter().enumerate() {
            let minimum = self.fractions.minimum();
            if rows.len() < minimum {
                let of = name.map_or_else(String::new, |name| format!(" of `{name}`"));
                let detail =
                    format!("{} rows{of} are too few for all splits; at least {minimum} are needed", rows.len());
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
    fn groups(&self, records: &Records, settings: &DataSettings) -> Result<Groups, DataError> {
        if !self.stratify {
            return Ok(vec![(None, (0..records.len()).collect())]);
        }
        let labels = records.texts("label", Columns::need("label", settings.columns.label.as_ref())?)?;
        let mut names = settings.labels.clone();
        if names.is_empty() {
            let distinct: std::collections::BTreeSet<&str> = labels.iter().map(|label| &**label).collect();
            names = distinct.into_iter().map(str::to_owned).collect();
        }
        let rows = |name: &String| (0..labels.len()).filter(|&row| *labels[row] == **name).collect();
        Ok(names.iter().map(|name| (Some(name.clone()), rows(name))).collect())
    }
}

/// The first of all rows that are equal in the columns with a role.
pub(crate) fn distinct(records: &Records, columns: &Columns) -> Result<Records, DataError> {
    let mut seen: HashSet<Vec<&str>> = HashSet::new();
    let contents = contents(records, columns)?;
    let rows: Vec<usize> = (0..records.len()).filter(|&row| seen.insert(items(&contents, row).collect())).collect();
    Ok(records.select(&rows))
}

/// Order of rows by the contents of the columns with a role.
fn comparison<'a>(
    records: &'a Records,
    columns: &Columns,
) -> Result<impl Fn(usize, usize) -> Ordering + 'a, DataError> {
    let contents = contents(records, columns)?;
    Ok(move |a: usize, b: usize| items(&contents, a).cmp(items(&contents, b)))
}

/// The columns of text with a role.
fn contents<'a>(records: &'a Records, columns: &Columns) -> Result<Vec<&'a Column>, DataError> {
    let Columns { text, label, tokens, tags, source, target, time, .. } = columns;
    let roles = [
        ("text", text),
        ("label", label),
        ("tokens", tokens),
        ("tags", tags),
        ("source", source),
        ("target", target),
        ("time", time),
    ];
    roles.into_iter().filter_map(|(role, name)| Some(records.column(role, name.as_ref()?))).collect()
}

/// The texts of a row; the ends of lists are marked, so that lists of other lengths differ.
fn items<'a>(columns: &[&'a Column], row: usize) -> impl Iterator<Item = &'a str> {
    columns
        .iter()
        .flat_map(move |column| {
            let items: Vec<&str> = match *column {
                Column::Text(texts) => vec![&*texts[row]],
                Column::Lists(lists) => lists[row].iter().map(String::as_str).chain(["\0"]).collect(),
                Column::Numbers(_) => Vec::new(),
            };
            items
        })
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(rule: &str) -> SplitRule {
        toml::from_str(rule).unwrap()
    }

    /// Rows of the texts `texts`, each labeled by its first character.
    fn records(texts: &[&str]) -> Records {
        let labels = texts.iter().map(|text| &text[..1]);
        Records::new([("text", Column::text(texts.iter().copied())), ("label", Column::text(labels))])
    }

    fn settings() -> DataSettings {
        let columns = Columns { text: Some("text".to_owned()), label: Some("label".to_owned()), ..Columns::default() };
        DataSettings { columns, ..DataSettings::default() }
    }

    fn texts(splits: &[Records; 3]) -> [Vec<String>; 3] {
        splits.each_ref().map(|split| {
            let texts = split.texts("text", "text").unwrap();
            texts.iter().map(|text| text.to_string()).collect()
        })
    }

    #[test]
    fn rules_are_read_and_written() {
        for text in [
            "by = \"characters\"\nvalidation = 0.1\n",
            "by = \"rows\"\nvalidation = 0.15\ntest = 0.15\n",
            "by = \"shuffle\"\nvalidation = 0.1\nseed = 3\nstratify = true\n",
            "by = \"every\"\nvalidation = 5\n",
            "by = \"time\"\nvalidation = \"1988-01-01\"\n",
        ] {
            assert_eq!(toml::to_string(&rule(text)).unwrap(), text);
        }
        let error = toml::from_str::<SplitRule>("by = \"rows\"\nvalidaton = 0.1").unwrap_err().to_string();
        assert!(error.contains("validaton") || error.contains("validation"), "{error}");
        assert!(toml::from_str::<SplitRule>("by = \"rows\"\nvalidation = 0.1\nseed = 2").is_err());
    }

    #[test]
    fn consecutive_and_every_nth_rows() {
        let names: Vec<String> = (0..20).map(|row| format!("{row:02}")).collect();
        let records = records(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let of = |text: &str| texts(&split(&records, &rule(text), &settings()).unwrap()).map(|split| split.len());
        assert_eq!(of("by = \"rows\"\nvalidation = 0.15\ntest = 0.15"), [14, 3, 3]);
        assert_eq!(of("by = \"every\"\nvalidation = 5"), [16, 4, 0]);
        assert_eq!(of("by = \"shuffle\"\nvalidation = 0.1\ntest = 0.1"), [16, 2, 2]);
        for (text, part) in [
            ("by = \"rows\"\nvalidation = 0.6\ntest = 0.5", "data.split.validation = 0.6"),
            ("by = \"rows\"\nvalidation = -0.1", "data.split.validation = -0.1"),
            ("by = \"rows\"\nvalidation = 0.0", "data.split.validation = 0: a fraction from 0.0001"),
            ("by = \"rows\"\nvalidation = 0.96", "20 rows are too few"),
            ("by = \"every\"\nvalidation = 1", "a whole number from 2"),
            ("by = \"shuffle\"\nvalidation = 0.01", "20 rows are too few for all splits; at least 100 are needed"),
            ("by = \"time\"\nvalidation = \"05\"", "data.columns.time"),
        ] {
            let error = split(&records, &rule(text), &settings()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn shuffled_splits_are_disjoint_stratified_and_independent_of_order(
            count in 10..60usize, seed: u64, reversed: bool,
        ) {
            let names: Vec<String> = (0..count).flat_map(|row| [format!("a{row}"), format!("b{row}"), format!("a{row}")]).collect();
            let mut order: Vec<&str> = names.iter().map(String::as_str).collect();
            let shuffle = SplitRule::Shuffle { validation: 0.1, test: 0.1, seed, stratify: true };
            let of = |order: &[&str]| {
                let settings = settings();
                texts(&split(&distinct(&records(order), &settings.columns).unwrap(), &shuffle, &settings).unwrap())
            };
            let splits = of(&order);
            if reversed { order.reverse() } else { order.rotate_left(7) }
            prop_assert_eq!(&of(&order), &splits);
            let tenth = (count + 5) / 10;
            for (texts, size) in splits.iter().zip([count - 2 * tenth, tenth, tenth]) {
                for label in ["a", "b"] {
                    prop_assert_eq!(texts.iter().filter(|text| text.starts_with(label)).count(), size);
                }
            }
            let mut all = splits.concat();
            all.sort();
            all.dedup();
            prop_assert_eq!(all.len(), 2 * count);
        }
    }
}
