//! Records: rows of data as named columns of equal length, as formats and generators yield them.

mod column;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::DataError;
use crate::digest::Digest;
use crate::nearest::did_you_mean;
use crate::scores::Group;
use crate::signal::Signal;
use crate::timestamps::quoted;
use crate::wording::counted;
pub use column::Column;

/// A split of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Training split.
    Train,
    /// Validation split: for early stopping and model selection.
    Validation,
    /// Test split: for reporting only.
    Test,
}

impl Split {
    /// Every split.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// Name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }

    /// The split with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }
}

/// File and lines of a row, for messages.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Index into the files of the records.
    file: usize,
    /// 1-based number of the first line.
    line: usize,
    /// Lines of the items of its lists; empty if they are not known.
    items: Vec<usize>,
}

/// Named columns of equal length, and the file and line of each row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Records {
    columns: Vec<(String, Column)>,
    rows: usize,
    files: Vec<PathBuf>,
    /// One per row, or none if the rows are generated.
    places: Vec<Place>,
    /// 1-based line of the column names, if the first file has one.
    header: Option<usize>,
}

impl Records {
    /// Generated records.
    ///
    /// # Panics
    /// If the columns differ in length.
    pub fn new<N: Into<String>>(columns: impl IntoIterator<Item = (N, Column)>) -> Self {
        let columns: Vec<(String, Column)> = columns.into_iter().map(|(name, column)| (name.into(), column)).collect();
        let rows = columns.first().map_or(0, |(_, column)| column.len());
        assert!(columns.iter().all(|(_, column)| column.len() == rows), "columns of equal length");
        Self { columns, rows, ..Self::default() }
    }

    /// Records of a file; `lines` are the 1-based numbers of the first line of each row.
    ///
    /// # Panics
    /// If the columns or `lines` differ in length.
    pub fn of_file<N: Into<String>>(
        file: &Path,
        columns: impl IntoIterator<Item = (N, Column)>,
        lines: impl IntoIterator<Item = usize>,
    ) -> Self {
        let places: Vec<Place> = lines.into_iter().map(|line| Place { file: 0, line, items: Vec::new() }).collect();
        let records = Self::new(columns);
        assert_eq!(places.len(), records.rows, "one line per row");
        Self { files: vec![file.to_owned()], places, ..records }
    }

    /// Sets the lines of the items of each row's lists.
    ///
    /// # Panics
    /// If there are not as many as rows.
    pub fn with_item_lines(mut self, items: impl IntoIterator<Item = Vec<usize>>) -> Self {
        let mut count = 0;
        for (place, items) in self.places.iter_mut().zip(items) {
            place.items = items;
            count += 1;
        }
        assert_eq!(count, self.rows, "item lines for every row");
        self
    }

