use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::anomalies::{self, Anomalies};
use crate::captions::{self, Captions};
use crate::catalog::Dataset;
use crate::classification::{self, Classification};
use crate::columns::Columns;
use crate::corpus::{self, Corpus};
use crate::data_spec::DataSpec;
use crate::drawings::{self, Drawings};
use crate::generators;
use crate::interactions::{self, Interactions};
use crate::music::{self, Music};
use crate::reading::variants;
use crate::records::Split;
use crate::relations::{self, Relations};
use crate::series::{self, Series, Standardization};
use crate::signals::{self, Signals};
use crate::splits::Splits;
use crate::tagging::{self, Sentence, Tagging};
use crate::transduction::{self, Pair, Transduction};

mod labeled_texts;
mod measurements;
mod sequences;

/// What the tasks of this crate read.
const SPECS: [&DataSpec; 11] = [
    &classification::DATA,
    &signals::DATA,
    &tagging::DATA,
    &corpus::DATA,
    &transduction::DATA,
    &series::DATA,
    &anomalies::DATA,
    &music::DATA,
    &interactions::DATA,
    &drawings::DATA,
    &captions::DATA,
];

/// The only specification that columns fit.
fn spec(columns: &Columns) -> Option<&'static DataSpec> {
    let fitting: Vec<_> = SPECS.into_iter().filter(|spec| spec.fits(columns)).collect();
    assert!(fitting.len() <= 1, "{fitting:?}");
    fitting.first().copied()
}

fn splits(name: &str, dir: &Path) -> Result<Splits, DataError> {
    let dataset = Dataset::named(name).unwrap();
    // The columns of the user's own table are unknown.
    dataset.load(dir, spec(&dataset.columns).unwrap_or(&series::DATA))
}

/// The splits of a dataset, as the dataset type of a task.
fn load<T>(name: &str, dir: &Path, convert: fn(&Splits) -> Result<T, DataError>) -> Result<T, String> {
    splits(name, dir).and_then(|splits| convert(&splits)).map_err(|error| error.to_string())
}

/// Every value of the splits, as the dataset type of their task.
fn shown(splits: &Splits) -> Result<String, DataError> {
    match spec(&splits.columns).unwrap().task {
        "classification" => Classification::from_records(splits).map(|data| format!("{data:?}")),
        "series-classification" => Signals::from_records(splits).map(|data| format!("{data:?}")),
        "tagging" => Tagging::from_records(splits).map(|data| format!("{data:?}")),
        "language-model" => Corpus::from_records(splits).map(|data| format!("{data:?}")),
        "music" => Music::from_records(splits, Some(4)).map(|data| format!("{data:?}")),
        "recommendation" => Interactions::from_records(splits).map(|data| format!("{data:?}")),
        "anomaly" => Anomalies::from_records(splits).map(|data| format!("{data:?}")),
        "strokes" => Drawings::from_records(splits, 250).map(|data| format!("{data:?}")),
        "captions" => Captions::from_records(splits).map(|data| format!("{data:?}")),
        "seq2seq" => Transduction::from_records(splits).map(|data| format!("{data:?}")),
        "forecasting" => Series::from_records(splits).map(|data| format!("{data:?}")),
        other => panic!("{other}"),
    }
}

fn failure(name: &str, dir: &Path) -> String {
    splits(name, dir).and_then(|splits| shown(&splits)).unwrap_err().to_string()
}

fn labeled(name: &str, dir: &Path) -> Classification {
    load(name, dir, Classification::from_records).unwrap()
}

