//! Splits by the names of files and folders, such as `train.csv` and `test.csv`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::reading::{is_document, listing};
use crate::records::Split;
use crate::settings::{DataSettings, Paths};
use crate::split_rule::SplitRule;
use crate::wording::and;

/// The words that name each split.
const WORDS: [(Split, &[&str]); 3] = [
    (Split::Train, &["train", "training"]),
    (Split::Validation, &["validation", "valid", "val", "dev"]),
    (Split::Test, &["test", "eval"]),
];

impl DataSettings {
    /// These values with the splits that a single folder or archive names, in place of `files`: by its files `train.csv` and `test.csv`, or its
    /// folders `train`, `valid` and `test`; and a note on them. Unchanged if it names none.
    ///
    /// # Errors
    /// If the folder or archive cannot be read, or the rule divides rows into folds, which named splits do not have.
    pub fn with_named_splits(&self, data_dir: &Path) -> Result<(Self, Option<String>), DataError> {
        self.named_splits_of(self, data_dir)
    }

    /// As [`DataSettings::with_named_splits`], if `own` are the values of these that are not those of a manifest.
    pub(super) fn named_splits_of(&self, own: &Self, data_dir: &Path) -> Result<(Self, Option<String>), DataError> {
        let ([location], true) = (&own.files.0[..], self.archives.is_empty()) else { return Ok((self.clone(), None)) };
        let entries = Entries::of(&listing(&data_dir.join(location))?);
        let Some(named) = entries.named_splits(self.format.as_deref()) else { return Ok((self.clone(), None)) };
        let place = location.display();
        let (files, splits) = named.words();
        if let Some(other) = named.others.first() {
            let note = format!(
                "{place}: {files} are not read as the {splits}, since there is also {other}; name the files of each split if they are splits"
            );
            return Ok((self.clone(), Some(note).filter(|_| own.split.is_none())));
        }
        if let Some(rule @ SplitRule::Folds { .. }) = &own.split {
            let expected = format!(
                "conflicts with the splits that {place} names ({files}): to divide files into folds, list them, such as {}",
                location.join(&entries.folder).join(named.of(Split::Train)[0]).display()
            );
            return Err(DataError::setting("data.split", rule.to_inline(), expected));
        }
        let paths = |split: Split| {
            let names = named.of(split).iter();
            Paths(names.map(|name| location.join(&entries.folder).join(name)).collect())
        };
        let [train, validation, test] = Split::ALL.map(paths);
        let skipped = entries.skipped(&named);
        let more = match (validation.is_empty(), &own.split) {
            (true, _) => "; the validation split is a part of the training files",
            (false, Some(_)) => "; data.split, which would divide files without such names, is not used",
            (false, None) => "",
        };
        let note = format!("{place}: {files} are the {splits}{more}{skipped}");
        let split = self.split.clone().filter(|_| validation.is_empty());
        Ok((Self { files: Paths::default(), train, validation, test, split, ..self.clone() }, Some(note)))
    }
}

/// What is at the top of a folder or archive, files about the others excepted.
struct Entries {
    /// The folders within it that contain everything.
    folder: PathBuf,
    /// Names of the files and folders there, with the number of levels below each: 0 for a file.
    levels: BTreeMap<String, usize>,
}

impl Entries {
    /// The entries above these files.
    fn of(files: &[String]) -> Self {
        let mut files: Vec<&str> = files.iter().map(String::as_str).filter(|file| !is_document(file)).collect();
        let mut folder = PathBuf::new();
        while let Some((first, _)) = files.first().copied().and_then(|file| file.split_once('/')) {
            let below = |file: &&str| file.strip_prefix(first).is_some_and(|rest| rest.starts_with('/'));
            if !files.iter().all(below) {
                break;
            }
            folder.push(first);
            files = files.into_iter().map(|file| &file[first.len() + 1..]).collect();
        }
        let mut levels = BTreeMap::new();
        for file in files {
            let name = file.split_once('/').map_or(file, |(name, _)| name);
            let level: &mut usize = levels.entry(name.to_owned()).or_default();
            *level = (*level).max(file.matches('/').count());
        }
        Self { folder, levels }
    }