    /// Sets the line of the column names.
    pub fn with_header(self, line: usize) -> Self {
        Self { header: Some(line), ..self }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The first file that the rows come from; `None` if they are generated.
    pub fn file(&self) -> Option<&Path> {
        self.files.first().map(PathBuf::as_path)
    }

    /// The file and 1-based line of a row; `None` if it is generated.
    pub fn place(&self, row: usize) -> Option<(&Path, usize)> {
        let place = self.places.get(row)?;
        Some((&self.files[place.file], place.line))
    }

    /// The file and line of a row in messages, such as `reviews.csv, line 3`; `None` if it is generated.
    pub fn place_name(&self, row: usize) -> Option<String> {
        let (file, line) = self.place(row)?;
        Some(format!("{}, line {line}", crate::reading::name(file).display()))
    }

    /// SHA-256 digest of the columns with these names.
    pub(crate) fn digest(&self, names: &[&str]) -> String {
        let mut digest = Digest::default();
        digest.number(self.rows as u64);
        for name in names {
            for (_, column) in self.columns.iter().filter(|(other, _)| other == name) {
                digest.text(name);
                column.add_to(&mut digest);
            }
        }
        digest.finish()
    }

    /// The column with this name; `role` is its role in messages.
    ///
    /// # Errors
    /// If there is no such column, or more than one.
    pub fn column(&self, role: &'static str, name: &str) -> Result<&Column, DataError> {
        let indices: Vec<usize> = (0..self.columns.len()).filter(|&index| self.columns[index].0 == name).collect();
        match indices[..] {
            [index] => Ok(&self.columns[index].1),
            [] => {
                let column = if name.is_empty() {
                    "column without a name".to_owned()
                } else {
                    format!("column {}", quoted(name))
                };
                let hint = did_you_mean(name, self.names());
                let all = self.names().map(quoted).collect::<Vec<_>>().join(", ");
                Err(self.wrong_column(role, format!("no {column} to use as {role}{hint}; the columns are {all}")))
            }
            _ => {
                let (last, others) = indices.split_last().expect("at least two match");
                let others = others.iter().map(|index| (index + 1).to_string()).collect::<Vec<_>>().join(", ");
                let called =
                    if name.is_empty() { "have no name".to_owned() } else { format!("are named {}", quoted(name)) };
                let last = last + 1;
                Err(self.wrong_column(
                    role,
                    format!("columns {others} and {last} {called}, so {role} is ambiguous; rename all but one"),
                ))
            }
        }
    }

    /// The texts of a column.
    ///
    /// # Errors
    /// If there is no such column, or it has no texts.
    pub fn texts(&self, role: &'static str, name: &str) -> Result<&[Arc<str>], DataError> {
        match self.column(role, name)? {
            Column::Text(texts) => Ok(texts),
            other => Err(self.wrong_kind(role, name, other, "text")),
        }
    }

    /// The texts of a column as one running text; a line end is added between rows that have none.
    ///
    /// # Errors
    /// If there is no such column, or it has no texts.
    pub fn joined(&self, role: &'static str, name: &str) -> Result<String, DataError> {
        let mut whole = String::new();
        for text in self.texts(role, name)? {
            if !whole.is_empty() && !whole.ends_with('\n') {
                whole.push('\n');
            }
            whole += text;
        }
        Ok(whole)
    }

    /// The lists of a column.
    ///
    /// # Errors
    /// If there is no such column, or it has no lists.
    pub fn lists(&self, role: &'static str, name: &str) -> Result<&[Vec<String>], DataError> {
        match self.column(role, name)? {
            Column::Lists(lists) => Ok(lists),
            other => Err(self.wrong_kind(role, name, other, "lists of texts")),
        }
    }

    /// The series of a column.
    ///
    /// # Errors
    /// If there is no such column, or it has no series.
    pub fn series(&self, role: &'static str, name: &str) -> Result<&[Arc<Signal>], DataError> {
        match self.column(role, name)? {
            Column::Series(series) => Ok(series),
            other => Err(self.wrong_kind(role, name, other, "series")),
        }
    }

    /// The numbers of a column, parsed if it has texts; each is finite as a 32-bit float. `otherwise` is what to do about a row
    /// whose value cannot be corrected, such as "remove the row".
    ///
    /// # Errors
    /// If there is no such column, a value is missing, or it is not a finite number.
    pub fn numbers(&self, role: &'static str, name: &str, otherwise: &str) -> Result<Vec<f64>, DataError> {
        let finite = |row: usize, text: &str, value: f64| {
            let wrong = || {
                let problem = "infinite as a 32-bit float; correct it or";
                self.error(row, format!("{} in column {} is {problem} {otherwise}", quoted(text), quoted(name)))
            };
            (value as f32).is_finite().then_some(value).ok_or_else(wrong)
        };
        match self.column(role, name)? {
            Column::Numbers(numbers) => {
                numbers.iter().enumerate().map(|(row, &value)| finite(row, &value.to_string(), value)).collect()
            }
            Column::Text(texts) => {
                let number = |(row, text): (usize, &Arc<str>)| {
                    self.present(row, name, text, otherwise)?;
                    let problem = "not a number such as -20.7; correct it or choose another column";
                    let wrong = || self.error(row, format!("{} in column {} is {problem}", quoted(text), quoted(name)));
                    finite(row, text, text.parse().map_err(|_| wrong())?)
                };
                texts.iter().enumerate().map(number).collect()
            }
            other @ (Column::Lists(_) | Column::Series(_)) => Err(self.wrong_kind(role, name, other, "numbers")),
        }
    }

    /// The groups of each row, from columns of texts; rows with equal groups share memory.
    ///
    /// # Errors
    /// If a column is absent, or has no texts.
    pub fn groups(&self, names: &[String]) -> Result<Vec<Arc<[Group]>>, DataError> {
        let kinds: Vec<Arc<str>> = names.iter().map(|name| Arc::from(name.as_str())).collect();
        let columns = names.iter().map(|name| self.texts("groups", name)).collect::<Result<Vec<_>, _>>()?;
        let mut shared: HashMap<Vec<&str>, Arc<[Group]>> = HashMap::new();
        let of_row = |row: usize| {
            let values: Vec<&str> = columns.iter().map(|column| &*column[row]).collect();
            if let Some(groups) = shared.get(&values) {
                return groups.clone();
            }
            let pairs = kinds.iter().zip(&values);
            let groups: Arc<[Group]> = pairs.map(|(kind, value)| (kind.clone(), (*value).to_owned())).collect();
            shared.insert(values, groups.clone());
            groups
        };
        Ok((0..self.rows).map(of_row).collect())
    }

    /// The series that each row belongs to, in rows of several series: the name of each series, in the order of their first rows, and for
    /// each row the index of its series. The rows with an equal value of `column`, else the rows of one file, are a series.
    ///
    /// # Errors
    /// If there is no such column, or it has no texts.
    pub(crate) fn series_of_rows(&self, column: Option<&str>) -> Result<(Vec<String>, Vec<usize>), DataError> {
        let texts = column.map(|name| self.texts("series", name)).transpose()?;
        let mut indices: HashMap<&str, usize> = HashMap::new();
        let file = |row: usize| self.places.get(row).and_then(|place| self.files[place.file].to_str());
        let mut names = Vec::new();
        let of_row = |row: usize| {
            let name = texts.map_or_else(|| file(row).unwrap_or_default(), |texts| &*texts[row]);
            *indices.entry(name).or_insert_with(|| {
                names.push(name.to_owned());
                names.len() - 1
            })
        };
        let rows = (0..self.rows).map(of_row).collect();
        Ok((names, rows))
    }

    /// The rows that have a value in a column, and those that have none.
    ///
    /// # Errors
    /// If there is no such column.
    pub(crate) fn by_presence(&self, role: &'static str, name: &str) -> Result<(Vec<usize>, Vec<usize>), DataError> {
        let column = self.column(role, name)?;
        let is_present = |&row: &usize| match column {
            Column::Text(texts) => !is_missing(&texts[row]),
            Column::Numbers(numbers) => !numbers[row].is_nan(),
            Column::Lists(_) | Column::Series(_) => true,
        };
        Ok((0..self.rows).partition(is_present))
    }

    /// Checks that a text is not a representation of a missing value.
    pub(crate) fn present(&self, row: usize, column: &str, text: &str, otherwise: &str) -> Result<(), DataError> {
        if is_missing(text) {
            let detail = format!("missing value in column {}; fill it in or {otherwise}", quoted(column));
            return Err(self.error(row, detail));
        }
        Ok(())
    }

    /// The rows with these indices, in this order.
    ///
    /// # Panics
    /// If an index is not below the number of rows.
    pub fn select(&self, rows: &[usize]) -> Self {
        let columns = self.columns.iter().map(|(name, column)| (name.clone(), column.select(rows))).collect();
        let places = if self.places.is_empty() {
            Vec::new()
        } else {
            rows.iter().map(|&row| self.places[row].clone()).collect()
        };
        Self { columns, rows: rows.len(), files: self.files.clone(), places, header: self.header }
    }

    /// Appends the rows of other records. Columns in `used` must be in both, in any order; others are dropped unless both have them.
    ///
    /// # Errors
    /// If a column in use is missing in one of the two, or has another type.
    pub fn append(&mut self, mut other: Self, used: &[&str]) -> Result<(), DataError> {
        if self.columns.is_empty() {
            *self = other;
            return Ok(());
        }
        if other.columns.is_empty() {
            return Ok(());
        }
        let list = |records: &Self| records.names().map(quoted).collect::<Vec<_>>().join(", ");
        let file = other.file().map(Path::to_owned);
        if !self.names().eq(other.names()) {
            let differs = |name: &&&str| self.count(name) != other.count(name);
            if let Some(name) = used.iter().find(differs) {
                let (found, expected) = (list(&other), list(self));
                let detail = format!(
                    "column {} differs: the columns are {found}, but those of the previous files are {expected}",
                    quoted(name)
                );
                return Err(DataError::of_records(file.as_deref(), detail));
            }
            let is_in_both = |name: &str| self.count(name) == 1 && other.count(name) == 1;
            let both: Vec<String> = self.names().filter(|name| is_in_both(name)).map(str::to_owned).collect();
            *self = std::mem::take(self).select_columns(&both);
            other = other.select_columns(&both);
        }
        let offset = self.files.len();
        self.files.extend(other.files);
        self.places.extend(other.places.into_iter().map(|place| Place { file: place.file + offset, ..place }));
        self.rows += other.rows;
        for ((name, column), (_, more)) in self.columns.iter_mut().zip(other.columns) {
            if !column.append(more) {
                let detail = format!("column {} differs in type from that of the previous files", quoted(name));
                return Err(DataError::of_records(file.as_deref(), detail));
            }
        }
        Ok(())
    }

    /// Number of columns with a name.
    fn count(&self, name: &str) -> usize {
        self.names().filter(|&other| other == name).count()
    }

    /// The columns with these names, each of which one column has, in this order.
    fn select_columns(mut self, names: &[String]) -> Self {
        let position = |name: &String| names.iter().position(|wanted| wanted == name);
        self.columns.retain(|(name, _)| position(name).is_some());
        self.columns.sort_by_key(|(name, _)| position(name));
        self
    }

    /// Replaces each text of a column, or each item of its lists.
    pub(crate) fn map_texts(&mut self, name: &str, mut change: impl FnMut(&str) -> Option<String>) {
        for (_, column) in self.columns.iter_mut().filter(|(column, _)| column == name) {
            match column {
                Column::Text(texts) => {
                    for text in texts {
                        if let Some(changed) = change(text) {
                            *text = changed.into();
                        }
                    }
                }
                Column::Lists(lists) => {
                    for item in lists.iter_mut().flatten() {
                        if let Some(changed) = change(item) {
                            *item = changed;
                        }
                    }
                }
                Column::Numbers(_) | Column::Series(_) => {}
            }
        }
    }

    /// Replaces the texts of a column by the lists of their words, which are separated by ASCII whitespace: other whitespace,
    /// such as a no-break space, is part of a word, as in CoNLL columns.
    pub(crate) fn split_words(&mut self, name: &str) {
        let words = |text: &Arc<str>| text.split_ascii_whitespace().map(str::to_owned).collect();
        for (_, column) in self.columns.iter_mut().filter(|(column, _)| column == name) {
            if let Column::Text(texts) = column {
                *column = Column::Lists(texts.iter().map(words).collect());
            }
        }
    }

    /// The error for a row; names its file and line.
    pub fn error(&self, row: usize, detail: impl std::fmt::Display) -> DataError {
        match self.place(row) {
            Some((file, line)) => DataError::line(file, line, detail),
            None => DataError::of_records(None, format!("row {row}: {detail}")),
        }
    }

    /// The error for an item of a row's lists; names its file and line.
    pub fn item_error(&self, row: usize, item: usize, detail: impl std::fmt::Display) -> DataError {
        match self.places.get(row).and_then(|place| Some((place.file, *place.items.get(item)?))) {
            Some((file, line)) => DataError::line(&self.files[file], line, detail),
            None => self.error(row, detail),
        }
    }

    fn wrong_kind(&self, role: &'static str, name: &str, column: &Column, expected: &str) -> DataError {
        let is_several = role == "label" && matches!(column, Column::Lists(_));
        let hint = if is_several { "; task multi-label predicts several labels per text" } else { "" };
        self.wrong_column(role, format!("column {} has {}, not {expected}{hint}", quoted(name), column.kind()))
    }

    fn wrong_column(&self, role: &'static str, detail: String) -> DataError {
        let path = self.file().map(crate::reading::name);
        DataError::Column { path, line: self.header, role, detail }
    }
}

/// Examples that are left out: their number, and where the first one is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Number of examples.
    pub count: usize,
    /// File and line of the first one, if it is not generated.
    first: Option<String>,
}

impl LeftOut {
    /// Adds a row.
    pub(crate) fn add(&mut self, records: &Records, row: usize) {
        if self.count == 0 {
            self.first = records.place_name(row);
        }
        self.count += 1;
    }

    /// A note for the user, if any example is left out; `examples` is their name in the plural, and `why` follows it.
    pub fn note(&self, examples: &str, why: &str) -> Option<String> {
        let first = self.first.as_ref().map_or_else(String::new, |place| format!("; first: {place}"));
        (self.count > 0).then(|| format!("{} {why} left out{first}", counted(self.count, examples)))
    }
}

/// Representations of a missing value, in upper case.
const MISSING: [&str; 4] = ["", "NA", "NAN", "NULL"];

fn is_missing(text: &str) -> bool {
    MISSING.contains(&&*text.trim().to_uppercase())
}
