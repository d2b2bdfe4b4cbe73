//! Division of records into training, validation and test split.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use crate::DataError;
use crate::columns::Columns;
use crate::data_spec::{Content, DataSpec};
use crate::records::{Column, Records};
use crate::split_rule::{Fractions, SplitRule};

mod leave_one_out;
mod probation;
mod random;

use random::{Shuffle, Systematic};

/// Number of values of a column to list in a message.
const MAX_VALUES: usize = 10;

/// Minimum number of characters of a running text.
const MIN_CHARACTERS: usize = 100;

/// Records of a task before they are divided.
pub(crate) struct Undivided<'a> {
    pub records: &'a Records,
    pub columns: &'a Columns,
    /// All labels; empty: those of the records.
    pub labels: &'a [String],
    pub spec: &'static DataSpec,
}

impl<'a> Undivided<'a> {
    /// The column with this content: its role and name; `field` of `data.split` needs it.
    fn column(&self, content: Content, field: &str) -> Result<(&'static str, &'a str), DataError> {
        let Some(role) = self.spec.roles.iter().find(|role| role.content == content) else {
            let expected = format!("not applicable: task {} has no such column", self.spec.task);
            return Err(DataError::setting(format!("data.split.{field}"), "set", expected));
        };
        Ok((role.name, self.columns.need(role.name)?))
    }
}

