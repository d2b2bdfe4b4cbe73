//! Files about the others of a folder or archive, which are no data.

/// Names, without suffix, of files that people read. One in upper case is meant only so, since data may be named in lower case: `source.txt`.
const DOCUMENTS: [&str; 15] = [
    "readme",
    "license",
    "licence",
    "changelog",
    "_about",
    "citation",
    "contributing",
    "code_of_conduct",
    "copying",
    "copyright",
    "NOTICE",
    "AUTHORS",
    "CONTRIBUTORS",
    "SOURCE",
    "SOURCES",
];

/// Names of files that programs read: facts about a dataset.
const FACTS: [&str; 4] = ["metadata.json", "dataset_info.json", "dataset_infos.json", "stats.xml"];

/// Whether a path is that of a file about the others, such as README.md.
pub(crate) fn is_document(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let lower = file.to_lowercase();
    let begins = |document: &&str| {
        let name = if document.starts_with(char::is_uppercase) { file } else { lower.as_str() };
        name.strip_prefix(*document).is_some_and(|rest| !rest.starts_with(char::is_alphabetic))
    };
    FACTS.contains(&lower.as_str()) || DOCUMENTS.iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::is_document;

    #[test]
    fn files_about_the_others_are_known_by_their_names() {
        for file in [
            "README",
            "a/readme.md",
            "LICENSE-MIT",
            "licence.txt",
            "_about.txt",
            "NOTICE",
            "NOTICE.txt",
            "COPYING",
            "AUTHORS.md",
            "CITATION.cff",
            "CODE_OF_CONDUCT.md",
            "CONTRIBUTING.md",
            "CONTRIBUTORS",
            "SOURCES.txt",
            "metadata.json",
            "dataset_infos.json",
        ] {
            assert!(is_document(file), "{file}");
        }
        for file in
            ["source.txt", "authors.csv", "notice.txt", "licensed.csv", "NOTICES/a.txt", "README/a.csv", "data.json"]
        {
            assert!(!is_document(file), "{file}");
        }
    }
}
