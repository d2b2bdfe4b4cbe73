//! Any CSV file with a header, as a time series. Comma, semicolon and tab are recognized as separators.
//!
//! Rows must be in time order with equal steps: missing and duplicate steps are errors, since a model treats all steps as equal. The
//! first 70% of the rows are the training split, the next 15% the validation split, the rest the test split.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::catalog::{Dataset, Origin};
use crate::classification::Split;
use crate::nearest::did_you_mean;
use crate::series::{Column, Series};
use crate::timestamps::{TimeStep, shown};
use crate::{DataError, reading};

/// Percentage of rows in the training split.
const TRAIN: usize = 70;
/// Percentage of rows in the validation split.
const VALIDATION: usize = 15;

/// Minimum number of rows.
const MIN_ROWS: usize = 30;

/// Representations of a missing value, in upper case.
const MISSING: [&str; 4] = ["", "NA", "NAN", "NULL"];

/// Metadata of the dataset.
pub static DATASET: Dataset = Dataset {
    name: "table",
    summary: "any CSV file with a header: --csv FILE --time COLUMN --target COLUMN",
    example: "",
    license: "that of the file",
    origin: Origin::Table,
};

/// The columns to use, by header name. An empty name refers to the column without a name.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvColumns {
    /// Column of timestamps, in the formats of [`TimeStep`]; if `None`, rows are numbered from 0.
    pub time: Option<String>,
    /// Target column.
    pub target: String,
    /// Feature columns, known up to the forecast origin.
    pub features: Vec<String>,
}

/// Reads a series for training; the season follows from the step, see [`TimeStep::season`].
///
/// # Errors
/// If the file cannot be read or is not such a table, a column is absent or ambiguous, there are fewer than 30 rows, a used value
/// is missing or not a finite number, the timestamps do not have equal steps, or a column is constant in the training split.
pub fn read(path: &Path, columns: &CsvColumns) -> Result<Series, DataError> {
    let table = Table::read(path)?;
    let used = table.used(columns)?;
    let rows = table.rows.len();
    if rows < MIN_ROWS {
        let detail = format!("{rows} rows are too few to train on; at least {MIN_ROWS} are needed");
        return Err(DataError::invalid(path, detail));
    }
    let series = table.series(used, None)?;
    refuse_constants(path, &series)?;
    Ok(series)
}

/// Reads a series to forecast from, for a model trained on time steps of `step`: it may have any length and constant columns, and
/// ambiguous timestamps are resolved by `step`.
///
/// # Errors
/// As [`read`], except that one row suffices and columns may be constant.
pub fn read_recent(path: &Path, columns: &CsvColumns, step: TimeStep) -> Result<Series, DataError> {
    let table = Table::read(path)?;
    table.series(table.used(columns)?, Some(step))
}

/// The column names of a file, in order.
///
/// # Errors
/// If the file cannot be read or is not a table.
pub fn header(path: &Path) -> Result<Vec<String>, DataError> {
    Ok(Table::read(path)?.header.fields.iter().map(str::to_owned).collect())
}

fn refuse_constants(path: &Path, series: &Series) -> Result<(), DataError> {
    let constant = |column: &Column| column.is_constant(series.split(Split::Train));
    let Some(index) = series.columns.iter().position(constant) else { return Ok(()) };
    let Column { name, values } = &series.columns[index];
    let hint = match index {
        0 => "so there is nothing to learn: choose another --target",
        _ => "so it carries no information: leave it out of --features",
    };
    let train = &values[..series.train_end];
    let exact = if train.iter().all(|value| *value == train[0]) { "" } else { " up to rounding" };
    let found = format!("{} is {}{exact} in all {} training rows", shown(name), train[0], train.len());
    Err(DataError::invalid(path, format!("{found}, {hint}")))
}

/// Indices of the used columns.
struct Used {
    time: Option<usize>,
    /// The target first.
    numbers: Vec<usize>,
}

/// The fields of a file; every row has as many as the header.
pub(crate) struct Table {
    path: PathBuf,
    /// Column names.
    pub header: Row,
    /// The rows after the header.
    pub rows: Vec<Row>,
}

/// The fields of a row, trimmed.
pub(crate) struct Row {
    /// 1-based number of its first line.
    pub line: usize,
    pub fields: StringRecord,
}

