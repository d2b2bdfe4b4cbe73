//! Labeled texts as fastText reads them: labels with a prefix, then the text.

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "fasttext",
    summary: "one text per line after one or more labels such as __label__positive; blank lines are skipped",
    columns: "text, label (the first one), labels (a list)",
    options: &[("prefix", "the beginning of a label; \"__label__\" by default")],
    suffixes: &[],
    together: Together::File,
    roles: &[],
    sample: &[(
        "questions.txt",
        "__label__baking __label__bread How do I store bread?\n__label__meat How long does ham keep?\n",
    )],
    is_first_line: |line| line.starts_with(PREFIX),
    read,
};

/// The beginning of a label by default.
const PREFIX: &str = "__label__";

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    prefix: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { prefix: PREFIX.to_owned() }
    }
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { prefix } = request.options()?;
    if prefix.is_empty() || prefix.contains(char::is_whitespace) {
        return Err(DataError::setting("data.options.prefix", prefix, "a text without spaces, such as \"__label__\""));
    }
    let name = request.input.name();
    let (mut texts, mut first, mut all, mut lines) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for line in request.input.lines()? {
        let line = line?;
        if is_blank(&line.text) {
            continue;
        }
        let mut rest = line.text.trim();
        let mut labels: Vec<String> = Vec::new();
        while let Some(after) = rest.strip_prefix(&*prefix) {
            let (label, text) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
            labels.push(label.to_owned());
            rest = text.trim_start();
        }
        if labels.iter().any(String::is_empty) {
            let detail = format!("expected a label after `{prefix}`, as in `{prefix}positive What a story!`");
            request.leave_out(DataError::line(name, line.number, detail))?;
            continue;
        }
        texts.push(rest.to_owned());
        first.push(labels.first().cloned().unwrap_or_default());
        all.push(labels);
        lines.push(line.number);
    }
    if texts.is_empty() {
        return Err(DataError::invalid(
            name,
            format!("empty; expected lines such as `{prefix}positive What a story!`"),
        ));
    }
    let columns = [("text", Column::text(texts)), ("label", Column::text(first)), ("labels", Column::Lists(all))];
    Ok(Records::of_file(name, columns, lines))
}

#[cfg(test)]
mod tests {
    use crate::formats::Format;
    use crate::reading::Input;
    use crate::records::Records;

    fn parse(text: &str, options: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        std::fs::write(&path, text).unwrap();
        let read = Format::named("fasttext").unwrap().read(&Input::file(&path), &toml::from_str(options).unwrap(), &[]);
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    #[test]
    fn labels_precede_the_text() {
        let records = parse("__label__a __label__b  what __label__c\r\n\n__label__b\tx\n__label__a\n", "").unwrap();
        let texts: Vec<&str> = records.texts("text", "text").unwrap().iter().map(|text| &**text).collect();
        assert_eq!(texts, ["what __label__c", "x", ""]);
        let labels: Vec<&str> = records.texts("label", "label").unwrap().iter().map(|text| &**text).collect();
        assert_eq!(labels, ["a", "b", "a"]);
        assert_eq!(records.lists("labels", "labels").unwrap(), [vec!["a", "b"], vec!["b"], vec!["a"]]);
        assert_eq!(records.place(1).unwrap().1, 3);
        let records = parse("__label__a x\nno label\n", "").unwrap();
        assert_eq!(records.lists("labels", "labels").unwrap(), [vec!["a"], vec![]], "a text may have no label");
        assert_eq!(&*parse("#x y", "prefix = \"#\"").unwrap().texts("label", "label").unwrap()[0], "x");
    }

    #[test]
    fn errors_name_file_line_and_what_was_expected() {
        for (text, options, part) in [
            (" \n", "", "a.txt: empty; expected lines such as `__label__positive"),
            ("__label__ x\n", "", "a.txt, line 1: expected a label after `__label__`"),
            ("a", "prefix = \"\"", "data.options.prefix"),
        ] {
            let error = parse(text, options).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
