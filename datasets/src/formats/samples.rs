//! Tests of every format on its sample, as it is and damaged in every way that occurs in practice.

use std::path::Path;

use toml::Table;

use super::{ALL, Format, Together};
use crate::DataError;
use crate::reading::Locator;
use crate::records::Records;

/// Reads files of a format.
fn read(format: &Format, files: &[(&str, Vec<u8>)]) -> Result<Records, DataError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join("data").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let location = Path::new("data");
    let inputs = Locator::new(dir.path(), &[], vec![location]).find(location, false)?.unwrap();
    let columns: Vec<&str> =
        if format.together == Together::Folder { files.iter().map(|(name, _)| *name).collect() } else { Vec::new() };
    let mut all: Option<Records> = None;
    for together in format.together(&inputs) {
        let records = format.read_together(together, &Table::new(), &columns)?;
        match &mut all {
            Some(all) => all.append(records, &[])?,
            None => all = Some(records),
        }
    }
    Ok(all.unwrap())
}

/// Rows without their places.
fn contents(records: &Records) -> String {
    let columns: Vec<_> = records.names().map(|name| (name, records.column("text", name).unwrap())).collect();
    format!("{columns:?}")
}

fn bytes(format: &Format) -> Vec<(&'static str, Vec<u8>)> {
    format.sample.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect()
}

/// The sample with another content of one file.
fn with(format: &Format, file: usize, content: impl Into<Vec<u8>>) -> Vec<(&'static str, Vec<u8>)> {
    let mut files = bytes(format);
    files[file].1 = content.into();
    files
}

/// Damaged files are read, or the error names one of them.
fn check(format: &Format, files: &[(&str, Vec<u8>)], what: &str) -> Option<String> {
    let error = read(format, files).err()?.to_string();
    let name = |(name, _): &(&str, Vec<u8>)| error.contains(name.rsplit('/').next().unwrap());
    assert!(files.iter().any(name), "{} {what}: {error}", format.name);
    Some(error)
}

#[test]
fn every_text_format_has_a_sample_that_it_reads_and_recognizes() {
    for format in ALL {
        let is_binary = ["idx", "midi"].contains(&format.name);
        assert!(!format.sample.is_empty() || is_binary, "{}", format.name);
        if format.sample.is_empty() {
            continue;
        }
        let records = read(format, &bytes(format)).unwrap();
        let rows = if format.name == "text" { 1 } else { 2 };
        assert!(records.len() >= rows, "{}: {records:?}", format.name);
    }
}

#[test]
fn line_ends_and_byte_order_marks_do_not_matter() {
    for format in ALL {
        let expected = (!format.sample.is_empty()).then(|| contents(&read(format, &bytes(format)).unwrap()));
        for (index, (_, text)) in format.sample.iter().enumerate() {
            let variants = [text.replace('\n', "\r\n"), text.replace('\n', "\r"), format!("\u{feff}{text}")];
            for variant in variants {
                let found = read(format, &with(format, index, variant.clone())).map(|records| contents(&records));
                assert_eq!(found.ok(), expected, "{}: {variant:?}", format.name);
            }
        }
    }
}

#[test]
fn truncated_files_are_read_or_refused_by_name() {
    for format in ALL {
        for (index, (_, text)) in format.sample.iter().enumerate() {
            for end in 0..text.len() {
                check(format, &with(format, index, &text.as_bytes()[..end]), &format!("cut at byte {end}"));
            }
        }
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_with_file_and_line() {
    for format in ALL {
        for (index, (_, text)) in format.sample.iter().enumerate() {
            for (at, _) in text.char_indices() {
                let mut damaged = text.as_bytes().to_vec();
                damaged.insert(at, 0xff);
                let line = 1 + text[..at].matches('\n').count();
                let error = check(format, &with(format, index, damaged), &format!("byte 0xff at {at}"));
                let error = error.unwrap_or_else(|| panic!("{}: a byte 0xff at {at} is read", format.name));
                assert!(error.contains("not UTF-8"), "{}: {error}", format.name);
                assert!(error.contains(&format!("line {line}")) || format.name == "class-folders", "{error}");
            }
        }
    }
}

#[test]
fn lines_that_are_removed_repeated_emptied_or_garbled_are_read_or_refused_by_name() {
    let garbage =
        ["", "\t", ",", ";", "\"", "'", ":", "{", "}", "x", "?", "\u{0}", "__label__", "<e1>", "1e999", "𝕏 y z"];
    for format in ALL {
        for (index, (_, text)) in format.sample.iter().enumerate() {
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            for row in 0..lines.len() {
                let line = lines[row].trim_end_matches('\n');
                let mut replacements = vec![String::new(), "\n".to_owned(), format!("{line}\n{line}\n")];
                for extra in garbage {
                    replacements.push(format!("{extra}\n"));
                    replacements.push(format!("{extra}{line}\n"));
                    replacements.push(format!("{line}{extra}\n"));
                    let middle = line.char_indices().nth(line.chars().count() / 2).map_or(0, |(at, _)| at);
                    replacements.push(format!("{}{extra}{}\n", &line[..middle], &line[middle..]));
                }
                for replacement in replacements {
                    let damaged = [&lines[..row], &[replacement.as_str()], &lines[row + 1..]].concat().concat();
                    check(format, &with(format, index, damaged.clone()), &format!("{damaged:?}"));
                }
            }
        }
    }
}

#[test]
fn very_long_lines_are_read_or_refused_by_name() {
    for format in ALL {
        for (index, (_, text)) in format.sample.iter().enumerate() {
            for row in 0..text.lines().count() {
                let long: Vec<String> = text
                    .lines()
                    .enumerate()
                    .map(|(other, line)| match other == row {
                        true => format!("{line}{}", " word".repeat(10_000)),
                        false => line.to_owned(),
                    })
                    .collect();
                check(format, &with(format, index, long.join("\n") + "\n"), "10,000 words in a line");
            }
        }
    }
}
