//! Time series in CSV files of the user, to forecast from; the format is `csv`, see [`formats`](crate::formats).
//!
//! Rows must be in time order with equal steps: missing and duplicate steps are errors, since a model treats all steps as equal. The
//! first 70% of the rows are the training split, the next 15% the validation split, the rest the test split.

use std::path::Path;

use toml::Table;

use crate::DataError;
use crate::columns::Columns;
use crate::formats::Format;
use crate::reading::Input;
use crate::records::Records;
use crate::series::Series;
use crate::timestamps::TimeStep;

/// Reads a series to forecast from, for a model trained on time steps of `step`, see [`Series::recent`].
///
/// # Errors
/// As for [`Series::recent`], or if the file cannot be read or is not a table.
pub fn read_recent(path: &Path, columns: &Columns, step: TimeStep) -> Result<Series, DataError> {
    Series::recent(&records(path)?, columns, step)
}

/// The column names of a file, in order.
///
/// # Errors
/// If the file cannot be read or is not a table.
pub fn header(path: &Path) -> Result<Vec<String>, DataError> {
    Ok(records(path)?.names().map(str::to_owned).collect())
}

fn records(path: &Path) -> Result<Records, DataError> {
    Format::named("csv")?.read(&Input::file(path), &Table::new(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Standardization;
    use crate::settings::{DataSettings, Paths};
    use proptest::prelude::*;

    fn columns(time: Option<&str>, target: &str, features: &[&str]) -> Columns {
        let columns = Columns::default().with("target", target).with_several("features", features.iter().copied());
        time.map_or(columns.clone(), |time| columns.with("time", time))
    }

    /// A series for training.
    fn read(path: &Path, columns: &Columns) -> Result<Series, DataError> {
        let settings = DataSettings {
            format: Some("csv".to_owned()),
            files: Paths(vec![path.to_owned()]),
            columns: columns.clone(),
            ..DataSettings::default()
        };
        Series::from_records(&settings.load(Path::new(""), &crate::series::DATA)?)
    }

    /// 40 days on lines 2 to 41, with `fields` for the columns `Load` and `Wind`.
    fn table(fields: impl Fn(usize) -> String) -> String {
        let rows = (1..=40).map(|day| {
            let date = if day < 32 { format!("2024-01-{day:02}") } else { format!("2024-02-{:02}", day - 31) };
            format!("{date},{},calm\n", fields(day))
        });
        std::iter::once("Day,Load,Wind,Note\n".to_owned()).chain(rows).collect()
    }

    fn good() -> String {
        table(|day| format!("{day}.5,{}", 100 - day))
    }

    fn parse(bytes: impl AsRef<[u8]>, columns: &Columns) -> Result<Series, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("load.csv");
        std::fs::write(&path, bytes).unwrap();
        read(&path, columns)
    }

    fn default_columns() -> Columns {
        columns(Some("Day"), "Load", &["Wind"])
    }

    #[test]
    fn rows_become_columns_with_three_splits() {
        let series = parse(good(), &default_columns()).unwrap();
        assert_eq!((series.rows(), series.train_end, series.validation_end), (40, 28, 34));
        assert_eq!((&*series.columns[0].name, &*series.columns[1].name), ("Load", "Wind"));
        assert_eq!((series.target()[1], series.columns[1].values[1]), (2.5, 98.0));
        assert_eq!((series.step, series.season, series.first_step), (TimeStep::Seconds(86_400), None, 19_723));
        assert_eq!((&*series.timestamps[31], &*series.next_time(20)), ("2024-02-01", "2024-02-29"));
    }

    #[test]
    fn equivalent_csv_dialects_yield_the_same_series() {
        let series = parse(good(), &default_columns()).unwrap();
        for text in [
            good().replace('\n', "\r\n") + "\r\n  \r\n",
            format!("\u{feff}\n{}\n,,,\n", good().trim_end()),
            good().replace(',', ";").replace("calm", "\"a, calm, day\""),
            good().replace(',', "\t"),
            good().replace("Note", "\"Note; or \"\"remark;;;\"\"\"").replace("calm", "\"two\n\nlines, \""),
            good().replace(',', " , "),
            good().replace("Load", "\" Load \"").replace(",2.5,", ",\"2.5\","),
        ] {
            assert_eq!(parse(&text, &default_columns()).unwrap(), series, "{text}");
        }
    }

    #[test]
    fn later_rows_do_not_affect_the_training_split() {
        let plain = parse(good(), &default_columns()).unwrap();
        let text = good();
        let (before, after) = text.split_at(text.match_indices('\n').nth(plain.train_end).unwrap().0);
        let later = parse(before.to_owned() + &after.replace(".5,", ".75,"), &default_columns()).unwrap();
        assert_ne!(later, plain);
        assert_eq!(later.target()[..later.train_end], plain.target()[..plain.train_end]);
        assert_eq!((later.train_end, Standardization::fit(&later)), (plain.train_end, Standardization::fit(&plain)));
    }

    #[test]
    fn rows_are_numbered_without_a_time_column() {
        let without = good().replace("2024-01-07,", "2024-01-09,");
        let series = parse(without, &columns(None, "Load", &[])).unwrap();
        assert_eq!((series.step, &*series.timestamps[39], &*series.next_time(1)), (TimeStep::Count(1), "39", "40"));
    }

    #[test]
    fn errors_name_file_line_and_fix() {
        let one = |from: &str, to: &str| good().replacen(from, to, 1).into_bytes();
        let head = |lines: usize| good().split_inclusive('\n').take(lines).collect::<String>().into_bytes();
        let mut invalid = good().into_bytes();
        let index = good().find("calm").unwrap();
        invalid[index] = 0xff;
        for (bytes, parts) in [
            (vec![], vec!["load.csv: empty", "header"]),
            (head(1), vec!["load.csv: 0 rows are too few"]),
            (head(30), vec!["load.csv: 29 rows are too few"]),
            (invalid, vec!["line 2: not UTF-8", "convert"]),
            (one(",2.5,", ",2,5,"), vec!["line 3: 5 fields, but the header has 4", "quote"]),
            (one("8.5,92,calm", "8.5"), vec!["line 9: 2 fields"]),
            (one("2024-01-05,", "\n2024-01-05,"), vec!["line 6: empty line"]),
            (one("2.5", ""), vec!["line 3: missing value in column `Load`; fill it in or end"]),
            (one(",98,", ", NA ,"), vec!["line 3: missing value in column `Wind`"]),
            (one("2.5", "nan"), vec!["line 3: missing value in column `Load`"]),
            (one("2024-01-03,", ","), vec!["line 4: missing value in column `Day`"]),
            (one("2.5", "warm"), vec!["line 3: `warm` in column `Load` is not a number"]),
            (one("2.5", "-inf"), vec!["line 3: `-inf` in column `Load` is infinite"]),
            (one("2.5", "1e99"), vec!["line 3: `1e99` in column `Load` is infinite as a 32-bit float"]),
            (
                one("Note", "Load"),
                vec!["line 1: columns 2 and 4 are named `Load`", "target is ambiguous", "rename all but one"],
            ),
            (
                one("Wind", "Wnd"),
                vec![
                    "line 1: no column `Wind` to use as features",
                    "did you mean `Wnd`?); the columns are `Day`, `Load`, `Wnd`, `Note`",
                ],
            ),
            (one("Load", "load"), vec!["no column `Load` to use as target", "did you mean `load`"]),
            (one("Day", "Date"), vec!["no column `Day` to use as time"]),
            (one("2024-01-01", "1/1/24"), vec!["line 2: `1/1/24` is not a timestamp: expected `2024-01-31`"]),
            (one("2024-01-04", "4 Jan"), vec!["line 5: `4 Jan` does not have the format of `2024-01-01` on line 2"]),
            (
                one("2024-01-04", "2024-01-02"),
                vec!["line 5: `2024-01-02` repeats line 3; remove", "leave out the column"],
            ),
            (one("2024-01-04", "2023-01-04"), vec!["line 5: `2023-01-04` follows `2024-01-03` on line 4", "sort"]),
            (
                one("2024-01-04,4.5,96,calm\n", ""),
                vec!["line 5: 1 step is missing between `2024-01-03`", "or leave out the column of timestamps"],
            ),
            (one("2024-01-01", "2023-12-29"), vec!["line 3: 3 steps are missing between `2023-12-29` and", "1 day"]),
            (
                table(|day| format!("7,{day}")).into(),
                vec!["load.csv: `Load` is 7 in all 28 training rows", "choose another target"],
            ),
            (
                table(|day| format!("{day},7")).into(),
                vec!["load.csv: `Wind` is 7 in all 28 training rows", "leave it out of the features"],
            ),
            (good().replace('\n', "\r\n\r\n").into(), vec!["line 2: empty line"]),
        ] {
            let error = parse(&bytes, &default_columns()).unwrap_err().to_string();
            let crlf = String::from_utf8_lossy(&bytes).replace('\n', "\r\n");
            assert!(error.contains("load.csv") && parts.iter().all(|part| error.contains(part)), "{error}");
            if !bytes.contains(&0xff) && !bytes.contains(&b'\r') {
                let again = parse(crlf, &default_columns()).unwrap_err().to_string();
                assert!(again.ends_with(error.split_once("load.csv").unwrap().1), "{again}");
            }
        }
        for features in [&["Wind", "Wind"], &["Wind", "Load"]] {
            let error = parse(good(), &columns(Some("Day"), "Load", features)).unwrap_err().to_string();
            assert!(error.contains(&format!("load.csv: `{}` occurs twice", features[1])), "{error}");
        }
        let error = read(Path::new("absent.csv"), &default_columns()).unwrap_err().to_string();
        assert!(error.contains("cannot read absent.csv"), "{error}");
    }

    #[test]
    fn an_empty_name_refers_to_the_column_without_a_name() {
        let unnamed = good().replacen("Day", "", 1);
        let series = parse(&unnamed, &columns(Some(""), "Load", &["Wind"])).unwrap();
        assert_eq!(series, parse(good(), &default_columns()).unwrap());
        assert_eq!(parse(unnamed.replace(',', "\t"), &columns(Some(""), "Load", &["Wind"])).unwrap(), series);
        let error = parse(good(), &columns(Some(""), "Load", &[])).unwrap_err().to_string();
        assert!(error.contains("line 1: no column without a name to use as time; the columns are `Day`"), "{error}");
        let two = unnamed.replacen("Note", "", 1);
        let error = parse(two, &columns(Some(""), "Load", &[])).unwrap_err().to_string();
        assert!(
            error.contains("line 1: columns 1 and 4 have no name, so time is ambiguous; rename all but one"),
            "{error}"
        );
    }

    #[test]
    fn columns_constant_up_to_rounding_are_rejected() {
        // 0.1 + 0.2 and 0.3 are adjacent floats.
        let noise = |day: usize| if day.is_multiple_of(3) { "0.30000000000000004" } else { "0.3" };
        for (text, parts) in [
            (
                table(|day| format!("{},{day}", noise(day))),
                ["`Load` is 0.3 up to rounding in all 28 training rows", "choose another target"],
            ),
            (
                table(|day| format!("{day},{}", noise(day))),
                ["`Wind` is 0.3 up to rounding in all 28 training rows", "out of the features"],
            ),
        ] {
            let error = parse(text, &default_columns()).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        assert!(parse(table(|day| format!("{day},{}", 1_000_000_000 + day % 2)), &default_columns()).is_ok());
    }

    #[test]
    fn recent_tables_may_be_short_and_constant_and_use_the_step_of_the_model() {
        let recent = |text: &str, time: Option<&str>, step: TimeStep| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("recent.csv");
            std::fs::write(&path, text).unwrap();
            read_recent(&path, &columns(time, "y", &[]), step)
        };
        let text = "month,y\n202401,7\n202402,7\n";
        for (step, next) in
            [(TimeStep::Months(1), "202403"), (TimeStep::Weeks(1), "202403"), (TimeStep::Count(1), "202403")]
        {
            let series = recent(text, Some("month"), step).unwrap();
            assert_eq!((series.step, series.next_time(1).as_str(), series.target()), (step, next, &[7.0, 7.0][..]));
        }
        assert_eq!(recent(text, Some("month"), TimeStep::Months(1)).unwrap().next_time(11), "202501");
        assert_eq!(recent("y\n7\n", None, TimeStep::Count(1)).unwrap().rows(), 1);
        assert_eq!(recent("month,y\n202452,7\n", Some("month"), TimeStep::Weeks(1)).unwrap().next_time(1), "202501");
        for (text, step, part) in [
            (text, TimeStep::Seconds(60), "line 2: `202401` to `202402` could be months or weeks"),
            ("month,y\n2024-01,7\n", TimeStep::Weeks(1), "line 2: `2024-01` is the only timestamp"),
            ("month,y\n", TimeStep::Months(1), "no rows"),
            ("month,y\n202401,\n", TimeStep::Months(1), "line 2: missing value in column `y`"),
        ] {
            let error = recent(text, Some("month"), step).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn damaged_files_are_read_or_rejected(index in 0..800usize, byte in any::<u8>(), cut in 0..1000usize) {
            let mut bytes = good().into_bytes();
            bytes[index] = byte;
            bytes.truncate(cut);
            if let Ok(series) = parse(bytes, &default_columns()) {
                prop_assert!(series.columns.iter().all(|column| column.values.len() == series.rows()));
            }
        }
    }
}
