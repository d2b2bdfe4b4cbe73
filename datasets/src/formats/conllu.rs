//! CoNLL-U, the format of Universal Dependencies: each sentence is a row, and each column a list with one item per word.

use super::{Format, Request, Together};
use crate::DataError;
use crate::conllu::{COLUMNS, Document};
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "conllu",
    summary: "CoNLL-U of Universal Dependencies, one row per sentence; multiword tokens and empty nodes are left out",
    columns: "id, form, lemma, upos, xpos, feats, head, deprel, deps, misc: one item per word",
    options: &[],
    suffixes: &["conllu"],
    together: Together::File,
    roles: &[("tokens", "form"), ("tags", "upos")],
    sample: &[(
        "dogs.conllu",
        "# text = Dogs bark\n1\tDogs\tdog\tNOUN\t_\t_\t2\tnsubj\t_\t_\n2\tbark\tbark\tVERB\t_\t_\t0\troot\t_\t_\n\n# text = Stop\n1\tStop\tstop\tVERB\t_\t_\t0\troot\t_\t_\n\n",
    )],
    is_first_line: |line| line.starts_with("# sent_id") || crate::conllu::is_row(line) == Some(true),
    read,
};

const NAMES: [&str; COLUMNS] = ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"];

fn read(request: &Request) -> Result<Records, DataError> {
    let name = request.input.name();
    let document = Document::of(name, request.input.lines()?)?;
    let sentences = &document.sentences;
    // Unused columns, most of a file, become empty lists.
    let column = |index: usize| {
        let is_used = request.columns.contains(&NAMES[index]);
        let items = |sentence: &crate::conllu::Sentence| match is_used {
            true => sentence.column(index).into_iter().map(str::to_owned).collect(),
            false => Vec::new(),
        };
        (NAMES[index], Column::Lists(sentences.iter().map(items).collect()))
    };
    let lines: Vec<Vec<usize>> = sentences.iter().map(|sentence| sentence.lines().collect()).collect();
    for index in (0..COLUMNS).filter(|&index| request.columns.contains(&NAMES[index])) {
        let items =
            sentences.iter().zip(&lines).flat_map(|(sentence, lines)| sentence.column(index).into_iter().zip(lines));
        if let Some((_, line)) = items.into_iter().find(|(item, _)| item.trim().is_empty()) {
            let detail =
                format!("{} (column {}) is empty; use _ if there is none", NAMES[index].to_uppercase(), index + 1);
            return Err(DataError::line(name, *line, detail));
        }
    }
    let first = lines.iter().map(|lines| lines[0]).collect::<Vec<_>>();
    Ok(Records::of_file(name, (0..COLUMNS).map(column), first).with_item_lines(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_of_a_column_in_use_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.conllu");
        std::fs::write(&path, "# text = a b\n1\ta\t_\tDET\t_\t_\t_\t_\t_\t_\n2\tb\t_\t\t_\t_\t_\t_\t_\t_\n\n").unwrap();
        let read = |columns: &[&str]| FORMAT.read(&crate::reading::Input::file(&path), &toml::Table::new(), columns);
        let error = read(&["form", "upos"]).unwrap_err().to_string();
        assert!(error.ends_with("a.conllu, line 3: UPOS (column 4) is empty; use _ if there is none"), "{error}");
        assert_eq!(read(&["form"]).unwrap().len(), 1);
    }
}
