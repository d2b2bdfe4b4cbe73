//! Surnames by language of origin, 18 languages: the data of PyTorch's tutorial, after Robertson's practical-pytorch
//! (MIT).
//!
//! A file `<Language>.txt` holds a surname a line. Names are kept as written, accents and all, but for white space around them. A name that a language
//! repeats counts once (2,000 Arabic lines are 108 names); one that several languages share stays in each, so no model
//! can be right on all of them. A tenth of each language, at least one name, is the validation part, another tenth the
//! test part.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seqzoo_random::{Key, Purpose, SliceRandom};

use crate::DataError;
use crate::catalog::{Data, Dataset, Kind, Origin, Source};
use crate::classification::{Bayes, Classification, Example};
use crate::cleaning::{Cleaning, Step};
use crate::reading::Lines;
use crate::text::Level;

/// The languages, which are the labels, in their order.
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

/// What there is to know of it.
pub static DATASET: Dataset = Dataset {
    name: "names",
    kind: Kind::Labels,
    summary: "18,012 surnames of 18 languages, by characters; Robertson 2017",
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

/// Names that a language needs so that each part has one.
const LEAST: usize = 10;

/// Characters of the longest name read; the longest published one has 20.
const LONGEST: usize = 100;

/// The parts never change: seeds of runs choose weights and order, not names.
const SEED: u64 = 2017;

/// Loads the file of each language from `dir`, its folder `names`, or the folder `names` of that.
///
/// # Errors
/// [`DataError`] if a file is not there, has fewer than 10 names, or a line that is no name.
pub fn load(dir: &Path) -> Result<Classification, DataError> {
    let has_names = |folder: &PathBuf| LANGUAGES.iter().any(|language| file(folder, language).is_file());
    let folder = [dir.join("names/names"), dir.join("names"), dir.to_owned()].into_iter().find(has_names);
    let folder = folder.ok_or_else(|| DATASET.missing(dir))?;
    let mut data = Classification {
        labels: LANGUAGES.map(str::to_owned).to_vec(),
        cleaning: Cleaning::default().with(Step::Trim),
        bayes: Some(Bayes { level: Level::Characters, longest: 5 }),
        ..Classification::default()
    };
    for (label, language) in LANGUAGES.iter().enumerate() {
        let mut names = read(&file(&folder, language), &data.cleaning)?;
        names.shuffle(&mut Key::new(SEED, Purpose::Data).at(label as u64).stream());
        // Ten names or more round to one or more.
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

/// The names of a file, each once, in alphabetical order: the order of its lines chooses no part.
fn read(path: &Path, cleaning: &Cleaning) -> Result<Vec<String>, DataError> {
    if !path.is_file() {
        return Err(DataError::unfit(path, format!("it is not there; {}", DATASET.hint())));
    }
    let mut names = BTreeSet::new();
    for line in Lines::open(path)? {
        let line = line?;
        let wrong = |detail: String| DataError::line(path, line.number, detail + "; expected a surname alone");
        let name = cleaning.apply(&line.text);
        if let Some(found) = name.chars().find(|c| c.is_control() || c.is_numeric()) {
            return Err(wrong(format!("{found:?} is in no surname")));
        }
        let characters = name.chars().count();
        if characters > LONGEST {
            return Err(wrong(format!("{characters} characters, more than the {LONGEST} that a surname may have")));
        }
        if !name.is_empty() {
            names.insert(name.into_owned());
        }
    }
    match names.len() {
        0 => Err(DataError::unfit(path, format!("empty; {}", DATASET.hint()))),
        1..LEAST => Err(DataError::unfit(
            path,
            format!("{} different names, of which each part needs some: at least {LEAST}", names.len()),
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

    /// `count` different names without digits, the first of them Adé.
    fn names(count: usize) -> String {
        let letters = || ('a'..='z').flat_map(|first| ('a'..='z').map(move |second| format!("A{first}{second}\n")));
        letters().take(count).collect::<String>().replace("Aaa", "Adé")
    }

    /// A folder in which the language of label `n` has `10 + n` names.
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
    fn each_language_is_in_each_part_and_each_name_of_it_in_one() {
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
            assert!(seen.contains(&(label, "Adé".to_owned())), "a name that languages share stays in each");
        }
    }

    #[test]
    fn order_repetition_blanks_and_line_ends_change_nothing() {
        let dir = folder();
        let plain = load(dir.path()).unwrap();
        let lines: Vec<String> = names(10).lines().rev().map(|name| format!("\u{a0}{name} ")).collect();
        fs::write(file(dir.path(), "Arabic"), [lines.clone(), lines].concat().join("\r\n\r\n")).unwrap();
        let again = load(dir.path()).unwrap();
        assert_eq!((plain.digest(), plain.test), (again.digest(), again.test));
    }

    #[test]
    fn folders_are_searched_from_the_innermost_and_each_file_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        assert!(error(dir.path()).contains("seqzoo data fetch names"));
        fs::create_dir(dir.path().join("names")).unwrap();
        fs::rename(folder().keep(), dir.path().join("names/names")).unwrap();
        for place in ["", "names", "names/names"] {
            assert_eq!(load(&dir.path().join(place)).unwrap().labels, LANGUAGES);
        }
        fs::remove_file(dir.path().join("names/names/Greek.txt")).unwrap();
        let error = error(dir.path());
        assert!(error.contains("Greek.txt: it is not there") && error.contains("seqzoo data fetch names"), "{error}");
    }

    #[test]
    fn what_is_no_list_of_names_is_told_by_file_and_line() {
        let dir = folder();
        let long = format!("{}{}\n", names(11), "x".repeat(101));
        for (bytes, part) in [
            (&b"Ab\nAc\nA\xff\n"[..], ", line 3: not UTF-8"),
            (b"Ab\tCzech\n", ", line 1: '\\t' is in no surname; expected a surname alone"),
            (b"Ab\r\n\r\nAc2\r\n", ", line 3: '2' is in no surname"),
            (long.as_bytes(), ", line 12: 101 characters, more than the 100"),
            (b" \r\n", ": empty; `seqzoo data fetch names"),
            ("Ab\n".repeat(50).as_bytes(), ": 1 different names"),
            (names(9).as_bytes(), ": 9 different names, of which each part needs some: at least 10"),
        ] {
            fs::write(file(dir.path(), "Czech"), bytes).unwrap();
            let error = error(dir.path());
            assert!(error.contains(&format!("Czech.txt{part}")), "{error}");
        }
    }
}
