//! The rows of each user, in order of time.

use std::collections::HashMap;
use std::sync::Arc;

use crate::DataError;
use crate::columns::Columns;
use crate::records::Records;
use crate::timestamps::{numbers, quoted};

/// The rows of each user, in order of time.
pub(crate) struct Chronology<'a> {
    /// Name and rows of each user, in the order of their first rows.
    pub users: Vec<(&'a str, Vec<usize>)>,
    /// A number for each row that increases with time; `None` without a column of times.
    pub times: Option<Vec<f64>>,
}

impl<'a> Chronology<'a> {
    /// Groups records by the column `user`; the rows of a user are sorted by the column `time`, else they remain in their order.
    ///
    /// # Errors
    /// If a column is missing, a user is missing, or a time is neither a number nor a timestamp.
    pub fn of(records: &'a Records, columns: &Columns) -> Result<Self, DataError> {
        let names = present(records, "user", columns.need("user")?)?;
        let times = columns.get("time").map(|name| times(records, name)).transpose()?;
        let (mut indices, mut users) = (HashMap::new(), Vec::new());
        for (row, name) in names.iter().enumerate() {
            let index = *indices.entry(&**name).or_insert_with(|| {
                users.push((&**name, Vec::new()));
                users.len() - 1
            });
            users[index].1.push(row);
        }
        if let Some(times) = &times {
            users.iter_mut().for_each(|(_, rows)| rows.sort_by(|&a, &b| times[a].total_cmp(&times[b])));
        }
        Ok(Self { users, times })
    }
}

/// The texts of a column, none of which is empty.
///
/// # Errors
/// If there is no such column, or a text is empty.
pub(crate) fn present<'a>(records: &'a Records, role: &'static str, name: &str) -> Result<&'a [Arc<str>], DataError> {
    let texts = records.texts(role, name)?;
    match texts.iter().position(|text| text.trim().is_empty()) {
        Some(row) => {
            let detail = format!("missing value in column {}; fill it in or remove the row", quoted(name));
            Err(records.error(row, detail))
        }
        None => Ok(texts),
    }
}

fn times(records: &Records, name: &str) -> Result<Vec<f64>, DataError> {
    let texts = records.texts("time", name)?;
    numbers(texts).map_err(|row| {
        let expected = "neither a number nor a timestamp in the format of the first row";
        let text = quoted(&texts[row]);
        records.error(row, format!("{text} in column {} is {expected}; correct it or remove the row", quoted(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Column;

    fn records(rows: &[[&str; 2]]) -> Records {
        let column = |index: usize| Column::text(rows.iter().map(|row| row[index]));
        Records::new([("who", column(0)), ("when", column(1))])
    }

    #[test]
    fn rows_are_sorted_by_time_within_each_user() {
        let columns = Columns::default().with("user", "who").with("time", "when");
        for times in [["3", "20", "1.5", "3"], ["2024-01-03", "2024-02-01", "2024-01-01", "2024-01-03"]] {
            let rows: Vec<[&str; 2]> =
                ["a", "b", "a", "a"].into_iter().zip(times).map(|(who, time)| [who, time]).collect();
            let records = records(&rows);
            let found = Chronology::of(&records, &columns).unwrap();
            assert_eq!(found.users, [("a", vec![2, 0, 3]), ("b", vec![1])], "equal times keep their order");
        }
        let unsorted = records(&[["a", "3"], ["a", "1"]]);
        let without = Chronology::of(&unsorted, &Columns::default().with("user", "who")).unwrap();
        assert_eq!(without.users, [("a", vec![0, 1])]);
        for (rows, part) in [
            ([["a", "1"], ["a", "soon"]], "row 1: `soon` in column `when` is neither a number nor a timestamp"),
            ([["a", "2024-01-03"], ["a", "2024-13-03"]], "row 1: `2024-13-03` in column"),
            ([["a", "1"], ["a", "inf"]], "row 1: `inf` in column"),
            ([["a", "1"], [" ", "2"]], "row 1: missing value in column `who`"),
        ] {
            let records = records(&rows);
            let error = Chronology::of(&records, &columns).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
