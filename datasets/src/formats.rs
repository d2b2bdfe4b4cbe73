//! File formats: each parses a file into [`Records`].
//!
//! A format is one file in this folder and one line in the list below. It declares its name, the columns that it yields, and the
//! options that it accepts; [`Format::read`] rejects any other option. [`reading`](crate::reading) handles containers, encodings and line
//! ends, and [`DataSettings`](crate::settings::DataSettings) selects the columns.

use std::cell::RefCell;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::DataError;
use crate::nearest::did_you_mean;
use crate::reading::{Input, NOT_UTF_8, is_blank};
use crate::records::{Column, Records};

/// Collects the `FORMAT` of each module.
macro_rules! formats {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        /// Every format, in listing order.
        pub static ALL: [&Format; [$(stringify!($module)),*].len()] = [$(&$module::FORMAT),*];
    };
}

formats![
    aligned,
    arff,
    class_files,
    class_folders,
    conll,
    conllu,
    csv,
    fasttext,
    idx,
    jsonl,
    drawings, // after jsonl, whose suffix it has too
    labeled_lines,
    midi,
    nab,
    pairs,
    piano_rolls,
    pronunciations,
    semeval,
    series,
    text,
    ts
];

pub use series::LabelPosition;

/// Which files are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Together {
    /// Each file by itself.
    File,
    /// The files of a folder, such as one for each column of the same rows.
    Folder,
    /// All files.
    All,
}

/// A file format.
#[derive(Debug)]
pub struct Format {
    /// Name in `data.format`.
    pub name: &'static str,
    /// One line for listings.
    pub summary: &'static str,
    /// The columns that it yields, for listings.
    pub columns: &'static str,
    /// Options of `data.options` other than the [common ones](COMMON): name and description.
    pub options: &'static [(&'static str, &'static str)],
    /// Endings of file names that mark the format, without the dot.
    suffixes: &'static [&'static str],
    /// Which files are read together.
    together: Together,
    /// Columns by role, if they are not given and differ from the name of the role.
    roles: &'static [(&'static str, &'static str)],
    /// A small sample for the documentation, which the tests read: name and content of each file; none for binary formats.
    pub sample: &'static [(&'static str, &'static str)],
    /// Whether a line, the first one that is not blank, can only be in this format.
    is_first_line: fn(&str) -> bool,
    /// Reads one file, or the files of a folder.
    read: fn(&Request) -> Result<Records, DataError>,
}

/// Number of lines after the first one by which the format of a file may be recognized.
const SAMPLE: usize = 100;

/// Options of every format.
pub const COMMON: [(&str, &str); 1] = [("encoding", "utf-8 (default; byte-order marks are recognized) or latin-1")];

/// A file to read, or the files of a folder.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The file; the first one of a folder.
    pub input: &'a Input,
    /// All files.
    pub inputs: &'a [Input],
    /// Options of the format, by name.
    options: Table,
    /// Names of the columns in use; a format may omit all others.
    pub columns: &'a [&'a str],
    /// Errors of rows that are left out; `None` if such an error ends reading.
    bad_rows: Option<&'a RefCell<Vec<DataError>>>,
}

impl Request<'_> {
    /// Whether rows may be left out, since each is to be predicted by itself.
    pub(crate) fn is_lenient(&self) -> bool {
        self.bad_rows.is_some()
    }

    /// Leaves a row out.
    ///
    /// # Errors
    /// The error of the row, unless rows may be left out.
    pub(crate) fn leave_out(&self, error: DataError) -> Result<(), DataError> {
        match self.bad_rows {
            Some(errors) => errors.borrow_mut().push(error),
            None => return Err(error),
        }
        Ok(())
    }

    /// The options, as a type with a field per option.
    pub(crate) fn options<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        let invalid = |error: toml::de::Error| {
            DataError::setting("data.options", Value::Table(self.options.clone()), error.message().to_owned())
        };
        Value::Table(self.options.clone()).try_into().map_err(invalid)
    }
}