impl Table {
    /// Reads a file, ignoring trailing rows of empty fields.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = reading::text(path)?;
        let text = text.trim_end_matches([' ', '\r', '\n']);
        let mut rows = records(path, text)?;
        while rows.last().is_some_and(|row| row.fields.iter().all(str::is_empty)) {
            rows.pop();
        }
        if rows.is_empty() {
            let detail = format!("empty; expected a header and at least {MIN_ROWS} rows");
            return Err(DataError::invalid(path, detail));
        }
        let header = rows.remove(0);
        let wanted = header.fields.len();
        if let Some(row) = rows.iter().find(|row| row.fields.len() != wanted) {
            let found = format!("{} fields, but the header has {wanted}", row.fields.len());
            let detail = format!("{found}; quote fields that contain the separator or a line break");
            return Err(DataError::line(path, row.line, detail));
        }
        Ok(Self { path: path.to_owned(), header, rows })
    }

    /// Resolves the used columns.
    fn used(&self, columns: &CsvColumns) -> Result<Used, DataError> {
        let time = columns.time.as_ref().map(|name| self.column("--time", name)).transpose()?;
        let mut numbers = vec![self.column("--target", &columns.target)?];
        for name in &columns.features {
            let column = self.column("--features", name)?;
            if numbers.contains(&column) {
                let detail = format!("{} occurs twice in --target and --features; name it once", shown(name));
                return Err(DataError::invalid(&self.path, detail));
            }
            numbers.push(column);
        }
        Ok(Used { time, numbers })
    }

    /// The series of these columns; `step` is used if the timestamps fit it, else the step is inferred.
    fn series(&self, used: Used, step: Option<TimeStep>) -> Result<Series, DataError> {
        let rows = self.rows.len();
        if rows == 0 {
            return Err(DataError::invalid(&self.path, "no rows after the header; at least one is needed"));
        }
        let times = match used.time {
            Some(column) => self.texts(column)?,
            None => (0..rows).map(|row| row.to_string()).collect(),
        };
        let line = |row: usize| self.rows[row].line;
        let step = match step.filter(|step| step.separates(&times)) {
            Some(step) => step,
            None if used.time.is_none() => TimeStep::Count(1),
            None if rows == 1 => {
                let detail =
                    format!("{} is the only timestamp; at least two are needed to find the step", shown(&times[0]));
                return Err(DataError::line(&self.path, line(0), detail));
            }
            None => TimeStep::between(&times, line)
                .map_err(|(row, detail)| DataError::line(&self.path, line(row), detail))?,
        };
        let columns = used.numbers.into_iter().map(|column| self.numbers(column)).collect::<Result<_, _>>()?;
        Ok(Series {
            columns,
            first_step: step.number(&times[0]).unwrap_or(0),
            timestamps: times,
            step,
            season: step.season(),
            train_end: rows * TRAIN / 100,
            validation_end: rows * (TRAIN + VALIDATION) / 100,
        })
    }

    /// Index of the column named by a flag.
    fn column(&self, flag: &str, name: &str) -> Result<usize, DataError> {
        let wrong = |detail: String| DataError::line(&self.path, self.header.line, detail);
        let names = &self.header.fields;
        let indices: Vec<usize> = (0..names.len()).filter(|&index| &names[index] == name).collect();
        match indices[..] {
            [index] => Ok(index),
            [] => {
                let column = if name.is_empty() {
                    "column without a name".to_owned()
                } else {
                    format!("column {}", shown(name))
                };
                let hint = did_you_mean(name, names);
                let all = names.iter().map(shown).collect::<Vec<_>>().join(", ");
                Err(wrong(format!("no {column}, as given by {flag}{hint}; the columns are {all}")))
            }
            _ => {
                let (last, others) = indices.split_last().expect("at least two match");
                let others = others.iter().map(|index| (index + 1).to_string()).collect::<Vec<_>>().join(", ");
                let called =
                    if name.is_empty() { "have no name".to_owned() } else { format!("are named {}", shown(name)) };
                let which = format!("columns {others} and {} {called}, so {flag} is ambiguous", last + 1);
                Err(wrong(format!("{which}; rename all but one")))
            }
        }
    }

    /// The fields of a column; missing values are errors.
    pub fn texts(&self, column: usize) -> Result<Vec<String>, DataError> {
        self.rows.iter().map(|row| Ok(self.field(row, column)?.to_owned())).collect()
    }

    /// The numbers of a column, which must be finite as 32-bit floats.
    pub fn numbers(&self, column: usize) -> Result<Column, DataError> {
        let name = &self.header.fields[column];
        let number = |row: &Row| {
            let text = self.field(row, column)?;
            let wrong = |problem: &str| {
                let detail = format!("{} in column {} is {problem}", shown(text), shown(name));
                DataError::line(&self.path, row.line, detail)
            };
            let value: f64 =
                text.parse().map_err(|_| wrong("not a number such as -20.7; correct it or choose another column"))?;
            let finite = (value as f32).is_finite().then_some(value);
            finite.ok_or_else(|| wrong("infinite as a 32-bit float; correct it or end the series there"))
        };
        Ok(Column { name: name.to_owned(), values: self.rows.iter().map(number).collect::<Result<_, _>>()? })
    }

    fn field<'a>(&self, row: &'a Row, column: usize) -> Result<&'a str, DataError> {
        let text = &row.fields[column];
        if MISSING.contains(&&*text.to_uppercase()) {
            let detail = format!(
                "missing value in column {}; fill it in or end the series there",
                shown(&self.header.fields[column])
            );
            return Err(DataError::line(&self.path, row.line, detail));
        }
        Ok(text)
    }
}

