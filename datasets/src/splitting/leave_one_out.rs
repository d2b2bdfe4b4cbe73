//! Leave-one-out division of the rows of each user: see [`SplitRule::LeaveOneOut`](crate::split_rule::SplitRule::LeaveOneOut).

use super::Undivided;
use crate::DataError;
use crate::chronology::Chronology;
use crate::records::Records;

/// Minimum number of rows of a user of which one is held out for each of validation and test.
const MIN_ROWS: usize = 3;

pub(super) fn split(data: &Undivided) -> Result<[Records; 3], DataError> {
    let records = data.records;
    let mut of_rows = vec![0; records.len()];
    for (_, rows) in Chronology::of(records, data.columns)?.users {
        if let [.., validation, test] = rows[..]
            && rows.len() >= MIN_ROWS
        {
            (of_rows[validation], of_rows[test]) = (1, 2);
        }
    }
    Ok([0, 1, 2].map(|split| {
        let rows: Vec<usize> = (0..records.len()).filter(|&row| of_rows[row] == split).collect();
        records.select(&rows)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;
    use crate::records::Column;

    #[test]
    fn the_last_two_rows_of_each_user_are_held_out() {
        // In order of time: a has items 4, 0, 2, 6; b has 5, 1, 3; c has 7 and 8 only.
        let users = ["a", "b", "a", "b", "a", "b", "a", "c", "c"];
        let times = [2.0, 5.0, 3.0, 6.0, 1.0, 4.0, 4.0, 1.0, 2.0];
        let records = Records::new([
            ("user", Column::text(users)),
            ("item", Column::text((0..9).map(|item| item.to_string()))),
            ("time", Column::text(times.map(|time: f64| time.to_string()))),
        ]);
        let of = |columns: Columns| {
            let data =
                Undivided { records: &records, columns: &columns, labels: &[], spec: &crate::interactions::DATA };
            let texts = |split: Records| -> Vec<String> {
                split.texts("item", "item").unwrap().iter().map(|item| item.to_string()).collect()
            };
            split(&data).unwrap().map(texts)
        };
        let columns = Columns::default().with("user", "user").with("item", "item");
        let [train, validation, test] = of(columns.clone().with("time", "time"));
        assert_eq!((train.concat(), validation.concat(), test.concat()), ("04578".into(), "12".into(), "36".into()));
        let [_, validation, test] = of(columns);
        assert_eq!((validation.concat(), test.concat()), ("34".into(), "56".into()));
    }
}
