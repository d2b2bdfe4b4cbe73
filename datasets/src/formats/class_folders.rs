//! Labeled texts in one folder per class, with one file per text; the name of the folder is the label.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::nearest::did_you_mean;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "class-folders",
    summary: "one folder per class, named by its label, with one file per text",
    columns: "text, label",
    options: &[(
        "classes",
        "labels by folder name, if they differ from it: { neg = \"negative\", pos = \"positive\" }",
    )],
    suffixes: &[],
    together: Together::File,
    roles: &[],
    sample: &[("good/1.txt", "What a story!\n"), ("bad/2.txt", "A film to fall asleep in.\n")],
    is_first_line: |_| false,
    read,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    classes: BTreeMap<String, String>,
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { classes } = request.options()?;
    let name = request.input.name();
    let (folder, _) = request.input.folder_and_file();
    let label = match classes.get(folder) {
        Some(label) => label,
        None if classes.is_empty() && !folder.is_empty() => folder,
        None => {
            let known = || classes.keys().map(String::as_str);
            let hint = did_you_mean(folder, known());
            let all = known().collect::<Vec<_>>().join(", ");
            return Err(DataError::invalid(
                name,
                format!("folder `{folder}` is not a class{hint}; the classes are {all}"),
            ));
        }
    };
    let text = request.input.text()?;
    Ok(Records::of_file(name, [("text", Column::text([text])), ("label", Column::text([label]))], [1]))
}
