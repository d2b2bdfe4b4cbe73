//! Series of the Numenta Anomaly Benchmark: a CSV file for each, and a JSON file with the windows of their anomalies.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use toml::Table;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::Input;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "nab",
    summary: "CSV files of one series each, and a JSON file with the first and the last timestamp of each anomaly, by file (Numenta Anomaly \
              Benchmark)",
    columns: "series, category (the folder), timestamp, value, window (its number in an anomaly, else empty)",
    options: &[],
    suffixes: &[],
    together: Together::All,
    roles: &[("time", "timestamp"), ("label", "window")],
    sample: &[
        (
            "data/web/load.csv",
            "timestamp,value\n2014-04-01 00:00:00,0.7\n2014-04-01 00:05:00,9.5\n2014-04-01 00:10:00,0.6\n",
        ),
        (
            "windows.json",
            "{\n  \"web/load.csv\": [\n    [\"2014-04-01 00:05:00.000000\", \"2014-04-01 00:10:00.000000\"]\n  ]\n}\n",
        ),
    ],
    is_first_line: |_| false,
    read,
};

/// First and last timestamp of each window, by the end of the path of its series.
type Windows = BTreeMap<String, Vec<(String, String)>>;

fn read(request: &Request) -> Result<Records, DataError> {
    let has_suffix = |input: &&Input, suffix: &str| input.folder_and_file().1.to_lowercase().ends_with(suffix);
    let mut series: Vec<&Input> = request.inputs.iter().filter(|input| has_suffix(input, ".csv")).collect();
    series.sort_by_key(|input| input.folder_and_file());
    let first = request.input.name();
    if series.is_empty() {
        return Err(DataError::invalid(first, "no file with the suffix .csv, for a series"));
    }
    let mut labels = request.inputs.iter().filter(|input| has_suffix(input, ".json"));
    let Some(file) = labels.next() else {
        let detail =
            "no JSON file with the windows of the anomalies, such as labels/combined_windows.json, is given with it";
        return Err(DataError::invalid(first, detail));
    };
    if let Some(other) = labels.next() {
        let detail = format!("a second JSON file besides {}; give only one", file.name().display());
        return Err(DataError::invalid(other.name(), detail));
    }
    let mut windows = parse(file)?;
    let mut records = Records::default();
    for input in series {
        let (folder, name) = input.folder_and_file();
        let key = format!("{folder}/{name}");
        let found = windows.remove(&key).ok_or_else(|| {
            let detail = format!("no windows for {key:?}; add an empty list if it has no anomaly");
            DataError::invalid(file.name(), detail)
        })?;
        records.append(one(input, &key, folder, &found, file.name())?, &[])?;
    }
    match windows.keys().next() {
        Some(key) => Err(DataError::invalid(file.name(), format!("windows for {key:?}, but there is no such file"))),
        None => Ok(records),
    }
}

fn parse(file: &Input) -> Result<Windows, DataError> {
    serde_json::from_str(&file.text()?).map_err(|error| {
        let detail = format!("expected {{\"FOLDER/FILE.csv\": [[\"FIRST\", \"LAST\"], …], …}}: {error}");
        DataError::line(file.name(), error.line().max(1), detail)
    })
}

/// The records of one series.
fn one(
    input: &Input,
    key: &str,
    category: &str,
    windows: &[(String, String)],
    labels: &Path,
) -> Result<Records, DataError> {
    let table = Format::named("csv")?.read(input, &Table::new(), &[])?;
    let times = table.texts("time", "timestamp")?;
    let mut rows: HashMap<&str, usize> = HashMap::new();
    for (row, time) in times.iter().enumerate() {
        rows.entry(time).or_insert(row);
    }
    let row = |time: &str| {
        let found = rows.get(time).or_else(|| rows.get(without_zeros(time))).copied();
        found.ok_or_else(|| DataError::invalid(labels, format!("{key:?} has no row with timestamp {time:?}")))
    };
    let mut window = vec![Arc::<str>::from(""); times.len()];
    for (number, (first, last)) in (1..).zip(windows) {
        let (start, end) = (row(first)?, row(last)?);
        if end < start {
            return Err(DataError::invalid(
                labels,
                format!("the window of {key:?} from {first:?} ends before it starts"),
            ));
        }
        window[start..=end].fill(number.to_string().into());
    }
    let repeated = |text: &str| Column::Text(vec![text.into(); times.len()]);
    let columns = [
        ("series", repeated(key)),
        ("category", repeated(category)),
        ("timestamp", Column::Text(times.to_vec())),
        ("value", table.column("value", "value")?.clone()),
        ("window", Column::Text(window)),
    ];
    let lines = (0..table.len()).map(|row| table.place(row).map_or(row, |(_, line)| line));
    Ok(Records::of_file(input.name(), columns, lines))
}

/// A timestamp without a fraction of a second that is zero.
fn without_zeros(time: &str) -> &str {
    match time.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        _ => time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(windows: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("web");
        std::fs::create_dir(&folder).unwrap();
        let csv = "timestamp,value\n01:00,1\n01:05,2\n01:10,3\n01:10,4\n01:15,5\n";
        std::fs::write(folder.join("a.csv"), csv).unwrap();
        std::fs::write(dir.path().join("w.json"), windows).unwrap();
        let inputs = [folder.join("a.csv"), dir.path().join("w.json")].map(|path| Input::file(&path));
        let read = FORMAT.read_together(&inputs, &Table::new(), &[]);
        read.map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn windows_label_the_rows_between_their_timestamps() {
        let records = parse("{\"web/a.csv\": [[\"01:00\", \"01:05.000\"], [\"01:10\", \"01:10\"]]}").unwrap();
        let column = |name: &'static str| {
            records.texts(name, name).unwrap().iter().map(|text| text.to_string()).collect::<Vec<_>>()
        };
        // The first of two rows with the same timestamp.
        assert_eq!(column("window"), ["1", "1", "2", "", ""]);
        assert_eq!((&*column("series")[0], &*column("category")[4]), ("web/a.csv", "web"));
        assert_eq!(records.place(4).unwrap().1, 6);
    }

    #[test]
    fn errors_name_the_file_and_what_was_expected() {
        for (windows, part) in [
            ("{}", "w.json: no windows for \"web/a.csv\"; add an empty list"),
            ("{\"web/a.csv\": [], \"web/b.csv\": []}", "w.json: windows for \"web/b.csv\", but there is no such file"),
            ("{\"web/a.csv\": [[\"01:00\", \"02:00\"]]}", "\"web/a.csv\" has no row with timestamp \"02:00\""),
            ("{\"web/a.csv\": [[\"01:10\", \"01:00\"]]}", "ends before it starts"),
            ("{\n\"web/a.csv\": [[\"01:10\"]]}", "w.json, line 2: expected {\"FOLDER/FILE.csv\""),
        ] {
            let error = parse(windows).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