/// All rows of a text, including the header.
fn records(path: &Path, text: &str) -> Result<Vec<Row>, DataError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator(text))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows: Vec<Row> = Vec::new();
    let (mut line, mut counted) = (1, 0);
    for fields in reader.records() {
        let fields = fields.map_err(|error| DataError::invalid(path, error))?;
        // The position of a record is the end of the previous one: possibly between CR and LF, or before empty lines.
        let end = fields.position().map_or(counted, |position| position.byte() as usize);
        let start = text.len() - text[end..].trim_start_matches(['\r', '\n']).len();
        line += text[counted..start].matches('\n').count();
        counted = start;
        let ends = &text[end..start];
        let empty = if text[..end].ends_with('\r') { ends.strip_prefix('\n').unwrap_or(ends) } else { ends };
        if !empty.is_empty() && !rows.is_empty() {
            let detail = "empty line between rows; fill in its values or delete it";
            return Err(DataError::line(path, line - 1, detail));
        }
        rows.push(Row { line, fields });
    }
    Ok(rows)
}

/// The most frequent of comma, semicolon and tab outside quotes in the first line.
fn separator(text: &str) -> u8 {
    // Skip leading empty lines, but not a leading tab, which separates a column without a name.
    let header = text.trim_start_matches([' ', '\r', '\n']).lines().next().unwrap_or_default();
    let unquoted: String = header.split('"').step_by(2).collect();
    let count = |&separator: &u8| unquoted.bytes().filter(|&byte| byte == separator).count();
    b"\t;,".iter().copied().max_by_key(count).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Standardization;
    use proptest::prelude::*;

    fn columns(time: Option<&str>, target: &str, features: &[&str]) -> CsvColumns {
        let features = features.iter().map(|&name| name.to_owned()).collect();
        CsvColumns { time: time.map(str::to_owned), target: target.to_owned(), features }
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

    fn parse(bytes: impl AsRef<[u8]>, columns: &CsvColumns) -> Result<Series, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("load.csv");
        std::fs::write(&path, bytes).unwrap();
        read(&path, columns)
    }

    fn default_columns() -> CsvColumns {
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
            (head(1), vec!["load.csv: 0 rows are too few", "30"]),
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
            (one("Note", "Load"), vec!["line 1: columns 2 and 4 are named `Load`", "--target", "rename all but one"]),
            (
                one("Wind", "Wnd"),
                vec![
                    "line 1: no column `Wind`",
                    "--features",
                    "did you mean `Wnd`?); the columns are `Day`, `Load`, `Wnd`, `Note`",
                ],
            ),
            (one("Load", "load"), vec!["no column `Load`", "--target", "did you mean `load`"]),
            (one("Day", "Date"), vec!["no column `Day`", "--time"]),
            (one("2024-01-01", "1/1/24"), vec!["line 2: `1/1/24` is not a timestamp: expected `2024-01-31`", "--time"]),
            (one("2024-01-04", "4 Jan"), vec!["line 5: `4 Jan` does not have the format of `2024-01-01` on line 2"]),
            (one("2024-01-04", "2024-01-02"), vec!["line 5: `2024-01-02` repeats line 3; remove", "--time"]),
            (one("2024-01-04", "2023-01-04"), vec!["line 5: `2023-01-04` follows `2024-01-03` on line 4", "sort"]),
            (
                one("2024-01-04,4.5,96,calm\n", ""),
                vec!["line 5: 1 step is missing between `2024-01-03`", "omit --time"],
            ),
            (one("2024-01-01", "2023-12-29"), vec!["line 3: 3 steps are missing between `2023-12-29` and", "1 day"]),
            (table(|day| format!("7,{day}")).into(), vec!["load.csv: `Load` is 7 in all 28 training rows", "--target"]),
            (
                table(|day| format!("{day},7")).into(),
                vec!["load.csv: `Wind` is 7 in all 28 training rows", "leave it out of --features"],
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
        assert!(
            error.contains("line 1: no column without a name, as given by --time; the columns are `Day`"),
            "{error}"
        );
        let two = unnamed.replacen("Note", "", 1);
        let error = parse(two, &columns(Some(""), "Load", &[])).unwrap_err().to_string();
        assert!(
            error.contains("line 1: columns 1 and 4 have no name, so --time is ambiguous; rename all but one"),
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
                ["`Load` is 0.3 up to rounding in all 28 training rows", "choose another --target"],
            ),
            (
                table(|day| format!("{day},{}", noise(day))),
                ["`Wind` is 0.3 up to rounding in all 28 training rows", "out of --features"],
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