impl Format {
    /// The format with this name.
    ///
    /// # Errors
    /// If there is no such format.
    pub fn named(name: &str) -> Result<&'static Self, DataError> {
        let known = || ALL.iter().map(|format| format.name);
        let unknown = || {
            let all = known().collect::<Vec<_>>().join(", ");
            let expected = format!("unknown format{}; available: {all}", did_you_mean(name, known()));
            DataError::setting("data.format", name, expected)
        };
        ALL.into_iter().find(|format| format.name == name).ok_or_else(unknown)
    }

    /// The format that the end of a file name marks; the first one, if it marks several.
    pub fn of_name(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|format| format.is_marked_by(name))
    }

    /// Whether the end of a file name marks the format.
    fn is_marked_by(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let name = [".gz", ".zip"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        name.rsplit_once('.').is_some_and(|(_, suffix)| self.suffixes.contains(&suffix))
    }

    /// The format that a line, the first one of a file that is not blank, can only be in.
    pub fn of_first_line(line: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|format| (format.is_first_line)(line.trim()))
    }

    /// The format, of those that every line marks, that more than half of the lines are in.
    fn of_most(lines: &[String]) -> Option<&'static Self> {
        let marks_most = |format: &&'static Self| {
            let marked = lines.iter().filter(|line| (format.is_first_line)(line.trim())).count();
            2 * marked > lines.len()
        };
        [&fasttext::FORMAT, &jsonl::FORMAT].into_iter().find(marks_most)
    }

    /// Reads one column of a file, to predict from each of its values: the one with a role, or its default for this format. Also returns the
    /// errors of rows that cannot be read.
    ///
    /// # Errors
    /// As [`Format::read`]; if there is no such column.
    pub fn read_column(
        &self,
        path: &Path,
        options: &Table,
        role: &'static str,
        name: Option<&str>,
    ) -> Result<(Records, Column, Vec<DataError>), DataError> {
        let name = name.unwrap_or(self.default_column(role));
        let bad_rows = RefCell::default();
        let records = self.request(&[Input::file(path)], options, &[name], Some(&bad_rows))?;
        let column = records.column(role, name)?.clone();
        Ok((records, column, bad_rows.into_inner()))
    }

    /// The format of the files at a location: by the end of the first name (`default`, if that is one of those that it marks), else `default`,
    /// else by folders or the first lines.
    ///
    /// # Errors
    /// If none is recognized, or the file is empty or cannot be read.
    pub(crate) fn recognize(
        location: &Path,
        inputs: &[Input],
        default: Option<&str>,
    ) -> Result<&'static Self, DataError> {
        let unknown = |detail: &str| {
            let all = ALL.map(|format| format.name).join(", ");
            let expected = format!("{}: {detail}; set it to one of {all}", location.display());
            DataError::setting("data.format", "none", expected)
        };
        let Some(input) = inputs.first() else { return Err(unknown("no file to recognize the format of")) };
        let (_, file) = input.folder_and_file();
        let is_default = |format: &&Self| Some(format.name) == default && format.is_marked_by(file);
        if let Some(format) = ALL.into_iter().find(is_default).or_else(|| Self::of_name(file)) {
            return Ok(format);
        }
        // Any text may be running text; other defaults apply where the first line is not conclusive.
        if let Some(name) = default.filter(|name| *name == "text") {
            return Self::named(name);
        }
        if inputs.iter().any(|input| input.folder_and_file().1 == aligned::WORDS) {
            return Ok(&aligned::FORMAT);
        }
        let is_in_location = !input.folder().is_empty() && Path::new(input.folder()).starts_with(location);
        if inputs.len() > 1 || is_in_location {
            // Folders below a location are classes, even a single one; the folder of all files in an archive is not.
            let is_below = is_in_location && Path::new(input.folder()) != location;
            let is_one_folder = inputs.iter().all(|other| other.folder() == input.folder());
            return Self::named(if is_one_folder && !is_below { "class-files" } else { "class-folders" });
        }
        // Comments are conclusive in some formats, and no row of any.
        let mut lines = input.lines()?.filter(|line| !line.as_ref().is_ok_and(|line| is_blank(&line.text)));
        let first = lines.next().transpose()?.map_or_else(String::new, |line| line.text);
        if first.is_empty() && default.is_none() {
            return Err(DataError::invalid(input.name(), "empty; expected data"));
        }
        let can_be_default = |format: &&Self| Some(format.name) == default && (format.is_first_line)(first.trim());
        let found = match ALL.into_iter().find(can_be_default).or_else(|| Self::of_first_line(&first)) {
            None if first.starts_with('#') => {
                let row = lines.find(|line| !line.as_ref().is_ok_and(|line| line.text.starts_with('#'))).transpose()?;
                row.and_then(|line| Self::of_first_line(&line.text))
            }
            // The first line may be damaged, such as one without a label.
            None => {
                let more = lines.take(SAMPLE).filter_map(Result::ok).map(|line| line.text);
                Self::of_most(&std::iter::once(first).chain(more).collect::<Vec<_>>())
            }
            found => found,
        };
        match (found, default) {
            (Some(format), _) => Ok(format),
            (None, Some(name)) => Self::named(name),
            (None, None) => Err(unknown("the format is not recognized by the name or the first line")),
        }
    }

    /// The column with a role, if it is not given.
    pub(crate) fn default_column<'a>(&self, role: &'a str) -> &'a str {
        self.roles.iter().find(|(name, _)| *name == role).map_or(role, |(_, column)| column)
    }

    /// Divides files into those that are read together.
    pub(crate) fn together<'a>(&self, inputs: &'a [Input]) -> impl Iterator<Item = &'a [Input]> {
        let together = self.together;
        inputs.chunk_by(move |a, b| match together {
            Together::File => false,
            Together::Folder => a.folder() == b.folder(),
            Together::All => true,
        })
    }

    /// Reads a file; `columns` are the names of the columns in use.
    ///
    /// # Errors
    /// If an option is unknown or invalid, or the file cannot be read or is not in this format.
    pub fn read(&self, input: &Input, options: &Table, columns: &[&str]) -> Result<Records, DataError> {
        self.read_together(std::slice::from_ref(input), options, columns)
    }

    /// As [`Format::read`], for files that are read [together](Format::together).
    pub(crate) fn read_together(
        &self,
        inputs: &[Input],
        options: &Table,
        columns: &[&str],
    ) -> Result<Records, DataError> {
        self.request(inputs, options, columns, None)
    }

    fn request(
        &self,
        inputs: &[Input],
        options: &Table,
        columns: &[&str],
        bad_rows: Option<&RefCell<Vec<DataError>>>,
    ) -> Result<Records, DataError> {
        self.check(options)?;
        let mut options = options.clone();
        let encoding = options.remove("encoding");
        let latin_1 = match encoding.as_ref().map(|value| value.as_str().unwrap_or_default()) {
            None | Some("utf-8") => false,
            Some("latin-1") => true,
            Some(_) => {
                let value = encoding.unwrap_or(Value::Boolean(false));
                return Err(DataError::setting("data.options.encoding", value, "\"utf-8\" or \"latin-1\""));
            }
        };
        let latin = latin_1.then(|| inputs.iter().cloned().map(Input::latin_1).collect::<Vec<_>>());
        let inputs = latin.as_deref().unwrap_or(inputs);
        let read = (self.read)(&Request { input: &inputs[0], inputs, options, columns, bad_rows });
        read.map_err(|error| match error {
            DataError::Line { path, line, detail } if detail == NOT_UTF_8 => {
                let detail =
                    format!("{detail}, or set data.options.encoding to \"latin-1\" if it is Latin-1 (ISO 8859-1)");
                DataError::Line { path, line, detail }
            }
            error => error,
        })
    }

    /// Checks the names of options.
    ///
    /// # Errors
    /// The first unknown option, with the nearest known one.
    pub fn check(&self, options: &Table) -> Result<(), DataError> {
        let known = || COMMON.iter().chain(self.options).map(|(name, _)| *name);
        let Some(unknown) = options.keys().find(|option| !known().any(|name| name == option.as_str())) else {
            return Ok(());
        };
        let all = known().collect::<Vec<_>>().join(", ");
        let hint = did_you_mean(unknown, known());
        let expected = format!("format {} has no such option{hint}; its options are {all}", self.name);
        Err(DataError::setting(format!("data.options.{unknown}"), &options[unknown], expected))
    }
}

