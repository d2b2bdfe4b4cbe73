//! Aligned files: one file per column, one row per line, such as the sentences, tags and intents of SNIPS and ATIS, or the two languages
//! of a translation corpus.

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::{Input, is_blank};
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "aligned",
    summary: "a folder with a file per column and a row per line, as in SNIPS: seq.in, seq.out, label; lines that are blank in all files are skipped",
    columns: "the names of the files",
    options: &[],
    suffixes: &[],
    together: Together::Folder,
    roles: &[("tokens", WORDS), ("tags", "seq.out"), ("text", WORDS)],
    sample: &[
        ("seq.in", "play some jazz\nwill it rain\n"),
        ("seq.out", "O O B-genre\nO O O\n"),
        ("label", "Music\nWeather\n"),
    ],
    is_first_line: |_| false,
    read,
};

/// The file of the sentences, by which the format is recognized.
pub(super) const WORDS: &str = "seq.in";

fn read(request: &Request) -> Result<Records, DataError> {
    let name = |input: &Input| input.folder_and_file().1.to_owned();
    let mut names = request.columns.to_vec();
    names.sort_unstable();
    names.dedup();
    let mut files: Vec<(&Input, Vec<String>)> = Vec::new();
    for column in names {
        let Some(input) = request.inputs.iter().find(|input| name(input) == column) else {
            let folder = request.input.name().parent().unwrap_or(request.input.name());
            let found = request.inputs.iter().map(name).collect::<Vec<_>>().join(", ");
            let detail = format!("no file {column} for the column of this name; the files are {found}");
            return Err(DataError::invalid(folder, detail));
        };
        let lines = input.lines()?.map(|line| line.map(|line| line.text)).collect::<Result<_, _>>()?;
        files.push((input, lines));
    }
    let row = |row: usize| files.iter().map(move |(_, lines)| lines.get(row).map_or("", String::as_str));
    let longest = files.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0);
    let rows: Vec<usize> = (0..longest).filter(|&index| !row(index).all(is_blank)).collect();
    let count = rows.last().map_or(0, |last| last + 1);
    if let Some((short, lines)) = files.iter().find(|(_, lines)| lines.len() < count) {
        let long =
            files.iter().find(|(_, lines)| lines.len() >= count).map_or_else(String::new, |(input, _)| name(input));
        let detail = format!("the file ends here, but {long} has {count} lines; expected a line per row in each file");
        return Err(DataError::line(short.name(), lines.len().max(1), detail));
    }
    if rows.is_empty() {
        return Err(DataError::invalid(request.input.name(), "no rows; expected a line per row in each file"));
    }
    let columns =
        files.iter().map(|(input, lines)| (name(input), Column::text(rows.iter().map(|&row| lines[row].trim()))));
    Ok(Records::of_file(files[0].0.name(), columns, rows.iter().map(|row| row + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Table;

    fn read(files: &[(&str, &str)], columns: &[&str]) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let write = |(name, text): &(&str, &str)| {
            std::fs::write(dir.path().join(name), text).unwrap();
            Input::file(&dir.path().join(name))
        };
        let inputs: Vec<Input> = files.iter().map(write).collect();
        let read = FORMAT.read_together(&inputs, &Table::new(), columns);
        read.map_err(|error| error.to_string().replace(dir.path().to_str().unwrap(), "D"))
    }

    #[test]
    fn lines_of_the_files_are_the_columns_of_a_row() {
        let files = [
            ("label", "PlayMusic\r\nGetWeather\r\n\r\n"),
            ("seq.in", "play it \n\u{a0}will it rain"),
            ("seq.out", "O O\n O O O\n\n\n"),
            ("README", "one\n\n\ntwo\nthree"),
        ];
        let records = read(&files, &["seq.in", "seq.out", "label"]).unwrap();
        let column = |name: &'static str| {
            records.texts(name, name).unwrap().iter().map(|text| text.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(column("seq.in"), ["play it", "will it rain"]);
        assert_eq!(column("seq.out"), ["O O", "O O O"]);
        assert_eq!(column("label"), ["PlayMusic", "GetWeather"]);
        assert_eq!(records.place(1).unwrap().1, 2);
    }

    #[test]
    fn files_that_do_not_match_are_errors() {
        let short = [("seq.in", "a\nb\nc\n"), ("seq.out", "O\nO\n")];
        let error = read(&short, &["seq.in", "seq.out"]).unwrap_err();
        assert!(error.starts_with("D/seq.out, line 2: the file ends here, but seq.in has 3 lines"), "{error}");
        let error = read(&short, &["seq.in", "intent"]).unwrap_err();
        assert_eq!(error, "D: no file intent for the column of this name; the files are seq.in, seq.out");
        let error = read(&[("seq.in", "\n"), ("seq.out", "")], &["seq.in", "seq.out"]).unwrap_err();
        assert!(error.contains("no rows"), "{error}");
    }
}