/// Divides records into training, validation and test split.
///
/// # Errors
/// If a value of the rule is invalid, or there are too few records for it.
pub(crate) fn split(data: &Undivided, rule: &SplitRule) -> Result<[Records; 3], DataError> {
    rule.check()?;
    let records = data.records;
    let fractions = |validation: f64, test: f64| Fractions::new(validation, test);
    let splits = match rule {
        SplitRule::Characters { validation, test } => characters(data, fractions(*validation, *test)?)?,
        SplitRule::Rows { validation, test } => {
            let (train, validation) = fractions(*validation, *test)?.ends(records.len());
            consecutive(records, train, validation)
        }
        SplitRule::Shuffle { validation, test, seed, stratify } => {
            let order = Shuffle { fractions: fractions(*validation, *test)?, seed: *seed, stratify: *stratify };
            order.split(data)?
        }
        SplitRule::Systematic { validation, test, seed, group } => {
            let rule = Systematic { fractions: fractions(*validation, *test)?, seed: *seed };
            rule.split(data, group.as_deref())?
        }
        SplitRule::Folds { folds, fold, validation, seed, group } => {
            let rest = fractions(*validation, 0.0)?;
            let is_text = group.is_none() && data.spec.split_rules.contains(&"characters");
            if is_text && !random::suffices_for_folds(data, *folds, rest)? {
                text_folds(data, *folds, *fold, rest)?
            } else {
                random::folds(data, group.as_deref(), (*folds, *fold), &Systematic { fractions: rest, seed: *seed })?
            }
        }
        SplitRule::Every { validation } => {
            let (held_out, train): (Vec<_>, Vec<_>) = (0..records.len()).partition(|row| row % validation == 0);
            [records.select(&train), records.select(&held_out), records.select(&[])]
        }
        SplitRule::Probation { fraction, rows, validation } => probation::split(data, *fraction, *rows, *validation)?,
        SplitRule::Column { column, validation, test } => {
            let values = records.texts("split", column)?;
            let rows = |is_in: &dyn Fn(&str) -> bool| -> Vec<usize> {
                (0..records.len()).filter(|&row| is_in(values[row].trim())).collect()
            };
            let held_out = rows(&|value| value == validation);
            if held_out.is_empty() {
                let found: BTreeSet<&str> = values.iter().map(|value| value.trim()).collect();
                let found = found.into_iter().take(MAX_VALUES).collect::<Vec<_>>().join(", ");
                let expected = format!("a value of column `{column}`, such as {found}");
                return Err(DataError::setting("data.split.validation", validation, expected));
            }
            let train = rows(&|value| value != validation && value != test);
            [train, held_out, rows(&|value| value == test)].map(|rows| records.select(&rows))
        }
        SplitRule::LeaveOneOut {} => leave_one_out::split(data)?,
        SplitRule::Time { validation, test } => {
            let start = |field: &str, timestamp: &String| {
                let (role, name) = data.column(Content::Time, field)?;
                let times = records.texts(role, name)?;
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
    let is_divided = |folds: usize| folds <= records.len() || data.spec.split_rules.contains(&"characters");
    let has_empty_part = matches!(rule, SplitRule::Folds { folds, .. } if splits[2].is_empty() || !is_divided(*folds));
    if splits[0].is_empty() || splits[1].is_empty() || has_empty_part {
        let rows = records.len();
        let detail = match rule {
            SplitRule::Systematic { .. } => {
                let has_label = data.spec.single(data.columns).any(|(role, _)| role.content == Content::Label);
                let reason = match has_label {
                    true => ": of each label, the first group of equal texts is in the training split",
                    false => ", of which the first ones are in the training split",
                };
                format!(
                    "no validation split can be held out of {rows} rows{reason}; use more data, a larger data.split.validation, or files of \
                     its own for the validation split"
                )
            }
            SplitRule::Folds { folds, .. } => {
                format!("{rows} rows are too few for {folds} parts with training and validation splits of their own")
            }
            SplitRule::Probation { .. } => format!(
                "{rows} rows are too few for a training and a validation split in the probationary period of a series; use longer series or a \
                 larger data.split.fraction"
            ),
            SplitRule::LeaveOneOut {} => format!(
                "none of the users of {rows} rows has three rows, so that nothing can be held out; use more data, or the column that names the user"
            ),
            _ => format!("{rows} rows are too few for a training and a validation split"),
        };
        return Err(DataError::of_records(records.file(), detail));
    }
    Ok(splits)
}

fn consecutive(records: &Records, train: usize, validation: usize) -> [Records; 3] {
    let rows = |from: usize, to: usize| records.select(&(from..to).collect::<Vec<_>>());
    [rows(0, train), rows(train, validation), rows(validation, records.len())]
}

fn characters(data: &Undivided, fractions: Fractions) -> Result<[Records; 3], DataError> {
    let text = Running::new(data)?;
    let (train, validation) = fractions.ends(text.count);
    Ok([0..train, train..validation, validation..text.count].map(|part| text.records(&[part])))
}

/// Folds of a running text: consecutive parts of equal length, of which one is the test split; the end of the others is the validation split.
fn text_folds(data: &Undivided, folds: usize, fold: usize, fractions: Fractions) -> Result<[Records; 3], DataError> {
    let text = Running::new(data)?;
    let end = |part: usize| text.count * part / folds;
    let held_out = end(fold - 1)..end(fold);
    let (train, _) = fractions.ends(text.count - held_out.len());
    // Positions in the text of those that are not held out.
    let position = |index: usize| if index < held_out.start { index } else { index + held_out.len() };
    let parts = |from: usize, to: usize| {
        let (from, to) = (position(from), position(to));
        let before = from..to.min(held_out.start);
        let after = from.max(held_out.end)..to;
        [before, after].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>()
    };
    let rest = text.count - held_out.len();
    Ok([parts(0, train), parts(train, rest), vec![held_out.clone()]].map(|parts| text.records(&parts)))
}

/// The running text of records that are divided by characters.
struct Running<'a> {
    records: &'a Records,
    column: &'a str,
    text: String,
    /// Number of characters.
    count: usize,
}

impl<'a> Running<'a> {
    fn new(data: &Undivided<'a>) -> Result<Self, DataError> {
        let (role, column) = data.column(Content::Text, "by")?;
        let records = data.records;
        let text = records.joined(role, column)?;
        let count = text.chars().count();
        if count < MIN_CHARACTERS {
            let detail = format!("{count} characters are too few to train on; at least {MIN_CHARACTERS} are needed");
            return Err(DataError::of_records(records.file(), detail));
        }
        Ok(Self { records, column, text, count })
    }

    /// A row for each part that is not empty, given as ranges of characters.
    fn records(&self, parts: &[Range<usize>]) -> Records {
        let cut = |character: usize| self.text.char_indices().nth(character).map_or(self.text.len(), |(cut, _)| cut);
        let parts = parts.iter().filter(|part| !part.is_empty()).map(|part| cut(part.start)..cut(part.end));
        let parts: Vec<Range<usize>> = parts.collect();
        let lines = parts.iter().map(|part| 1 + self.text[..part.start].matches('\n').count());
        let column = [(self.column, Column::text(parts.iter().map(|part| &self.text[part.clone()])))];
        match self.records.file() {
            Some(file) => Records::of_file(file, column, lines),
            None => Records::new(column),
        }
    }
}

/// Removes rows that repeat an earlier row in all columns with a role that single columns have.
pub(crate) fn distinct(data: &Undivided) -> Result<Records, DataError> {
    // A split without files has no columns.
    Ok(data.records.select(&unseen(data, &mut HashSet::new())?))
}

/// The rows whose columns with a role differ from those `seen` before, to which they are added.
pub(crate) fn unseen(data: &Undivided, seen: &mut HashSet<Vec<String>>) -> Result<Vec<usize>, DataError> {
    if data.records.is_empty() {
        return Ok(Vec::new());
    }
    let contents = contents(data)?;
    let is_new = |&row: &usize| seen.insert(items(&contents, row).map(str::to_owned).collect());
    Ok((0..data.records.len()).filter(is_new).collect())
}

/// The rows none of whose texts is among those `seen` in other splits, to which theirs are added.
pub(crate) fn unseen_texts(data: &Undivided, seen: &mut HashSet<(usize, String)>) -> Result<Vec<usize>, DataError> {
    if data.records.is_empty() {
        return Ok(Vec::new());
    }
    let is_text = |content: Content| matches!(content, Content::Text | Content::Tokens);
    let texts = data.spec.single(data.columns).filter(|(role, _)| is_text(role.content));
    let columns: Vec<&Column> =
        texts.map(|(role, name)| data.records.column(role.name, name)).collect::<Result<_, _>>()?;
    let text = |row: usize, index: usize| (index, items(&columns[index..=index], row).collect::<Vec<_>>().join("\0"));
    let texts = |row: usize| (0..columns.len()).map(move |index| (row, index));
    let is_new = |&row: &usize| texts(row).all(|(row, index)| !seen.contains(&text(row, index)));
    let new: Vec<usize> = (0..data.records.len()).filter(is_new).collect();
    seen.extend(new.iter().flat_map(|&row| texts(row)).map(|(row, index)| text(row, index)));
    Ok(new)
}

/// Order of rows by the contents of the columns with a role.
fn comparison<'a>(data: &Undivided<'a>) -> Result<impl Fn(usize, usize) -> Ordering + 'a, DataError> {
    let contents = contents(data)?;
    Ok(move |a: usize, b: usize| items(&contents, a).cmp(items(&contents, b)))
}

