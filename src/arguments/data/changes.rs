//! Words for how data differ from those that a run recorded.

use std::path::{Path, PathBuf};

use seqzoo_datasets::reading::STANDARD_INPUT;
use seqzoo_run::folder::DataPaths;

/// How data at `now` differ from those `recorded`: others were given, or the contents of `files` have changed.
pub fn difference(recorded: &DataPaths, now: &DataPaths, files: &[PathBuf]) -> String {
    others(recorded, now).unwrap_or_else(|| changed(recorded, now, files))
}

/// Which files or folder are given in place of those recorded, if there are any.
fn others(recorded: &DataPaths, now: &DataPaths) -> Option<String> {
    let folder = |paths: &DataPaths| Vec::from_iter(paths.data_dir.clone());
    let given = [
        (now.files.clone(), recorded.files.clone()),
        (now.validation.clone(), recorded.validation.clone()),
        (folder(now), folder(recorded)),
    ];
    let (now, recorded) = given.into_iter().find(|(now, recorded)| !now.is_empty() && now != recorded)?;
    Some(match recorded.is_empty() {
        true => format!("{} {} different data", list(&now), if now.len() == 1 { "contains" } else { "contain" }),
        false => format!("it was trained on {}, not {}", list(&recorded), list(&now)),
    })
}

/// Which of the files have changed, as far as their digests are recorded.
fn changed(recorded: &DataPaths, now: &DataPaths, files: &[PathBuf]) -> String {
    let (known, unknown): (Vec<&PathBuf>, Vec<&PathBuf>) =
        files.iter().partition(|file| recorded.digests.contains_key(*file));
    let differs = |file: &&PathBuf| now.digests.get(*file) != recorded.digests.get(*file);
    let changed: Vec<&PathBuf> = known.into_iter().filter(differs).collect();
    match (&changed[..], &unknown[..]) {
        ([file], _) | ([], [file]) => format!("{} has changed since", name(file)),
        ([_, ..], _) => format!("{} have changed since", list(&changed)),
        ([], [_, ..]) => "its files have changed since".to_owned(),
        ([], []) if !files.is_empty() && now.test != recorded.test => {
            "with other files for the test split, its files are divided differently".to_owned()
        }
        ([], []) if !files.is_empty() => {
            "its files are the same, yet this version of seqzoo reads them differently".to_owned()
        }
        ([], []) => match &now.data_dir {
            Some(folder) => format!("{} has changed since", folder.display()),
            None => "they are different or have changed since".to_owned(),
        },
    }
}

fn list(paths: &[impl AsRef<Path>]) -> String {
    paths.iter().map(|path| name(path.as_ref())).collect::<Vec<_>>().join(", ")
}

/// A path in messages; absolute paths may end in the name of standard input.
pub fn name(path: &Path) -> String {
    match path.file_name().is_some_and(|name| name == STANDARD_INPUT) {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(files: &[(&str, &str)]) -> DataPaths {
        let digests = files.iter().filter(|(_, digest)| !digest.is_empty());
        DataPaths {
            files: files.iter().map(|(path, _)| PathBuf::from(path)).collect(),
            digests: digests.map(|(path, digest)| (PathBuf::from(path), (*digest).to_owned())).collect(),
            ..DataPaths::default()
        }
    }

    #[test]
    fn the_files_that_changed_are_named_as_far_as_they_are_known() {
        let now = paths(&[("/a", "1"), ("/b", "2"), ("/c", "3")]);
        let of = |recorded: [&str; 3]| {
            let [a, b, c] = recorded;
            difference(&paths(&[("/a", a), ("/b", b), ("/c", c)]), &now, &now.files)
        };
        assert_eq!(of(["1", "0", "3"]), "/b has changed since");
        assert_eq!(of(["0", "2", "0"]), "/a, /c have changed since");
        assert_eq!(of(["1", "", "3"]), "/b has changed since", "the only one that can have changed");
        assert_eq!(of(["0", "", ""]), "/a has changed since");
        assert_eq!(of(["", "", ""]), "its files have changed since");
        assert!(of(["1", "2", "3"]).starts_with("its files are the same"));
        let tested = DataPaths { test: vec![PathBuf::from("/t")], ..now.clone() };
        assert!(difference(&now, &tested, &now.files).starts_with("with other files for the test split"));
        let one = paths(&[("/a", "")]);
        assert_eq!(difference(&one, &one, &one.files), "/a has changed since");
        let piped = paths(&[("/folder/-", "")]);
        assert_eq!(difference(&piped, &piped, &piped.files), "standard input has changed since");
    }

    #[test]
    fn other_files_and_folders_are_named_with_those_in_their_place() {
        let (one, other) = (paths(&[("/a", "1"), ("/b", "1")]), paths(&[("/a", "1"), ("/c", "1")]));
        assert_eq!(difference(&one, &other, &other.files), "it was trained on /a, /b, not /a, /c");
        let folder = |path: &str| DataPaths { data_dir: Some(PathBuf::from(path)), ..DataPaths::default() };
        assert_eq!(difference(&folder("/x"), &folder("/x"), &[]), "/x has changed since");
        assert_eq!(difference(&folder("/x"), &folder("/y"), &[]), "it was trained on /x, not /y");
        assert_eq!(difference(&folder("/x"), &one, &one.files), "/a, /b contain different data");
        let validated = DataPaths { validation: vec![PathBuf::from("/v")], ..one.clone() };
        assert_eq!(difference(&one, &validated, &one.files), "/v contains different data");
    }
}
