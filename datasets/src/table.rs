//! Any file of comma-separated values with a header, as a series. A semicolon or a tab may take the comma's place.
//!
//! Rows lie in order of time, in equal steps: a step too many or too few is an error, since a model would learn from it
//! as if it were none. The first 70 % of the rows are the training part, the next 15 % the validation part, the rest
//! the test part.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::catalog::{Dataset, Kind, Origin};
use crate::classification::Split;
use crate::nearest::did_you_mean;
use crate::series::{Column, Series};
use crate::timestamps::{Step, shown};
use crate::{DataError, reading};

/// Per cent of the rows that are learned from.
const TRAIN: usize = 70;
/// Per cent of the rows that decide when to stop.
const VALIDATION: usize = 15;

/// Rows of the shortest file that serves as a series.
const LEAST: usize = 30;

/// How files write that a value is missing, in capitals.
const MISSING: [&str; 4] = ["", "NA", "NAN", "NULL"];

/// What there is to know of it.
pub static DATASET: Dataset = Dataset {
    name: "table",
    kind: Kind::Series,
    summary: "any file of comma-separated values with a header: --csv FILE --time C --target C",
    example: "",
    license: "the file's own",
    origin: Origin::Table,
};

/// The columns of a file that are used, by their names in its header. An empty name is that of a column without one.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvColumns {
    /// Timestamps, as [`Step`] knows them; without, rows are counted from 0.
    pub time: Option<String>,
    /// What is forecast.
    pub target: String,
    /// What else is known up to the present.
    pub features: Vec<String>,
}

/// Reads a series to train on from a file; its season is what the calendar suggests, see [`Step::season`].
///
/// # Errors
/// If the file cannot be read, is no such table, lacks a column or has one twice, has fewer than 30 rows, a used field
/// that is missing or no finite number, timestamps without equal steps, or a column that is constant in the training part.
pub fn read(path: &Path, columns: &CsvColumns) -> Result<Series, DataError> {
    let table = Table::read(path)?;
    let used = table.used(columns)?;
    let rows = table.rows.len();
    if rows < LEAST {
        let detail = format!("{rows} rows are too few to learn from; at least {LEAST} are needed");
        return Err(DataError::unfit(path, detail));
    }
    let series = table.series(used, None)?;
    refuse_constants(path, &series)?;
    Ok(series)
}

/// Reads a series to forecast from, of a model that was trained in such steps: it may be as short and as constant as it likes, and
/// timestamps that can be read in several ways are read as the model's.
///
/// # Errors
/// Those of [`read`], but for the number of rows, of which there must be one, and for constant columns.
pub fn read_recent(path: &Path, columns: &CsvColumns, step: Step) -> Result<Series, DataError> {
    let table = Table::read(path)?;
    table.series(table.used(columns)?, Some(step))
}

/// The names of a file's columns, in their order.
///
/// # Errors
/// If the file cannot be read or is no table.
pub fn header(path: &Path) -> Result<Vec<String>, DataError> {
    Ok(Table::read(path)?.header.fields.iter().map(str::to_owned).collect())
}

fn refuse_constants(path: &Path, series: &Series) -> Result<(), DataError> {
    let constant = |column: &Column| column.is_constant(series.split(Split::Train));
    let Some(place) = series.columns.iter().position(constant) else { return Ok(()) };
    let Column { name, values } = &series.columns[place];
    let way_out = match place {
        0 => "so there is nothing to learn: choose another --target",
        _ => "so it tells nothing: leave it out of --features",
    };
    let train = &values[..series.train];
    let exact = if train.iter().all(|value| *value == train[0]) { "" } else { " up to rounding" };
    let found = format!("{} is {}{exact} in all {} rows that are learned from", shown(name), train[0], train.len());
    Err(DataError::unfit(path, format!("{found}, {way_out}")))
}

/// Where the columns that are used stand in a table.
struct Used {
    time: Option<usize>,
    /// The target first.
    numbers: Vec<usize>,
}

/// A file's fields, every row with as many as the header.
pub(crate) struct Table {
    path: PathBuf,
    /// The names of the columns.
    pub header: Row,
    /// All after the header.
    pub rows: Vec<Row>,
}

/// The fields of a row, without blanks around them.
pub(crate) struct Row {
    /// Where it begins, counted from 1.
    pub line: usize,
    pub fields: StringRecord,
}

