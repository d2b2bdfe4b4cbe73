//! Surnames by language of origin, 18 languages: the dataset of the PyTorch tutorial, from Robertson's practical-pytorch
//! (MIT).
//!
//! Each file `<Language>.txt` has one surname per line. Names keep their accents; surrounding whitespace is removed. Duplicates
//! within a language are removed (2,000 Arabic lines are 108 names); a name shared by several languages stays in each, so perfect
//! accuracy is impossible. One tenth of each language, at least one name, is the validation split, another tenth the test split.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seqzoo_random::{Key, Purpose, SliceRandom};

use crate::DataError;
use crate::catalog::{Data, Dataset, Origin, Source};
use crate::classification::{Bayes, Classification, Example};
use crate::cleaning::{Cleaning, CleaningStep};
use crate::reading::Lines;
use crate::text::Tokenization;

/// The languages, in label order.
pub const LANGUAGES: [&str; 18] = [
    "Arabic",
    "Chinese",
    "Czech",
    "Dutch",
    "English",
    "French",
    "German",
    "Greek",
    "Irish",
    "Italian",
    "Japanese",
    "Korean",
    "Polish",
    "Portuguese",
    "Russian",
    "Scottish",
    "Spanish",
    "Vietnamese",
];

/// Metadata of the dataset.
pub static DATASET: Dataset = Dataset {
    name: "names",
    summary: "18,012 surnames from 18 languages; predict the language; Robertson 2017",
    example: "Kowalczyk",
    license: "MIT",
    origin: Origin::Files { files: &FILES, load: |dir| load(dir).map(Data::Labeled) },
};

/// The file of each language.
macro_rules! files {
    ($($language:literal)*) => {
        [$(Source::new(
            concat!("https://raw.githubusercontent.com/spro/practical-pytorch/master/data/names/", $language, ".txt"),
            concat!("names/names/", $language, ".txt"),
            None,
        )),*]
    };
}

const FILES: [Source; 18] = files![
    "Arabic" "Chinese" "Czech" "Dutch" "English" "French" "German" "Greek" "Irish"
    "Italian" "Japanese" "Korean" "Polish" "Portuguese" "Russian" "Scottish" "Spanish" "Vietnamese"
];

/// Minimum number of names per language, so that no split is empty.
const MIN_NAMES: usize = 10;

/// Maximum length of a name in characters; the longest published one has 20.
const MAX_CHARACTERS: usize = 100;

/// Fixed: run seeds affect initialization and example order, not the splits.
const SEED: u64 = 2017;

/// Loads the file of each language from `dir`, `dir/names` or `dir/names/names`.
///
/// # Errors
/// [`DataError`] if a file is missing, has fewer than 10 names, or a line that is not a name.
pub fn load(dir: &Path) -> Result<Classification, DataError> {
    let has_names = |folder: &PathBuf| LANGUAGES.iter().any(|language| file(folder, language).is_file());
    let folder = [dir.join("names/names"), dir.join("names"), dir.to_owned()].into_iter().find(has_names);
    let folder = folder.ok_or_else(|| DATASET.missing(dir))?;
    let mut data = Classification {
        labels: LANGUAGES.map(str::to_owned).to_vec(),
        cleaning: Cleaning::default().with(CleaningStep::Trim),
        bayes: Some(Bayes { level: Tokenization::Characters, max_n: 5 }),
        ..Classification::default()
    };
    for (label, language) in LANGUAGES.iter().enumerate() {
        let mut names = read(&file(&folder, language), &data.cleaning)?;
        names.shuffle(&mut Key::new(SEED, Purpose::Data).with_first(label as u64).stream());
        // At least 1, since there are at least 10 names.
        let tenth = (names.len() + 5) / 10;
        let mut examples = names.into_iter().map(|text| Example { text, label, groups: Arc::default() });
        data.validation.extend(examples.by_ref().take(tenth));
        data.test.extend(examples.by_ref().take(tenth));
        data.train.extend(examples);
    }
    Ok(data)
}

fn file(folder: &Path, language: &str) -> PathBuf {
    folder.join(format!("{language}.txt"))
}

