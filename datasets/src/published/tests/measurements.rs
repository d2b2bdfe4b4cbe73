//! Series to classify, to monitor and to forecast; drawings.

use super::*;

#[test]
fn speakers_and_digits_are_series() {
    let dir = tempfile::tempdir().unwrap();
    let header = "@problemName x\n@classLabel true 1 2\n@data\n";
    let rows = |label: u8| (0..10).map(|row| format!("{row},1:2,3:{label}\n")).collect::<String>();
    let path = "japanese_vowels/JapaneseVowels_TRAIN.ts";
    write(dir.path(), path, format!("{header}{}{}", rows(1), rows(2)));
    let vowels = load("japanese-vowels", dir.path(), Signals::from_records).unwrap();
    assert_eq!((vowels.channels, vowels.train.len(), vowels.validation.len()), (2, 16, 4));

    let images = [&[0, 0, 8, 3, 0, 0, 0, 60, 0, 0, 0, 28, 0, 0, 0, 28][..], &[255; 60 * 28 * 28]].concat();
    let labels: Vec<u8> = [0, 0, 8, 1, 0, 0, 0, 60].into_iter().chain((0..60).map(|index| index % 2)).collect();
    for (what, bytes) in [("images-idx3", images), ("labels-idx1", labels)] {
        write(dir.path(), &format!("mnist/train-{what}-ubyte.gz"), variants::gzip(&bytes));
    }
    let digits = load("mnist", dir.path(), Signals::from_records).unwrap();
    assert_eq!((digits.channels, digits.train[0].signal.len(), digits.labels.len()), (28, 28, 2));
    assert_eq!((digits.train.len() + digits.validation.len(), digits.validation.len()), (60, 6));
}

#[test]
fn kanji_are_drawings_with_splits_in_two_files() {
    let dir = tempfile::tempdir().unwrap();
    let line = |width: usize| format!("{{\"drawing\":[[[0,{width}],[0,0]],[[{width},0],[-5,5]]]}}\n");
    write(dir.path(), "kanji_strokes/train.ndjson", (1..9).map(line).collect::<String>() + "{\"drawing\":[]}\n");
    write(dir.path(), "kanji_strokes/valid.ndjson", line(20));
    let kanji = load("kanji-strokes", dir.path(), |splits| Drawings::from_records(splits, 250)).unwrap();
    assert_eq!((kanji.train.len(), kanji.validation.len(), kanji.test.len()), (8, 1, 0));
    assert_eq!(kanji.validation[0].drawing.to_string(), "0,0 20,0;20,-5 0,5");
    let [note] = &kanji.notes[..] else { panic!("{:?}", kanji.notes) };
    assert!(note.starts_with("1 drawing of fewer than 2 points left out; first: ") && note.ends_with("ndjson, line 9"));
}

#[test]
#[allow(clippy::single_range_in_vec_init, reason = "windows are lists of ranges")]
fn monitored_series_have_windows_of_anomalies() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..40).map(|row| format!("2014-04-01 {:02}:00:00,{row}\n", row % 24)).collect();
    for path in ["nab/data/web/a.csv", "nab/data/art/b.csv"] {
        write(dir.path(), path, format!("timestamp,value\n{rows}"));
    }
    let windows =
        "{\"web/a.csv\": [[\"2014-04-01 20:00:00.000000\", \"2014-04-01 22:00:00.000000\"]], \"art/b.csv\": []}";
    write(dir.path(), "nab/labels/combined_windows.json", windows);
    let data = load("nab", dir.path(), Anomalies::from_records).unwrap();
    let series: Vec<_> = data.series.iter().map(|series| (series.name.as_str(), series.windows.clone())).collect();
    assert_eq!(series, [("art/b.csv", vec![]), ("web/a.csv", vec![20..23])]);
    assert_eq!((data.series[1].train_end, data.series[1].validation_end, data.series[1].values.len()), (4, 6, 40));
    assert_eq!(data.series[0].groups[0].1, "art");
}

/// The day of a row of the temperatures, with 365 rows per year.
fn day(row: usize) -> String {
    let day = chrono::NaiveDate::from_yo_opt(1981 + (row / 365) as i32, (row % 365) as u32 + 1);
    day.unwrap().to_string()
}

/// Temperatures in the published format.
fn temperatures() -> String {
    let rows = (0..3650).map(|row| format!("\"{}\",{}.5\r\n", day(row), row % 365));
    std::iter::once("\"Date\",\"Temp\"\r\n".to_owned()).chain(rows).collect()
}

fn series(text: &str) -> Result<Series, String> {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "daily-min-temperatures.csv", text);
    load("temperatures", dir.path(), Series::from_records)
}

#[test]
fn splits_of_temperatures_are_whole_years_without_the_last_day_of_leap_years() {
    let series = series(&temperatures()).unwrap();
    let ends = Split::ALL.map(|split| {
        let rows = series.split(split);
        (&*series.timestamps[rows.start], &*series.timestamps[rows.end - 1])
    });
    let years = [("1981-01-01", "1987-12-31"), ("1988-01-01", "1988-12-30"), ("1989-01-01", "1990-12-31")];
    assert_eq!(ends, years);
    assert!(!series.timestamps.contains(&"1984-12-31".to_owned()));
    assert_eq!([1, 32].map(|k| series.next_time(k)), ["1991-01-01", "1991-02-01"]);
    assert_eq!((series.season, series.first_step), (Some(365), 0));
    assert_eq!(series.seasonal_naive(series.validation_end, 2), Some(vec![0.5, 1.5]));
}

#[test]
fn later_temperatures_do_not_affect_the_training_split() {
    let (plain, later) = (series(&temperatures()).unwrap(), temperatures());
    let (before, after) = later.split_at(later.find("\"1988-01-01\"").unwrap());
    let later = series(&(before.to_owned() + &after.replace("\",", "\",7"))).unwrap();
    assert_ne!(later.target(), plain.target());
    assert_eq!(later.target()[..later.train_end], plain.target()[..plain.train_end]);
    assert_eq!((later.train_end, Standardization::fit(&later)), (plain.train_end, Standardization::fit(&plain)));
}

#[test]
fn other_gaps_and_damage_of_temperatures_are_errors_that_name_the_line() {
    let published = temperatures();
    for (from, to, part) in [
        ("1984-12-30", "1984-12-29", "line 1461: `1984-12-29` repeats line 1460"),
        ("\"1990-12-31\",", "\"1991-01-01\",", "line 3651: 1 step is missing between `1990-12-30` and `1991-01-01`"),
        ("\"1981-01-03\",2.5\r\n", "", "is damaged or incomplete: 3649 of 3650 rows; fetch it again"),
        ("\"Temp\"", "\"Rain\"", "line 1: no column `Temp` to use as target"),
        (",7.5", ",?7.5", "line 9: `?7.5` in column `Temp` is not a number"),
        (",7.5", ",", "line 9: missing value in column `Temp`"),
        ("\"1988-01-01\"", "\"1988-01-02\"", "data.split.validation = 1988-01-01: a timestamp of column `Date`"),
    ] {
        let text = published.replacen(from, to, 1);
        assert_ne!(text, published);
        let error = series(&text).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
