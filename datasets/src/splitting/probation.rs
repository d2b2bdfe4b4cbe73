//! Division of several series, each in its order: see [`SplitRule::Probation`](crate::split_rule::SplitRule::Probation).

use super::Undivided;
use crate::DataError;
use crate::records::Records;
use crate::split_rule::probation_rows;

pub(super) fn split(data: &Undivided, fraction: f64, rows: usize, validation: f64) -> Result<[Records; 3], DataError> {
    let records = data.records;
    let (names, of_rows) = records.series_of_rows(data.columns.get("series"))?;
    let mut counts = vec![0; names.len()];
    of_rows.iter().for_each(|&series| counts[series] += 1);
    let ends: Vec<(usize, usize)> = counts
        .iter()
        .map(|&count| {
            let end = probation_rows(count, fraction, rows);
            (end - (end as f64 * validation).ceil() as usize, end)
        })
        .collect();
    let mut splits = [Vec::new(), Vec::new(), Vec::new()];
    let mut places = vec![0; names.len()];
    for (row, &series) in of_rows.iter().enumerate() {
        let ((train, end), place) = (ends[series], places[series]);
        places[series] += 1;
        splits[usize::from(place >= train) + usize::from(place >= end)].push(row);
    }
    Ok(splits.map(|rows| records.select(&rows)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;
    use crate::records::Column;

    #[test]
    fn each_series_is_divided_in_its_order() {
        // Two series whose rows alternate: the first has 30 rows, the second 10.
        let name = |row: usize| if row < 20 && row % 2 == 1 { "b" } else { "a" };
        let records = Records::new([
            ("id", Column::text((0..40).map(name))),
            ("value", Column::Numbers((0..40).map(f64::from).collect())),
        ]);
        let columns = Columns::default().with("value", "value").with("series", "id");
        let data = Undivided { records: &records, columns: &columns, labels: &[], spec: &crate::anomalies::DATA };
        let found = split(&data, 0.5, 10, 0.2).unwrap();
        let of = |split: &Records, series: &str| {
            let (ids, values) = (split.texts("series", "id").unwrap(), split.numbers("value", "value", "").unwrap());
            let rows = ids.iter().zip(values).filter(|(id, _)| ***id == *series);
            rows.map(|(_, value)| value).collect::<Vec<f64>>()
        };
        // At most ten rows of the probationary period, of which a fifth is for validation.
        assert_eq!(of(&found[0], "a"), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]);
        assert_eq!(of(&found[1], "a"), [16.0, 18.0]);
        assert_eq!(of(&found[2], "a").len(), 20);
        assert_eq!((of(&found[0], "b"), of(&found[1], "b")), (vec![1.0, 3.0, 5.0, 7.0], vec![9.0]));
        assert_eq!(of(&found[2], "b"), [11.0, 13.0, 15.0, 17.0, 19.0]);
    }
}