/// The distinct names of a file, sorted, so that the splits do not depend on the order of its lines.
fn read(path: &Path, cleaning: &Cleaning) -> Result<Vec<String>, DataError> {
    if !path.is_file() {
        return Err(DataError::invalid(path, format!("file not found; {}", DATASET.hint())));
    }
    let mut names = BTreeSet::new();
    for line in Lines::open(path)? {
        let line = line?;
        let wrong = |detail: String| DataError::line(path, line.number, detail + "; expected one surname per line");
        let name = cleaning.apply(&line.text);
        if let Some(found) = name.chars().find(|c| c.is_control() || c.is_numeric()) {
            return Err(wrong(format!("invalid character {found:?}")));
        }
        let characters = name.chars().count();
        if characters > MAX_CHARACTERS {
            return Err(wrong(format!("{characters} characters exceed the maximum of {MAX_CHARACTERS}")));
        }
        if !name.is_empty() {
            names.insert(name.into_owned());
        }
    }
    match names.len() {
        0 => Err(DataError::invalid(path, format!("empty; {}", DATASET.hint()))),
        1..MIN_NAMES => Err(DataError::invalid(
            path,
            format!("{} distinct names are too few for three splits; at least {MIN_NAMES} are needed", names.len()),
        )),
        _ => Ok(names.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::Split;
    use std::collections::HashSet;
    use std::fs;

    /// `count` distinct names, the first of them Adé.
    fn names(count: usize) -> String {
        let names = || ('a'..='z').flat_map(|first| ('a'..='z').map(move |second| format!("A{first}{second}\n")));
        names().take(count).collect::<String>().replace("Aaa", "Adé")
    }

    /// A folder with `10 + n` names for the language of label `n`.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (label, language) in LANGUAGES.iter().enumerate() {
            fs::write(file(dir.path(), language), names(10 + label)).unwrap();
        }
        dir
    }

    fn error(dir: &Path) -> String {
        load(dir).unwrap_err().to_string()
    }

    #[test]
    fn splits_are_stratified_by_language_and_disjoint() {
        let dir = folder();
        let data = load(dir.path()).unwrap();
        let mut seen = HashSet::new();
        for split in Split::ALL {
            for example in data.split(split) {
                assert!(seen.insert((example.label, example.text.clone())), "{example:?}");
            }
        }
        for label in 0..LANGUAGES.len() {
            let counts = Split::ALL.map(|split| data.split(split).iter().filter(|e| e.label == label).count());
            let tenth = [1, 2, 3][(label + 5) / 10];
            assert_eq!(counts, [10 + label - 2 * tenth, tenth, tenth]);
            assert!(seen.contains(&(label, "Adé".to_owned())), "shared names stay in every language");
        }
    }

    #[test]
    fn order_duplicates_whitespace_and_line_ends_do_not_matter() {
        let dir = folder();
        let plain = load(dir.path()).unwrap();
        let lines: Vec<String> = names(10).lines().rev().map(|name| format!("\u{a0}{name} ")).collect();
        fs::write(file(dir.path(), "Arabic"), [lines.clone(), lines].concat().join("\r\n\r\n")).unwrap();
        let again = load(dir.path()).unwrap();
        assert_eq!((plain.digest(), plain.test), (again.digest(), again.test));
    }

    #[test]
    fn files_are_found_in_nested_folders_and_all_are_required() {
        let dir = tempfile::tempdir().unwrap();
        assert!(error(dir.path()).contains("seqzoo data fetch names"));
        fs::create_dir(dir.path().join("names")).unwrap();
        fs::rename(folder().keep(), dir.path().join("names/names")).unwrap();
        for folder in ["", "names", "names/names"] {
            assert_eq!(load(&dir.path().join(folder)).unwrap().labels, LANGUAGES);
        }
        fs::remove_file(dir.path().join("names/names/Greek.txt")).unwrap();
        let error = error(dir.path());
        assert!(error.contains("Greek.txt: file not found") && error.contains("seqzoo data fetch names"), "{error}");
    }

    #[test]
    fn errors_name_file_and_line() {
        let dir = folder();
        let long = format!("{}{}\n", names(11), "x".repeat(101));
        for (bytes, part) in [
            (&b"Ab\nAc\nA\xff\n"[..], ", line 3: not UTF-8"),
            (b"Ab\tCzech\n", ", line 1: invalid character '\\t'; expected one surname per line"),
            (b"Ab\r\n\r\nAc2\r\n", ", line 3: invalid character '2'"),
            (long.as_bytes(), ", line 12: 101 characters exceed the maximum of 100"),
            (b" \r\n", ": empty; `seqzoo data fetch names"),
            ("Ab\n".repeat(50).as_bytes(), ": 1 distinct names"),
            (names(9).as_bytes(), ": 9 distinct names are too few for three splits; at least 10 are needed"),
        ] {
            fs::write(file(dir.path(), "Czech"), bytes).unwrap();
            let error = error(dir.path());
            assert!(error.contains(&format!("Czech.txt{part}")), "{error}");
        }
    }
}