    /// The splits that folders, else files, name: the training split and another one. `None` if there are none, or if names are labels in the
    /// `format` that is given.
    fn named_splits(&self, format: Option<&str>) -> Option<NamedSplits<'_>> {
        let found = [true, false].into_iter().map(|of_folders| self.splits_of(of_folders)).find(|named| {
            let has = |split: Split| !named.of(split).is_empty();
            has(Split::Train) && (has(Split::Validation) || has(Split::Test))
        })?;
        let has_levels = self.levels.values().any(|&levels| levels > 1);
        let are_labels = match format {
            Some("class-files") => !found.of_folders,
            Some("class-folders") => found.of_folders && !has_levels,
            _ => false,
        };
        Some(found).filter(|_| !are_labels)
    }

    /// The folders, or else the files, by the split that they name. Only files may be next to such folders.
    fn splits_of(&self, of_folders: bool) -> NamedSplits<'_> {
        let mut found = NamedSplits { of_folders, splits: Default::default(), others: Vec::new() };
        for (name, &levels) in &self.levels {
            let is_folder = levels > 0;
            match split_of(name).filter(|_| is_folder == of_folders) {
                Some(split) => found.splits[split as usize].push(name),
                None if is_folder || !of_folders => found.others.push(name),
                None => {}
            }
        }
        found
    }

    /// A note on files that are not read, next to folders of splits.
    fn skipped(&self, named: &NamedSplits) -> String {
        let is_skipped = |levels: usize| named.of_folders && levels == 0;
        let files: Vec<&str> =
            self.levels.iter().filter(|(_, levels)| is_skipped(**levels)).map(|(name, _)| name.as_str()).collect();
        match &files[..] {
            [] => String::new(),
            [_] | [_, _] => format!("; not read: {}", and(&files)),
            [first, rest @ ..] => format!("; not read: {first} and {} more files", rest.len()),
        }
    }
}

/// Files or folders by the split that they name.
struct NamedSplits<'a> {
    /// Whether folders name the splits.
    of_folders: bool,
    /// Names by split.
    splits: [Vec<&'a str>; 3],
    /// Names of further files and folders, which name no split.
    others: Vec<&'a str>,
}

impl<'a> NamedSplits<'a> {
    fn of(&self, split: Split) -> &[&'a str] {
        &self.splits[split as usize]
    }

    /// The files or folders, and the splits that they name, in words.
    fn words(&self) -> (String, String) {
        let titles = ["training", "validation", "test"];
        let (mut files, mut splits) = (Vec::new(), Vec::new());
        for (names, title) in self.splits.iter().zip(titles) {
            match &names[..] {
                [] => continue,
                [name] => files.push((*name).to_owned()),
                [first, .., last] => files.push(format!("{first} … {last}")),
            }
            splits.push(title);
        }
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        (and(&files), and(&splits) + " split")
    }
}