impl Table {
    /// Reads a file; rows at its end whose fields are all empty do not count.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = reading::text(path)?;
        let text = text.trim_end_matches([' ', '\r', '\n']);
        let mut rows = records(path, text)?;
        while rows.last().is_some_and(|row| row.fields.iter().all(str::is_empty)) {
            rows.pop();
        }
        if rows.is_empty() {
            let detail = format!("empty; expected are a header and at least {LEAST} rows");
            return Err(DataError::unfit(path, detail));
        }
        let header = rows.remove(0);
        let wanted = header.fields.len();
        if let Some(row) = rows.iter().find(|row| row.fields.len() != wanted) {
            let found = format!("{} fields, where the header has {wanted}", row.fields.len());
            let detail = format!("{found}; fields that hold the separator or a line break are written in quotes");
            return Err(DataError::line(path, row.line, detail));
        }
        Ok(Self { path: path.to_owned(), header, rows })
    }

    /// The places of the columns that are used.
    fn used(&self, columns: &CsvColumns) -> Result<Used, DataError> {
        let time = columns.time.as_ref().map(|name| self.column("--time", name)).transpose()?;
        let mut numbers = vec![self.column("--target", &columns.target)?];
        for name in &columns.features {
            let column = self.column("--features", name)?;
            if numbers.contains(&column) {
                let detail = format!("{} is named twice by --target and --features; name it once", shown(name));
                return Err(DataError::unfit(&self.path, detail));
            }
            numbers.push(column);
        }
        Ok(Used { time, numbers })
    }

    /// A series of those columns; its step is `step` if its timestamps follow each other so.
    fn series(&self, used: Used, step: Option<Step>) -> Result<Series, DataError> {
        let rows = self.rows.len();
        if rows == 0 {
            return Err(DataError::unfit(&self.path, "a header and no rows; at least one row is needed"));
        }
        let times = match used.time {
            Some(column) => self.texts(column)?,
            None => (0..rows).map(|row| row.to_string()).collect(),
        };
        let line = |row: usize| self.rows[row].line;
        let step = match step.filter(|step| step.separates(&times)) {
            Some(step) => step,
            None if used.time.is_none() => Step::Count(1),
            None if rows == 1 => {
                let detail = format!("{} is the only timestamp; at least two have a step", shown(&times[0]));
                return Err(DataError::line(&self.path, line(0), detail));
            }
            None => {
                Step::between(&times, line).map_err(|(row, detail)| DataError::line(&self.path, line(row), detail))?
            }
        };
        let columns = used.numbers.into_iter().map(|column| self.numbers(column)).collect::<Result<_, _>>()?;
        Ok(Series {
            columns,
            first: step.number(&times[0]).unwrap_or(0),
            times,
            step,
            season: step.season(),
            train: rows * TRAIN / 100,
            validation: rows * (TRAIN + VALIDATION) / 100,
        })
    }

    /// The place of the column that a flag names.
    fn column(&self, flag: &str, name: &str) -> Result<usize, DataError> {
        let wrong = |detail: String| DataError::line(&self.path, self.header.line, detail);
        let names = &self.header.fields;
        let places: Vec<usize> = (0..names.len()).filter(|&place| &names[place] == name).collect();
        match places[..] {
            [place] => Ok(place),
            [] => {
                let column = if name.is_empty() {
                    "column without a name".to_owned()
                } else {
                    format!("column {}", shown(name))
                };
                let hint = did_you_mean(name, names);
                let all = names.iter().map(shown).collect::<Vec<_>>().join(", ");
                Err(wrong(format!("no {column}, which {flag} names{hint}; there are {all}")))
            }
            _ => {
                let (last, others) = places.split_last().expect("there are two at least");
                let others = others.iter().map(|place| (place + 1).to_string()).collect::<Vec<_>>().join(", ");
                let called =
                    if name.is_empty() { "have no name".to_owned() } else { format!("are called {}", shown(name)) };
                let which = format!("columns {others} and {} {called}, which {flag} names", last + 1);
                Err(wrong(format!("{which}; rename all but one")))
            }
        }
    }

    /// The fields of a column, none of which may be missing.
    pub fn texts(&self, column: usize) -> Result<Vec<String>, DataError> {
        self.rows.iter().map(|row| Ok(self.field(row, column)?.to_owned())).collect()
    }

    /// The numbers of a column, which are finite as 32-bit numbers too.
    pub fn numbers(&self, column: usize) -> Result<Column, DataError> {
        let name = &self.header.fields[column];
        let number = |row: &Row| {
            let text = self.field(row, column)?;
            let wrong = |what: &str| {
                let detail = format!("{} in column {} is {what}", shown(text), shown(name));
                DataError::line(&self.path, row.line, detail)
            };
            let value: f64 =
                text.parse().map_err(|_| wrong("no number such as -20.7; correct it or choose another column"))?;
            let finite = (value as f32).is_finite().then_some(value);
            finite.ok_or_else(|| wrong("infinite, or as good as; correct it or cut the rows there"))
        };
        Ok(Column { name: name.to_owned(), values: self.rows.iter().map(number).collect::<Result<_, _>>()? })
    }

    fn field<'a>(&self, row: &'a Row, column: usize) -> Result<&'a str, DataError> {
        let text = &row.fields[column];
        if MISSING.contains(&&*text.to_uppercase()) {
            let detail =
                format!("no value in column {}; fill it in or cut the rows there", shown(&self.header.fields[column]));
            return Err(DataError::line(&self.path, row.line, detail));
        }
        Ok(text)
    }
}