/// The columns with a role that single columns have, in the order of the roles.
fn contents<'a>(data: &Undivided<'a>) -> Result<Vec<&'a Column>, DataError> {
    data.spec.single(data.columns).map(|(role, name)| data.records.column(role.name, name)).collect()
}

/// The texts of a row; the ends of lists are marked, so that lists of other lengths differ.
fn items<'a>(columns: &[&'a Column], row: usize) -> impl Iterator<Item = &'a str> {
    columns
        .iter()
        .flat_map(move |column| {
            let items: Vec<&str> = match *column {
                Column::Text(texts) => vec![&*texts[row]],
                Column::Lists(lists) => lists[row].iter().map(String::as_str).chain(["\0"]).collect(),
                Column::Numbers(_) | Column::Series(_) => Vec::new(),
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

    fn columns() -> Columns {
        Columns::default().with("text", "text").with("label", "label")
    }

    fn undivided<'a>(records: &'a Records, columns: &'a Columns) -> Undivided<'a> {
        Undivided { records, columns, labels: &[], spec: &crate::classification::DATA }
    }

    fn texts(splits: &[Records; 3]) -> [Vec<String>; 3] {
        splits.each_ref().map(|split| {
            let texts = split.texts("text", "text").unwrap();
            texts.iter().map(|text| text.to_string()).collect()
        })
    }

    #[test]
    fn consecutive_and_every_nth_rows() {
        let names: Vec<String> = (0..20).map(|row| format!("{row:02}")).collect();
        let records = records(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let of =
            |text: &str| texts(&split(&undivided(&records, &columns()), &rule(text)).unwrap()).map(|split| split.len());
        assert_eq!(of("by = \"rows\"\nvalidation = 0.15\ntest = 0.15"), [14, 3, 3]);
        assert_eq!(of("by = \"every\"\nvalidation = 5"), [16, 4, 0]);
        assert_eq!(of("by = \"shuffle\"\nvalidation = 0.1\ntest = 0.1"), [16, 2, 2]);
        for (text, part) in [
            ("by = \"rows\"\nvalidation = 0.6\ntest = 0.5", "data.split.validation = 0.6"),
            ("by = \"rows\"\nvalidation = -0.1", "data.split.validation = -0.1"),
            ("by = \"rows\"\nvalidation = 0.0", "data.split.validation = 0: a fraction of at least 0.0001"),
            ("by = \"rows\"\nvalidation = 0.96", "20 rows are too few"),
            ("by = \"every\"\nvalidation = 1", "an integer of at least 2"),
            ("by = \"shuffle\"\nvalidation = 0.01", "20 rows are too few for all splits; at least 100 are needed"),
            ("by = \"time\"\nvalidation = \"05\"", "data.split.validation"),
            ("by = \"folds\"\nfolds = 1\nfold = 1", "data.split.folds = 1: an integer of at least 2"),
            ("by = \"folds\"\nfolds = 30\nfold = 30", "20 rows are too few for 30 parts"),
            ("by = \"folds\"\nfolds = 5\nfold = 1\nvalidation = 0.6", "data.split.validation = 0.6: at most 0.5"),
            ("by = \"folds\"\nfolds = 5\nfold = 6", "data.split.fold = 6: an integer from 1 to 5"),
        ] {
            let error = split(&undivided(&records, &columns()), &rule(text)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn folds_of_one_text_are_consecutive_parts() {
        let text: String = (0..1_000u32).map(|index| char::from_u32(0x4e00 + index).unwrap()).collect();
        let records = Records::new([("text", Column::text([text.as_str()]))]);
        let columns = Columns::default().with("text", "text");
        let of = |fold: usize| {
            let data = Undivided { records: &records, columns: &columns, labels: &[], spec: &crate::corpus::DATA };
            let rule = SplitRule::Folds { folds: 5, fold, validation: 0.1, seed: 0, group: None };
            texts(&split(&data, &rule).unwrap()).map(|parts| parts.concat())
        };
        let at = |from: usize, to: usize| text.chars().skip(from).take(to - from).collect::<String>();
        assert_eq!(of(1), [at(200, 920), at(920, 1_000), at(0, 200)]);
        assert_eq!(of(3), [at(0, 400) + &at(600, 920), at(920, 1_000), at(400, 600)]);
        assert_eq!(of(5), [at(0, 720), at(720, 800), at(800, 1_000)]);
        let together: String = (1..=5).map(|fold| of(fold)[2].clone()).collect();
        assert_eq!(together, text);
    }

    #[test]
    fn texts_in_any_number_of_files_are_divided_into_folds() {
        let columns = Columns::default().with("text", "text");
        for (files, folds) in (1..=24).flat_map(|files| [2, 3, 5, 10].map(|folds| (files, folds))) {
            let all: Vec<String> = (0..files).map(|file| format!("the text of file {file}. ").repeat(10)).collect();
            let records = Records::new([("text", Column::text(all.iter().map(String::as_str)))]);
            let data = Undivided { records: &records, columns: &columns, labels: &[], spec: &crate::corpus::DATA };
            let whole = records.joined("text", "text").unwrap();
            for seed in 0..5 {
                let held_out = (1..=folds).map(|fold| {
                    let rule = SplitRule::Folds { folds, fold, validation: 0.1, seed, group: None };
                    let parts = split(&data, &rule).map(|parts| texts(&parts)).unwrap();
                    assert!(
                        parts.iter().all(|part| !part.concat().is_empty()),
                        "{files} files, fold {fold} of {folds}"
                    );
                    parts[2].clone()
                });
                let mut held_out: Vec<String> = held_out.flatten().collect();
                // Whole files, or consecutive parts in order.
                if held_out.concat() != whole {
                    held_out.sort();
                    let mut all = all.clone();
                    all.sort();
                    assert_eq!(held_out, all, "{files} files, {folds} folds");
                }
            }
        }
        // Many lines are divided as before: whole lines, at random.
        let lines: Vec<String> = (0..100).map(|line| format!("line {line} of a text")).collect();
        let records = Records::new([("text", Column::text(lines.iter().map(String::as_str)))]);
        let data = Undivided { records: &records, columns: &columns, labels: &[], spec: &crate::corpus::DATA };
        let rule = SplitRule::Folds { folds: 5, fold: 1, validation: 0.1, seed: 0, group: None };
        let parts = texts(&split(&data, &rule).unwrap());
        assert_eq!(parts[2].len(), 20);
        assert!(parts.concat().iter().all(|line| lines.contains(line)));
    }

    #[test]
    fn a_column_names_the_split_of_each_row() {
        let records = Records::new([
            ("text", Column::text(["a", "b", "c", "d"])),
            ("part", Column::text(["train", " valid", "test", ""])),
        ]);
        let of = |text: &str| split(&undivided(&records, &columns()), &rule(text)).map(|found| texts(&found));
        let found = of("by = \"column\"\ncolumn = \"part\"\nvalidation = \"valid\"").unwrap();
        assert_eq!(found, [vec!["a", "d"], vec!["b"], vec!["c"]]);
        let error = of("by = \"column\"\ncolumn = \"part\"").unwrap_err().to_string();
        assert!(
            error
                .contains("data.split.validation = validation: a value of column `part`, such as , test, train, valid"),
            "{error}"
        );
    }

    #[test]
    fn systematic_splits_are_stratified_and_keep_groups_together() {
        let names: Vec<String> =
            (0..400).map(|row| format!("{}{}", if row % 4 == 0 { "b" } else { "a" }, row / 2 * 2)).collect();
        let records = records(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let of = |text: &str| texts(&split(&undivided(&records, &columns()), &rule(text)).unwrap());
        let splits = of("by = \"systematic\"\nvalidation = 0.2\ntest = 0.1");
        for (label, groups) in [("b", 100), ("a", 200)] {
            let count = |split: &Vec<String>| {
                split.iter().filter(|text| text.starts_with(label)).collect::<std::collections::BTreeSet<_>>().len()
            };
            let sizes = splits.each_ref().map(count);
            assert_eq!(sizes.iter().sum::<usize>(), groups, "no group is divided");
            let expected = [0.7, 0.2, 0.1].map(|share| share * groups as f64);
            assert!(sizes.iter().zip(expected).all(|(&size, share)| (size as f64 - share).abs() <= 1.0), "{sizes:?}");
        }
        assert_ne!(of("by = \"systematic\"\nvalidation = 0.2\ntest = 0.1\nseed = 1"), splits);
        let of_labels = rule("by = \"systematic\"\nvalidation = 0.5\ngroup = \"label\"");
        let error = split(&undivided(&records, &columns()), &of_labels).unwrap_err().to_string();
        assert!(error.contains("no validation split"), "the only group of each label is trained on: {error}");
        let error =
            split(&undivided(&records, &columns()), &rule("by = \"systematic\"\nvalidation = 0.6")).unwrap_err();
        assert!(error.to_string().contains("data.split.validation = 0.6: at most 0.5"), "{error}");
    }

    #[test]
    fn folds_divide_all_rows_stratified_with_groups_together() {
        let names: Vec<String> =
            (0..200).map(|row| format!("{}{}", if row % 4 == 0 { "b" } else { "a" }, row / 2 * 2)).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let fold = |rows: usize, fold: usize, seed: u64| {
            let rule = SplitRule::Folds { folds: 5, fold, validation: 0.2, seed, group: None };
            texts(&split(&undivided(&records(&all[..rows]), &columns()), &rule).unwrap())
        };
        let folds: Vec<Vec<String>> = (1..=5).map(|number| fold(200, number, 0)[2].clone()).collect();
        let mut together: Vec<String> = folds.concat();
        together.sort();
        let mut expected = names.clone();
        expected.sort();
        assert_eq!(together, expected, "each row is in one part");
        for (number, held_out) in (1..).zip(&folds) {
            let [train, validation, _] = fold(200, number, 0);
            assert!(held_out.iter().all(|text| !train.contains(text) && !validation.contains(text)));
            assert!(validation.iter().all(|text| !train.contains(text)));
            let count = |split: &[String], label: &str| {
                split.iter().filter(|text| text.starts_with(label)).collect::<HashSet<_>>().len()
            };
            assert_eq!((count(held_out, "a"), count(held_out, "b")), (20, 10));
            assert!(count(&validation, "a").abs_diff(16) <= 1 && count(&validation, "b").abs_diff(8) <= 1);
            // Appended rows move no others.
            let fewer = fold(150, number, 0);
            assert!(fewer[2].iter().all(|text| held_out.contains(text)));
            assert!(fewer[1].iter().all(|text| validation.contains(text)));
        }
        assert_ne!(fold(200, 1, 1)[2], folds[0]);
    }

    proptest! {
        #[test]
        fn appended_rows_change_no_systematic_split(
            labels in prop::collection::vec(0..5u8, 40..200), kept in 20..40usize, seed: u64,
        ) {
            let names: Vec<String> = (0..).zip(&labels).map(|(row, label)| format!("{label}{row}")).collect();
            let all: Vec<&str> = names.iter().map(String::as_str).collect();
            let systematic = SplitRule::Systematic { validation: 0.2, test: 0.1, seed, group: None };
            let of = |texts: &[&str]| {
                let records = records(texts);
                // Without the check for empty splits.
                let found = Systematic { fractions: Fractions::new(0.2, 0.1).unwrap(), seed };
                found.split(&undivided(&records, &columns()), None).unwrap()
            };
            prop_assert!(systematic.check().is_ok());
            let (before, after) = (texts(&of(&all[..kept])), texts(&of(&all)));
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(before.iter().all(|text| after.contains(text)));
            }
            // Every label is trained on.
            let first = |split: &[String]| split.iter().map(|text| text[..1].to_owned()).collect::<HashSet<_>>();
            prop_assert_eq!(first(&after[0]), first(&names));
        }

        #[test]
        fn shuffled_splits_are_disjoint_stratified_and_independent_of_order(
            count in 10..60usize, seed: u64, reversed: bool,
        ) {
            let names: Vec<String> = (0..count).flat_map(|row| [format!("a{row}"), format!("b{row}"), format!("a{row}")]).collect();
            let mut order: Vec<&str> = names.iter().map(String::as_str).collect();
            let shuffle = SplitRule::Shuffle { validation: 0.1, test: 0.1, seed, stratify: true };
            let of = |order: &[&str]| {
                let columns = columns();
                let distinct = distinct(&undivided(&records(order), &columns)).unwrap();
                texts(&split(&undivided(&distinct, &columns), &shuffle).unwrap())
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