/// The split that a file or folder is named by, such as `train.csv.gz`, `en_ewt-ud-dev.conllu`, `eng.train` or `test-00000-of-00002.jsonl`: by
/// its last word, with or without a suffix.
fn split_of(name: &str) -> Option<Split> {
    let name = name.to_lowercase();
    let name = [".gz", ".zip"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let is_number = |word: &&str| *word == "of" || word.chars().all(|c| c.is_ascii_digit());
    let last_word = |name: &str| name.rsplit(['-', '_', '.', ' ']).find(|word| !is_number(word)).map(str::to_owned);
    [name, stem].into_iter().find_map(|name| {
        let word = last_word(name)?;
        WORDS.into_iter().find(|(_, words)| words.contains(&word.as_str())).map(|(split, _)| split)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_named_by_the_last_word_of_a_name() {
        for name in ["train.csv", "Training.JSONL", "en_ewt-ud-train.conllu", "train.csv.gz", "ptb.train.txt", "train"]
        {
            assert_eq!(split_of(name), Some(Split::Train), "{name}");
        }
        for name in ["eng.train", "train-00000-of-00002.jsonl", "train_1.csv", "X_TRAIN.ts"] {
            assert_eq!(split_of(name), Some(Split::Train), "{name}");
        }
        for name in ["valid.txt", "validation.csv", "val", "en_ewt-ud-dev.conllu"] {
            assert_eq!(split_of(name), Some(Split::Validation), "{name}");
        }
        assert_eq!([split_of("test.csv"), split_of("my eval.tsv")], [Some(Split::Test); 2]);
        for name in ["trains.csv", "constrain.csv", "latest.csv", "values.csv", "train-labels.csv", "reviews.csv", "1"]
        {
            assert_eq!(split_of(name), None, "{name}");
        }
    }

    /// The note on a folder `F` with these files, and its splits.
    fn named(files: &[&str], settings: &str) -> (Option<String>, [String; 3]) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join("F").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let settings: DataSettings = toml::from_str(&format!("files = \"F\"\n{settings}")).unwrap();
        let (found, note) = settings.with_named_splits(dir.path()).unwrap();
        (note, [&found.train, &found.validation, &found.test].map(|paths| paths.list().replace('\\', "/")))
    }

    #[test]
    fn files_and_folders_named_as_splits_are_the_splits() {
        let (note, splits) = named(&["train.csv", "valid.csv", "test.csv", "README.md"], "");
        assert_eq!(splits, ["F/train.csv", "F/valid.csv", "F/test.csv"]);
        let expected = "F: train.csv, valid.csv and test.csv are the training, validation and test split";
        assert_eq!(note.as_deref(), Some(expected));
        let (note, splits) = named(&["a/train-1.csv", "a/train-2.csv", "a/train-3.csv", "a/test.csv", "LICENSE"], "");
        assert_eq!(splits, ["F/a/train-1.csv, F/a/train-2.csv, F/a/train-3.csv", "", "F/a/test.csv"]);
        let expected = "F: train-1.csv … train-3.csv and test.csv are the training and test split; the validation split is a part of the \
                        training files";
        assert_eq!(note.as_deref(), Some(expected));
        let folders = ["train/seq.in", "train/seq.out", "dev/seq.in", "dev/seq.out", "vocab.txt"];
        let (note, splits) = named(&folders, "split = { by = \"every\", validation = 5 }");
        assert_eq!(splits, ["F/train", "F/dev", ""]);
        let expected = "F: train and dev are the training and validation split; data.split, which would divide files without such names, is \
                        not used; not read: vocab.txt";
        assert_eq!(note.as_deref(), Some(expected));
    }

    #[test]
    fn labels_are_no_splits() {
        let unchanged = [String::new(), String::new(), String::new()];
        for files in [
            &["train/1.txt", "bus/1.txt", "tram/1.txt"][..],
            &["train.txt", "bus.txt"],
            &["test.csv", "valid.csv"],
            &["train/1.txt", "train/2.txt"],
            &["a.csv"],
        ] {
            assert_eq!(named(files, ""), (None, unchanged.clone()), "{files:?}");
        }
        for files in [&["train/1.txt", "test/1.txt", "bus/1.txt"], &["train.txt", "test.txt", "bus.txt"]] {
            let (note, splits) = named(files, "");
            assert!(
                note.is_some_and(|note| note.contains("are not read as the training and test split, since there is"))
            );
            assert_eq!(splits, unchanged);
        }
        assert_eq!(named(&["train.txt", "test.txt"], "format = \"class-files\"").1, unchanged);
        assert_eq!(named(&["train/1.txt", "test/1.txt"], "format = \"class-folders\"").1, unchanged);
        assert_ne!(named(&["train/a/1.txt", "test/a/1.txt"], "format = \"class-folders\"").1, unchanged);
    }

    #[test]
    fn named_splits_are_not_divided_into_folds() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["train.csv", "test.csv"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let text = "files = \".\"\nsplit = { by = \"folds\", folds = 5, fold = 1 }";
        let settings: DataSettings = toml::from_str(text).unwrap();
        let error = settings.with_named_splits(dir.path()).unwrap_err().to_string();
        let parts = ["data.split = ", "conflicts with the splits that . names (train.csv and test.csv)", "./train.csv"];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}