fn write(dir: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_manifest_is_complete_and_every_dataset_loads_or_names_its_url() {
    let dir = tempfile::tempdir().unwrap();
    for manifest in Manifest::all() {
        let text =
            fs::read_to_string(format!("{}/published/{}.toml", env!("CARGO_MANIFEST_DIR"), manifest.name)).unwrap();
        assert!(text.starts_with("# ") && Manifest::parse(&text).as_ref() == Ok(manifest), "{}", manifest.name);
        // The columns of the user's own table are unknown.
        assert!(spec(&manifest.data.columns).is_some() != manifest.files.is_empty(), "{}", manifest.name);
        assert!(!manifest.license.is_empty(), "{}", manifest.name);
        let DataSettings { format, options, .. } = &manifest.data;
        crate::formats::Format::named(format.as_ref().unwrap()).unwrap().check(options).unwrap();
        let error = failure(&manifest.name, dir.path());
        let expected = manifest.files.first().map_or("your own data".to_lowercase(), |file| file.url.clone());
        assert!(error.to_lowercase().contains(&expected.to_lowercase()), "{error}");
    }
    let count = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/published")).unwrap().count();
    assert_eq!(count, Manifest::all().len(), "each manifest has its line in the list");
    assert_eq!(crate::catalog::all().len(), count + generators::ALL.len());
}

#[test]
fn unknown_keys_of_a_manifest_are_refused() {
    let text = "name = \"x\"\nsummary = \"x\"\nlicense = \"x\"\n[data]\nformt = \"csv\"\n";
    let error = Manifest::parse(text).unwrap_err();
    assert!(error.contains("line 5") && error.contains("formt") && error.contains("`format`"), "{error}");
}

/// Digests of generated data: what models and results of other versions were made from.
#[test]
fn generated_datasets_never_change() {
    for (name, digest) in [
        ("agreement", "3acd37632562e0531d14d7d82f0d40ee5369b19f81acac6ec6accc1cf4923a98"),
        ("recall", "62390894db3379a6fb57d4803f2791faf2487d5b7ac084deb48dd4fbdfe06147"),
        ("sentences", "399bcbc009d3213229d315effca670a5603fbb43e17ffe51b5ae31b63644b846"),
        ("execute", "a2027b6a19b6a300881ea7ae9be7c386ba20463a62a15ba5513c31c5b8a09a69"),
        ("scenes", "39e322f134b5be658abac401f15b1f8bbc7a61a9a17df43111b19b5d26c26951"),
        ("headlines", "f28cf7d003db4cde55ab1bd907ab409e93875e8a79634c63edf9282b989a84a4"),
    ] {
        let splits = splits(name, Path::new("")).unwrap();
        let found = match name {
            "sentences" => Corpus::from_records(&splits).map(|data| data.digest()),
            "execute" | "headlines" => Transduction::from_records(&splits).map(|data| data.digest()),
            "scenes" => Captions::from_records(&splits).map(|data| data.digest()),
            _ => Classification::from_records(&splits).map(|data| data.digest()),
        };
        assert_eq!(found.unwrap(), digest, "{name}");
    }
}

fn languages() -> Vec<String> {
    let stem = |file: &Source| Path::new(&file.path).file_stem().unwrap().to_string_lossy().into_owned();
    Manifest::named("names").unwrap().files.iter().map(stem).collect()
}

/// The result of a dataset in a folder with these bytes at `path`, and valid other files.
fn loaded(name: &str, path: &str, bytes: &[u8]) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    for (other, text) in [
        ("en_ewt-ud-dev.conllu", "1\tGo\t_\tVERB\t_\t_\t_\t_\t_\t_\n"),
        ("ptb.valid.txt", "so it goes\n"),
        ("aclImdb/train/neg/0_1.txt", "dull"),
        ("aclImdb/train/neg/1_1.txt", "dull"),
        ("aclImdb/train/pos/0_9.txt", "great"),
        ("aclImdb/train/pos/1_9.txt", "great"),
    ] {
        write(dir.path(), other, text);
    }
    for language in languages() {
        let names: String = ('a'..='j').map(|letter| format!("A{letter}\n")).collect();
        write(dir.path(), &format!("{language}.txt"), names);
    }
    write(dir.path(), path, bytes);
    let settings = match name {
        "own" => toml::from_str("format = \"csv\"\nfiles = \"y.csv\"\ncolumns = { target = \"y\" }").unwrap(),
        name => DataSettings { dataset: Some(name.to_owned()), ..DataSettings::default() },
    };
    let spec = spec(&Dataset::named(name).map_or(settings.columns.clone(), |dataset| dataset.columns.clone())).unwrap();
    let loaded = settings.load(dir.path(), spec).and_then(|splits| shown(&splits));
    loaded.map_err(|error| error.to_string().rsplit('/').next().unwrap().to_owned())
}