/// All rows of a text, the header first.
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
        let fields = fields.map_err(|error| DataError::unfit(path, error))?;
        // A record's position is where the one before ended: maybe between CR and LF, maybe before empty lines.
        let end = fields.position().map_or(counted, |position| position.byte() as usize);
        let start = text.len() - text[end..].trim_start_matches(['\r', '\n']).len();
        line += text[counted..start].matches('\n').count();
        counted = start;
        let ends = &text[end..start];
        let empty = if text[..end].ends_with('\r') { ends.strip_prefix('\n').unwrap_or(ends) } else { ends };
        if !empty.is_empty() && !rows.is_empty() {
            let detail = "an empty line among the rows; fill in its values or cut it";
            return Err(DataError::line(path, line - 1, detail));
        }
        rows.push(Row { line, fields });
    }
    Ok(rows)
}

/// The one of comma, semicolon and tab that the first line has most of, outside quotes.
fn separator(text: &str) -> u8 {
    // Empty lines may come first, but a leading tab belongs to a column without a name.
    let header = text.trim_start_matches([' ', '\r', '\n']).lines().next().unwrap_or_default();
    let unquoted: String = header.split('"').step_by(2).collect();
    let count = |&separator: &u8| unquoted.bytes().filter(|&byte| byte == separator).count();
    b"\t;,".iter().copied().max_by_key(count).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Scaling;
    use proptest::prelude::*;

    fn columns(time: Option<&str>, target: &str, features: &[&str]) -> CsvColumns {
        let features = features.iter().map(|&name| name.to_owned()).collect();
        CsvColumns { time: time.map(str::to_owned), target: target.to_owned(), features }
    }

    /// 40 days on lines 2 to 41, each with what `fields` gives for its columns `Load` and `Wind`.
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

    fn usual() -> CsvColumns {
        columns(Some("Day"), "Load", &["Wind"])
    }

    #[test]
    fn rows_become_columns_in_three_parts() {
        let series = parse(good(), &usual()).unwrap();
        assert_eq!((series.rows(), series.train, series.validation), (40, 28, 34));
        assert_eq!((&*series.columns[0].name, &*series.columns[1].name), ("Load", "Wind"));
        assert_eq!((series.target()[1], series.columns[1].values[1]), (2.5, 98.0));
        assert_eq!((series.step, series.season, series.first), (Step::Seconds(86_400), None, 19_723));
        assert_eq!((&*series.times[31], &*series.next_time(20)), ("2024-02-01", "2024-02-29"));
    }

    #[test]
    fn ways_to_write_a_table_do_not_change_it() {
        let series = parse(good(), &usual()).unwrap();
        for text in [
            good().replace('\n', "\r\n") + "\r\n  \r\n",
            format!("\u{feff}\n{}\n,,,\n", good().trim_end()),
            good().replace(',', ";").replace("calm", "\"a, calm, day\""),
            good().replace(',', "\t"),
            good().replace("Note", "\"Note; or \"\"remark;;;\"\"\"").replace("calm", "\"two\n\nlines, \""),
            good().replace(',', " , "),
            good().replace("Load", "\" Load \"").replace(",2.5,", ",\"2.5\","),
        ] {
            assert_eq!(parse(&text, &usual()).unwrap(), series, "{text}");
        }
    }

    #[test]
    fn what_is_measured_later_changes_nothing_that_is_learned_from() {
        let plain = parse(good(), &usual()).unwrap();
        let text = good();
        let (before, after) = text.split_at(text.match_indices('\n').nth(plain.train).unwrap().0);
        let later = parse(before.to_owned() + &after.replace(".5,", ".75,"), &usual()).unwrap();
        assert_ne!(later, plain);
        assert_eq!(later.target()[..later.train], plain.target()[..plain.train]);
        assert_eq!((later.train, Scaling::fit(&later)), (plain.train, Scaling::fit(&plain)));
    }

    #[test]
    fn rows_are_counted_where_no_column_is_the_time() {
        let without = good().replace("2024-01-07,", "2024-01-09,");
        let series = parse(without, &columns(None, "Load", &[])).unwrap();
        assert_eq!((series.step, &*series.times[39], &*series.next_time(1)), (Step::Count(1), "39", "40"));
    }

    #[test]
    fn what_is_wrong_with_a_table_is_told_by_file_line_and_way_out() {
        let one = |from: &str, to: &str| good().replacen(from, to, 1).into_bytes();
        let head = |lines: usize| good().split_inclusive('\n').take(lines).collect::<String>().into_bytes();
        let mut invalid = good().into_bytes();
        let place = good().find("calm").unwrap();
        invalid[place] = 0xff;
        for (bytes, parts) in [
            (vec![], vec!["load.csv: empty", "header"]),
            (head(1), vec!["load.csv: 0 rows are too few", "30"]),
            (head(30), vec!["load.csv: 29 rows are too few"]),
            (invalid, vec!["line 2: not UTF-8", "convert"]),
            (one(",2.5,", ",2,5,"), vec!["line 3: 5 fields, where the header has 4", "quotes"]),
            (one("8.5,92,calm", "8.5"), vec!["line 9: 2 fields"]),
            (one("2024-01-05,", "\n2024-01-05,"), vec!["line 6: an empty line"]),
            (one("2.5", ""), vec!["line 3: no value in column `Load`; fill it in or cut"]),
            (one(",98,", ", NA ,"), vec!["line 3: no value in column `Wind`"]),
            (one("2.5", "nan"), vec!["line 3: no value in column `Load`"]),
            (one("2024-01-03,", ","), vec!["line 4: no value in column `Day`"]),
            (one("2.5", "warm"), vec!["line 3: `warm` in column `Load` is no number"]),
            (one("2.5", "-inf"), vec!["line 3: `-inf` in column `Load` is infinite"]),
            (one("2.5", "1e99"), vec!["line 3: `1e99` in column `Load` is infinite, or as good as"]),
            (one("Note", "Load"), vec!["line 1: columns 2 and 4 are called `Load`", "--target", "rename all but one"]),
            (
                one("Wind", "Wnd"),
                vec![
                    "line 1: no column `Wind`",
                    "--features",
                    "did you mean `Wnd`?); there are `Day`, `Load`, `Wnd`, `Note`",
                ],
            ),
            (one("Load", "load"), vec!["no column `Load`", "--target", "did you mean `load`"]),
            (one("Day", "Date"), vec!["no column `Day`", "--time"]),
            (one("2024-01-01", "1/1/24"), vec!["line 2: `1/1/24` is no timestamp: expected `2024-01-31`", "--time"]),
            (one("2024-01-04", "4 Jan"), vec!["line 5: `4 Jan` is not written as `2024-01-01` of line 2 is"]),
            (one("2024-01-04", "2024-01-02"), vec!["line 5: `2024-01-02` is on line 3 already; cut", "--time"]),
            (one("2024-01-04", "2023-01-04"), vec!["line 5: `2023-01-04` comes after `2024-01-03` of line 4", "sort"]),
            (one("2024-01-04,4.5,96,calm\n", ""), vec!["line 5: 1 step is missing between `2024-01-03`", "--time out"]),
            (one("2024-01-01", "2023-12-29"), vec!["line 3: 3 steps are missing between `2023-12-29` and", "1 day"]),
            (table(|day| format!("7,{day}")).into(), vec!["load.csv: `Load` is 7 in all 28 rows", "--target"]),
            (
                table(|day| format!("{day},7")).into(),
                vec!["load.csv: `Wind` is 7 in all 28 rows", "leave it out of --features"],
            ),
            (good().replace('\n', "\r\n\r\n").into(), vec!["line 2: an empty line"]),
        ] {
            let error = parse(&bytes, &usual()).unwrap_err().to_string();
            let crlf = String::from_utf8_lossy(&bytes).replace('\n', "\r\n");
            assert!(error.contains("load.csv") && parts.iter().all(|part| error.contains(part)), "{error}");
            if !bytes.contains(&0xff) && !bytes.contains(&b'\r') {
                let again = parse(crlf, &usual()).unwrap_err().to_string();
                assert!(again.ends_with(error.split_once("load.csv").unwrap().1), "{again}");
            }
        }
        for features in [&["Wind", "Wind"], &["Wind", "Load"]] {
            let error = parse(good(), &columns(Some("Day"), "Load", features)).unwrap_err().to_string();
            assert!(error.contains(&format!("load.csv: `{}` is named twice", features[1])), "{error}");
        }
        let error = read(Path::new("absent.csv"), &usual()).unwrap_err().to_string();
        assert!(error.contains("cannot read absent.csv"), "{error}");
    }

    #[test]
    fn a_column_without_a_name_is_asked_for_by_an_empty_one() {
        let unnamed = good().replacen("Day", "", 1);
        let series = parse(&unnamed, &columns(Some(""), "Load", &["Wind"])).unwrap();
        assert_eq!(series, parse(good(), &usual()).unwrap());
        assert_eq!(parse(unnamed.replace(',', "\t"), &columns(Some(""), "Load", &["Wind"])).unwrap(), series);
        let error = parse(good(), &columns(Some(""), "Load", &[])).unwrap_err().to_string();
        assert!(error.contains("line 1: no column without a name, which --time names; there are `Day`"), "{error}");
        let two = unnamed.replacen("Note", "", 1);
        let error = parse(two, &columns(Some(""), "Load", &[])).unwrap_err().to_string();
        assert!(
            error.contains("line 1: columns 1 and 4 have no name, which --time names; rename all but one"),
            "{error}"
        );
    }

    #[test]
    fn a_column_that_varies_by_rounding_alone_is_as_good_as_constant() {
        // 0.1 + 0.2 and 0.3 are neighbors.
        let noise = |day: usize| if day.is_multiple_of(3) { "0.30000000000000004" } else { "0.3" };
        for (text, parts) in [
            (
                table(|day| format!("{},{day}", noise(day))),
                ["`Load` is 0.3 up to rounding in all 28 rows", "choose another --target"],
            ),
            (
                table(|day| format!("{day},{}", noise(day))),
                ["`Wind` is 0.3 up to rounding in all 28 rows", "out of --features"],
            ),
        ] {
            let error = parse(text, &usual()).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        assert!(parse(table(|day| format!("{day},{}", 1_000_000_000 + day % 2)), &usual()).is_ok());
    }

    #[test]
    fn a_table_to_forecast_from_may_be_short_constant_and_read_in_the_steps_of_its_model() {
        let recent = |text: &str, time: Option<&str>, step: Step| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("recent.csv");
            std::fs::write(&path, text).unwrap();
            read_recent(&path, &columns(time, "y", &[]), step)
        };
        let text = "month,y\n202401,7\n202402,7\n";
        for (step, next) in [(Step::Months(1), "202403"), (Step::Weeks(1), "202403"), (Step::Count(1), "202403")] {
            let series = recent(text, Some("month"), step).unwrap();
            assert_eq!((series.step, series.next_time(1).as_str(), series.target()), (step, next, &[7.0, 7.0][..]));
        }
        assert_eq!(recent(text, Some("month"), Step::Months(1)).unwrap().next_time(11), "202501");
        assert_eq!(recent("y\n7\n", None, Step::Count(1)).unwrap().rows(), 1);
        assert_eq!(recent("month,y\n202452,7\n", Some("month"), Step::Weeks(1)).unwrap().next_time(1), "202501");
        for (text, step, part) in [
            (text, Step::Seconds(60), "line 2: `202401` to `202402` could be months as well as weeks"),
            ("month,y\n2024-01,7\n", Step::Weeks(1), "line 2: `2024-01` is the only timestamp"),
            ("month,y\n", Step::Months(1), "no rows"),
            ("month,y\n202401,\n", Step::Months(1), "line 2: no value in column `y`"),
        ] {
            let error = recent(text, Some("month"), step).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_damage_is_read_or_refused(place in 0..800usize, byte in any::<u8>(), cut in 0..1000usize) {
            let mut bytes = good().into_bytes();
            bytes[place] = byte;
            bytes.truncate(cut);
            if let Ok(series) = parse(bytes, &usual()) {
                prop_assert!(series.columns.iter().all(|column| column.values.len() == series.rows()));
            }
        }
    }
}