#[cfg(test)]
mod samples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_formats_and_options_are_refused_with_the_nearest_name() {
        let error = Format::named("labeled-line").unwrap_err().to_string();
        assert!(
            error.starts_with("data.format = labeled-line: unknown format (did you mean `labeled-lines`?)"),
            "{error}"
        );
        let options: Table = toml::from_str("seperator = \";\"").unwrap();
        let error = Format::named("csv").unwrap().check(&options).unwrap_err().to_string();
        assert!(error.contains("data.options.seperator") && error.contains("did you mean `separator`?"), "{error}");
        assert!(error.contains("encoding"), "{error}");
    }

    #[test]
    fn values_of_options_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        std::fs::write(&path, b"caf\xe9 noir\n").unwrap();
        let read = |options: &str| {
            let options: Table = toml::from_str(options).unwrap();
            Format::named("text").unwrap().read(&Input::file(&path), &options, &["text"])
        };
        assert!(read("").unwrap_err().to_string().contains("a.txt, line 1: not UTF-8"));
        let records = read("encoding = \"latin-1\"").unwrap();
        assert_eq!(&*records.texts("text", "text").unwrap()[0], "café noir\n");
        let error = read("encoding = \"ebcdic\"").unwrap_err().to_string();
        assert!(error.contains("data.options.encoding") && error.contains("\"latin-1\""), "{error}");
        assert!(Format::named("text").unwrap().read(&Input::file(Path::new("absent")), &Table::new(), &[]).is_err());
    }

    #[test]
    fn names_of_formats_are_those_of_their_files() {
        for format in ALL {
            let file = format!("src/formats/{}.rs", format.name.replace('-', "_"));
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).is_file(), "{file}");
        }
    }

    #[test]
    fn formats_are_recognized_by_folders_names_and_first_lines() {
        let dir = tempfile::tempdir().unwrap();
        let of = |files: &[(&str, &str)], location: &str, default: Option<&str>| {
            for (path, text) in files {
                let path = dir.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            let location = Path::new(location);
            let locator = crate::reading::Locator::new(dir.path(), &[], vec![location]);
            let inputs = locator.find(location, false).unwrap().unwrap();
            Format::recognize(location, &inputs, default).map(|format| format.name).map_err(|error| error.to_string())
        };
        let json = "\n{\"text\": \"a\"}\n";
        for (path, text, format) in [
            ("a.CSV", "x", "csv"),
            ("a.tsv.gz", "x", "csv"),
            ("a.jsonl", "x", "jsonl"),
            ("a.txt", json, "jsonl"),
            ("b.txt", " \n__label__a b\n", "fasttext"),
            ("d.txt", "no label\n__label__a b\n\n__label__b c\n", "fasttext"),
            ("a.bio", "x", "conll"),
            ("a.conllu", "x", "conllu"),
            ("c.txt", "1\tDogs\t_\tNOUN\t_\t_\t_\t_\t_\t_\n", "conllu"),
        ] {
            // The bytes of a file need not be compressed to be read.
            assert_eq!(of(&[(path, text)], path, None).as_deref(), Ok(format), "{path}");
        }
        assert_eq!(of(&[("r/pos/1.txt", "a"), ("r/neg/2.txt", "b")], "r", None).as_deref(), Ok("class-folders"));
        assert_eq!(of(&[("n/a.txt", "a"), ("n/b.txt", "b")], "n", None).as_deref(), Ok("class-files"));
        assert_eq!(of(&[("single/a.txt", "a")], "single", None).as_deref(), Ok("class-files"));
        assert_eq!(of(&[("s/seq.in", "a"), ("s/seq.out", "O"), ("s/label", "x")], "s", None).as_deref(), Ok("aligned"));
        assert_eq!(of(&[("nested/pos/a.txt", "a")], "nested", None).as_deref(), Ok("class-folders"));
        assert_eq!(of(&[("e.txt", json)], "e.txt", Some("text")).as_deref(), Ok("text"));
        let drawing = "{\"drawing\": [[[0, 9], [0, 9]]]}\n";
        for (default, format) in [(Some("drawings"), "drawings"), (Some("text"), "jsonl"), (None, "jsonl")] {
            assert_eq!(of(&[("e.ndjson", drawing)], "e.ndjson", default).as_deref(), Ok(format));
        }
        assert_eq!(of(&[("e.csv", "text\na\n")], "e.csv", Some("text")).as_deref(), Ok("csv"));
        assert!(of(&[("f.txt", " \n\n")], "f.txt", None).unwrap_err().ends_with("f.txt: empty; expected data"));
        let error = of(&[("d.txt", "once upon a time")], "d.txt", None).unwrap_err();
        assert!(error.starts_with("data.format = none: d.txt: ") && error.contains("csv, fasttext"), "{error}");
    }
}
