//! Files of a run that no longer exist: an error where they are needed, else a warning.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use seqzoo_datasets::classification::Split;
use seqzoo_datasets::reading::STANDARD_INPUT;
use seqzoo_datasets::settings::{DataSettings, Paths};

use super::changes;
use crate::failure::{DATA, Failure};
use crate::say::say;

/// The first file of each split that does not exist; relative paths start at `base`.
pub fn files(settings: &DataSettings, base: &Path) -> Vec<(Split, PathBuf)> {
    let first = |split: Split| {
        let Paths(paths) = settings.files_of(split);
        let mut files = paths.iter().filter(|path| path.as_path() != Path::new(STANDARD_INPUT));
        let path = files.find(|path| !exists(&base.join(path)))?;
        Some((split, base.join(path)))
    };
    Split::ALL.into_iter().filter_map(first).collect()
}

/// Whether a path exists, on disk or as ARCHIVE/FILE.
fn exists(path: &Path) -> bool {
    path.exists() || path.ancestors().skip(1).any(Path::is_file)
}

/// Warns of missing files, and names the splits that are not read without them.
pub fn warn(missing: &[(Split, PathBuf)]) {
    warnings(missing).iter().for_each(|warning| say(format_args!("warning: {warning}")));
}

fn warnings(missing: &[(Split, PathBuf)]) -> Vec<String> {
    let mut by_file: BTreeMap<&Path, Vec<&str>> = BTreeMap::new();
    for (split, path) in missing {
        by_file.entry(path).or_default().push(split.name());
    }
    let warning = |(path, splits): (&Path, Vec<&str>)| {
        let are = if splits.len() == 1 { "split is" } else { "splits are" };
        format!("{} no longer exists; the {} {are} not read", changes::name(path), splits.join(" and "))
    };
    by_file.into_iter().map(warning).collect()
}

/// The error for a missing file that a command needs; `flag` names the files of its split, unless a recipe does.
pub fn error(run: &str, path: &Path, flag: Option<&str>) -> Failure {
    let message = format!("run {run} was trained on {}, which no longer exists", path.display());
    let message = match flag {
        Some(flag) if path.file_name().is_some_and(|name| name == STANDARD_INPUT) => {
            format!("run {run} was trained on standard input; pass the data again with {flag}=-")
        }
        Some(flag) => format!("{message}; name the file with {flag} FILE"),
        None => format!("{message}; restore it, or name the folder that data.files start at with --data-dir DIR"),
    };
    Failure::new(DATA, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_are_found_by_the_splits_that_are_read_from_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("there.csv"), "").unwrap();
        let missing = |text: &str| {
            let settings: DataSettings = toml::from_str(text).unwrap();
            let found = files(&settings, folder.path());
            found.into_iter().map(|(split, path)| (split.name(), path.ends_with("gone.csv"))).collect::<Vec<_>>()
        };
        let all = [("train", true), ("validation", true), ("test", true)];
        assert_eq!(missing("files = [\"there.csv\", \"gone.csv\"]"), all);
        assert_eq!(missing("train = \"gone.csv\"\ntest = \"there.csv/a.csv\""), all[..2]);
        assert_eq!(missing("train = \"gone.csv\"\nvalidation = \"there.csv\""), all[..1]);
        assert_eq!(missing("train = \"-\"\ntest = \"gone.csv\""), all[2..]);
        let folds = "split = { by = \"folds\", folds = 3, fold = 1 }";
        assert_eq!(missing(&format!("train = \"gone.csv\"\n{folds}")), all);
    }

    #[test]
    fn a_warning_names_all_splits_of_a_file() {
        let of = |split: Split, path: &str| (split, PathBuf::from(path));
        let missing = [of(Split::Train, "/b"), of(Split::Validation, "/b"), of(Split::Test, "/a")];
        let expected = [
            "/a no longer exists; the test split is not read",
            "/b no longer exists; the train and validation splits are not read",
        ];
        assert_eq!(warnings(&missing), expected);
    }
}