#[test]
fn datasets_do_not_depend_on_encoding_line_ends_and_compression() {
    let rows: String = (1..=40).map(|row| format!("{row},{}\n", row * row % 17)).collect();
    let names = "Nguyễn\n\nAb\n \t\nAc\n".to_owned() + &('a'..='j').map(|c| format!("B{c}\n")).collect::<String>();
    let conllu = "# a\n1\tDö\t_\tNOUN\t_\t_\t_\t_\t_\t_\n\t\n \n1\tGo\t_\tVERB\t_\t_\t_\t_\t_\t_\n";
    for (name, path, text) in [
        ("names", "Czech.txt", names),
        ("imdb", "aclImdb/train/pos/2_9.txt", "Schön.<br />\nSo\n".to_owned()),
        ("pos", "en_ewt-ud-train.conllu", conllu.to_owned()),
        ("ptb", "ptb.train.txt", "sö it\n\n goes\n".to_owned()),
        ("shakespeare", "input.txt", "Tö be,\n\nor not.\n".repeat(9)),
        ("own", "y.csv", format!("t,y\n\"1\n2\",7\n{rows}")),
    ] {
        let plain = loaded(name, path, text.as_bytes());
        assert!(plain.is_ok(), "{plain:?}");
        for bytes in variants::of(&text) {
            assert_eq!(loaded(name, path, &bytes), plain, "{path}");
        }
    }
}

#[test]
fn line_numbers_do_not_depend_on_encoding_line_ends_and_compression() {
    let rows: String =
        (2..=40).map(|row| if row == 8 { "8,oops\n".to_owned() } else { format!("{row},{row}\n") }).collect();
    for (name, path, text, message) in [
        ("names", "Czech.txt", "Ab\n\n\nAc2\n".to_owned(), "Czech.txt, line 4: "),
        ("pos", "en_ewt-ud-train.conllu", "\n# a\n1\tGo\t_\tVERB\n".to_owned(), "en_ewt-ud-train.conllu, line 3: "),
        ("own", "y.csv", format!("t,y\n{rows}"), "y.csv, line 8: "),
    ] {
        for bytes in variants::of(&text) {
            let error = loaded(name, path, &bytes).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}

/// A dataset of a known format is one manifest, and no code: labeled messages as tab-separated lines.
#[test]
fn a_manifest_alone_describes_a_dataset() {
    let manifest = Manifest::parse(
        r#"
        name = "messages"
        summary = "labeled messages"
        license = "CC0"
        files = [{ url = "https://example.org/messages.zip", path = "messages/messages.zip" }]

        [data]
        format = "csv"
        columns = { text = "text", label = "label" }
        cleaning = ["byte-order-marks", "nfc", "trim"]
        split = { by = "shuffle", validation = 0.2, test = 0.2, seed = 3, stratify = true }
        options = { names = ["label", "text"], separator = "\t", quotes = false, encoding = "latin-1" }
        "#,
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<u8> = (0..20)
        .flat_map(|row| [b"ham\tcaf\xe9 \"".to_vec(), format!("{row}\nspam\tWIN, {row}!\n").into_bytes()].concat())
        .collect();
    write(dir.path(), "messages.zip", variants::zip(&[("a/messages.tsv", &lines)]));
    let splits: Splits = manifest.load(dir.path(), &classification::DATA).unwrap();
    let data = Classification::from_records(&splits).unwrap();
    assert_eq!(data.labels, ["ham", "spam"]);
    assert_eq!(Split::ALL.map(|split| data.split(split).len()), [24, 8, 8]);
    assert!(data.train.iter().any(|example| example.text.starts_with("café \"")));
    assert!(data.baselines(Split::Test).iter().any(|(name, _)| *name == "naive Bayes"));
    let error = manifest.load(&PathBuf::from("absent"), &classification::DATA).unwrap_err().to_string();
    assert!(error.contains("no messages data in absent") && error.contains("example.org/messages.zip"), "{error}");
}
