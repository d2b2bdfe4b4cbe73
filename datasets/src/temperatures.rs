//! Daily minimum temperatures in Melbourne, in °C, 1981 to 1990, from the Australian Bureau of Meteorology.
//!
//! One file with one row per day, `"1981-01-01",20.7`, as published. Every year has 365 rows: the file lacks December 31 of the
//! leap years 1984 and 1988, so a season is 365 rows, and two of the steps are two days.
//!
//! Splits are whole years: training 1981 to 1987, validation 1988, test 1989 and 1990.

use std::path::Path;

use chrono::NaiveDate;

use crate::DataError;
use crate::catalog::{Data, Dataset, Origin, Source};
use crate::series::Series;
use crate::table::Table;
use crate::timestamps::{TimeStep, shown};

/// Metadata of the dataset.
pub static DATASET: Dataset = Dataset {
    name: "temperatures",
    summary: "3,650 daily minimum temperatures in Melbourne; Australian Bureau of Meteorology",
    example: "",
    license: "Australian Bureau of Meteorology, via the Time Series Data Library",
    origin: Origin::Files { files: &FILES, load: |dir| load(dir).map(Data::Series) },
};

const FILES: [Source; 1] = [Source::new(
    "https://raw.githubusercontent.com/jbrownlee/Datasets/master/daily-min-temperatures.csv",
    "timeseries/daily-min-temperatures.csv",
    Some("8b9de63ed6789492bf497625e7f9beb96a63d367b4b0a21754006f749fa5e5da"),
)];

/// Rows per year.
const YEAR: usize = 365;
/// Years in the file, in the training split, and up to the end of the validation split.
const YEARS: usize = 10;
const TRAIN: usize = 7;
const VALIDATION: usize = 8;

/// Loads `daily-min-temperatures.csv` from `dir` or `dir/timeseries`.
///
/// # Errors
/// If the file is missing, its columns or dates differ from the published file, or a temperature is not a number.
pub fn load(dir: &Path) -> Result<Series, DataError> {
    let path = DATASET.folder(dir)?.join("daily-min-temperatures.csv");
    let table = Table::read(&path)?;
    if table.header.fields != ["Date", "Temp"][..] {
        return Err(DataError::line(
            &path,
            table.header.line,
            format!("the header is not `Date,Temp`; {}", DATASET.hint()),
        ));
    }
    let times = table.texts(0)?;
    for (row, time) in times.iter().enumerate() {
        let expected = day(row);
        if *time != expected {
            let detail = format!("{} instead of {expected}, as in the published file; {}", shown(time), DATASET.hint());
            return Err(DataError::line(&path, table.rows[row].line, detail));
        }
    }
    if times.len() != YEARS * YEAR {
        return Err(DataError::damaged(&path, format!("{} of {} days", times.len(), YEARS * YEAR)));
    }
    Ok(Series {
        columns: vec![table.numbers(1)?],
        timestamps: times,
        step: TimeStep::Seconds(24 * 60 * 60),
        // With 365 rows per year, January 1 has phase 0.
        first_step: 0,
        season: Some(YEAR),
        train_end: TRAIN * YEAR,
        validation_end: VALIDATION * YEAR,
    })
}

/// The date of a row, with 365 rows per year.
fn day(row: usize) -> String {
    let day = NaiveDate::from_yo_opt(1981 + (row / YEAR) as i32, (row % YEAR) as u32 + 1);
    day.map_or_else(String::new, |day| day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::Split;
    use crate::series::Standardization;

    /// A file in the published format.
    fn published() -> String {
        let rows = (0..YEARS * YEAR).map(|row| format!("\"{}\",{}.5\r\n", day(row), row % YEAR));
        std::iter::once("\"Date\",\"Temp\"\r\n".to_owned()).chain(rows).collect()
    }

    fn load_text(text: &str) -> Result<Series, DataError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("daily-min-temperatures.csv"), text).unwrap();
        load(dir.path())
    }

    #[test]
    fn splits_are_whole_years_without_the_last_day_of_leap_years() {
        let series = load_text(&published()).unwrap();
        let ends = Split::ALL.map(|split| {
            let rows = series.split(split);
            (&*series.timestamps[rows.start], &*series.timestamps[rows.end - 1])
        });
        let years = [("1981-01-01", "1987-12-31"), ("1988-01-01", "1988-12-30"), ("1989-01-01", "1990-12-31")];
        assert_eq!(ends, years);
        assert!(!series.timestamps.contains(&"1984-12-31".to_owned()));
        assert_eq!([1, 32].map(|k| series.next_time(k)), ["1991-01-01", "1991-02-01"]);
        assert_eq!(series.seasonal_naive(series.validation_end, 2), Some(vec![0.5, 1.5]));
    }

    #[test]
    fn later_rows_do_not_affect_the_training_split() {
        let (plain, later) = (load_text(&published()).unwrap(), published());
        let (before, after) = later.split_at(later.find("\"1988-01-01\"").unwrap());
        let later = load_text(&(before.to_owned() + &after.replace("\",", "\",7"))).unwrap();
        assert_ne!(later.target(), plain.target());
        assert_eq!(later.target()[..later.train_end], plain.target()[..plain.train_end]);
        assert_eq!((later.train_end, Standardization::fit(&later)), (plain.train_end, Standardization::fit(&plain)));
    }

    #[test]
    fn other_gaps_and_damage_are_errors_that_name_the_line() {
        let published = published();
        for (from, to, part) in [
            ("1984-12-30", "1984-12-31", "line 1461: `1984-12-31` instead of 1984-12-30"),
            ("\"1981-01-03\",2.5\r\n", "", "line 4: `1981-01-04` instead of 1981-01-03"),
            ("\"1990-12-31\",364.5\r\n", "", "3649 of 3650 days"),
            ("\"Temp\"", "\"Rain\"", "line 1: the header is not `Date,Temp`"),
            (",7.5", ",?7.5", "line 9: `?7.5` in column `Temp` is not a number"),
            (",7.5", ",", "line 9: missing value in column `Temp`"),
        ] {
            let text = published.replacen(from, to, 1);
            assert_ne!(text, published);
            let error = load_text(&text).unwrap_err().to_string();
            assert!(error.contains("daily-min-temperatures.csv") && error.contains(part), "{error}");
        }
        let error = load(tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
        assert!(error.contains(FILES[0].url), "{error}");
    }
}
