use std::fs;
use std::path::{Path, PathBuf};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use tempfile::TempDir;

use super::*;
use crate::anomalies::{self, Anomalies};
use crate::catalog::Dataset;
use crate::classification::{self, Classification};
use crate::columns::Columns;
use crate::corpus::{self, Corpus};
use crate::data_spec::DataSpec;
use crate::generators;
use crate::reading::variants;
use crate::records::Split;
use crate::relations::{self, Relations};
use crate::series::{self, Series, Standardization};
use crate::signals::{self, Signals};
use crate::splits::Splits;
use crate::tagging::{self, Sentence, Tagging};
use crate::transduction::{self, Transduction};

/// What the tasks of this crate read.
const SPECS: [&DataSpec; 7] = [
    &classification::DATA,
    &signals::DATA,
    &tagging::DATA,
    &corpus::DATA,
    &transduction::DATA,
    &series::DATA,
    &anomalies::DATA,
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
        "anomaly" => Anomalies::from_records(splits).map(|data| format!("{data:?}")),
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
    ] {
        let splits = splits(name, Path::new("")).unwrap();
        let found = match name {
            "sentences" => Corpus::from_records(&splits).map(|data| data.digest()),
            "execute" => Transduction::from_records(&splits).map(|data| data.digest()),
            _ => Classification::from_records(&splits).map(|data| data.digest()),
        };
        assert_eq!(found.unwrap(), digest, "{name}");
    }
}

#[test]
fn commands_have_actions_and_no_validation_command_is_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let command = |number: usize| format!("IN: walk {number} OUT: I_WALK I_{number}\n");
    let commands = |from: usize, to: usize| (from..to).map(command).collect::<String>();
    write(dir.path(), "scan/simple_split/tasks_train_simple.txt", commands(0, 40));
    let simple = load("scan", dir.path(), Transduction::from_records).unwrap();
    assert_eq!((simple.train.len(), simple.validation.len(), simple.test.len()), (36, 4, 0));
    let [first, ..] = &simple.train[..] else { panic!("pairs") };
    assert!(first.source.starts_with("walk ") && first.target.starts_with("I_WALK I_"), "{first:?}");
    // Commands 30 to 49 are trained on; of 0 to 39, the others are for validation.
    write(dir.path(), "scan/length_split/tasks_train_length.txt", commands(30, 50));
    let splits = splits("scan-length", dir.path()).unwrap();
    let by_length = Transduction::from_records(&splits).unwrap();
    assert_eq!((by_length.train.len(), by_length.validation.len()), (20, 30));
    assert_eq!(splits.notes, ["10 rows of the validation split that are in an earlier split are left out"]);
}

fn languages() -> Vec<String> {
    let stem = |file: &Source| Path::new(&file.path).file_stem().unwrap().to_string_lossy().into_owned();
    Manifest::named("names").unwrap().files.iter().map(stem).collect()
}

/// `count` distinct names, the first of them Adé.
fn names(count: usize) -> String {
    let names = || ('a'..='z').flat_map(|first| ('a'..='z').map(move |second| format!("A{first}{second}\n")));
    names().take(count).collect::<String>().replace("Aaa", "Adé")
}

/// A folder with `10 + n` names for the language of label `n`.
fn folder_of_names() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (label, language) in languages().iter().enumerate() {
        write(dir.path(), &format!("{language}.txt"), names(10 + label));
    }
    dir
}

/// Windows of 60 bases; the last two repeat the first one, with its label and with another one.
#[test]
fn windows_of_dna_are_distinct_sequences_in_three_splits() {
    let dir = tempfile::tempdir().unwrap();
    let attributes: String =
        (1..=60).map(|index| format!("@attribute 'attribute_{index}' {{ C, A, G, T, N}}\r\n")).collect();
    let header = format!(
        "@relation splice\r\n@attribute 'Instance_name' string\r\n{attributes}@attribute 'Class' {{ EI, N}}\r\n@data\r\n"
    );
    let window =
        |row: usize| (0..60).map(|place| ["A", "C", "G", "T"][(row >> (2 * (place % 4))) & 3]).collect::<Vec<_>>();
    let row = |name: usize, row: usize, label: &str| format!("X-{name},{},{label}\r\n", window(row).join(","));
    let rows: String = (0..100).map(|index| row(index, index, ["EI", "N"][index % 2])).collect();
    write(dir.path(), "dna/splice.arff", header + &rows + &row(100, 0, "EI") + &row(101, 0, "N"));
    let data = labeled("splice", dir.path());
    assert_eq!(data.labels, ["EI", "N"]);
    let all = || data.train.iter().chain(&data.validation).chain(&data.test);
    assert_eq!((all().count(), data.test.len(), data.validation.len()), (101, 10, 10));
    assert!(all().all(|example| example.text.len() == 60) && data.train[0].text.starts_with("AAAA"));

    let rows: String =
        (0..40).map(|index| format!("{},S{index},\t\t{}\n", ["+", "-"][index % 2], window(index).concat())).collect();
    write(dir.path(), "dna/promoters.data", rows);
    let data = labeled("promoters", dir.path());
    assert_eq!((data.labels.join(" "), data.train.len(), data.test.len()), ("+ -".to_owned(), 32, 4));
}

#[test]
fn names_are_stratified_by_language_and_disjoint() {
    let dir = folder_of_names();
    let data = labeled("names", dir.path());
    let mut seen = std::collections::HashSet::new();
    for split in Split::ALL {
        for example in data.split(split) {
            assert!(seen.insert((example.label, example.text.clone())), "{example:?}");
        }
    }
    for label in 0..data.labels.len() {
        let counts = Split::ALL.map(|split| data.split(split).iter().filter(|e| e.label == label).count());
        let tenth = [1, 2, 3][(label + 5) / 10];
        assert_eq!(counts, [10 + label - 2 * tenth, tenth, tenth]);
        assert!(seen.contains(&(label, "Adé".to_owned())), "shared names stay in every language");
    }
    // The splits of this fixture, as the first version drew them.
    assert_eq!(data.digest(), NAMES_DIGEST);
}

const NAMES_DIGEST: &str = "3d889cb709b4f2a6959facb840eddfce2a62299c2e0dde4b5d998ccb1a04ccb7";

#[test]
fn order_duplicates_whitespace_and_line_ends_of_names_do_not_matter() {
    let dir = folder_of_names();
    let plain = labeled("names", dir.path());
    let lines: Vec<String> = names(10).lines().rev().map(|name| format!("\u{a0}{name} ")).collect();
    write(dir.path(), "Arabic.txt", [lines.clone(), lines].concat().join("\r\n\r\n"));
    let again = labeled("names", dir.path());
    assert_eq!((plain.digest(), plain.test), (again.digest(), again.test));
}

#[test]
fn names_are_found_in_nested_folders_and_all_files_are_required() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("names")).unwrap();
    fs::rename(folder_of_names().keep(), dir.path().join("names/names")).unwrap();
    for folder in ["", "names", "names/names"] {
        assert_eq!(labeled("names", &dir.path().join(folder)).labels, languages());
    }
    fs::remove_file(dir.path().join("names/names/Greek.txt")).unwrap();
    let error = failure("names", dir.path());
    assert!(error.contains("names/names/Greek.txt not found, published at https://"), "{error}");
}

#[test]
fn errors_in_names_name_file_and_line() {
    let dir = folder_of_names();
    let long = format!("{}{}\n", names(11), "x".repeat(101));
    for (bytes, part) in [
        (&b"Ab\nAc\nA\xff\n"[..], ", line 3: not UTF-8"),
        (b"Ab\tCzech\n", ", line 1: invalid character '\\t'; expected one text per line"),
        (b"Ab\r\n\r\nAc2\r\n", ", line 3: invalid character '2'"),
        (long.as_bytes(), ", line 12: 101 characters exceed the maximum of 100"),
        (b" \r\n", ": empty; expected one text per line"),
        ("Ab\n".repeat(50).as_bytes(), ": 1 rows of `Czech` are too few"),
        (names(9).as_bytes(), ": 9 rows of `Czech` are too few for all splits; at least 10 are needed"),
    ] {
        write(dir.path(), "Czech.txt", bytes);
        let error = failure("names", dir.path());
        assert!(error.contains(&format!("Czech.txt{part}")), "{error}");
    }
}

/// The bytes of an archive with `reviews` reviews per label and half.
fn archive(reviews: usize, halves: &[&str]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for half in halves {
        for (label, word) in [("neg", "dull"), ("pos", "great"), ("unsup", "odd")] {
            for id in 0..reviews {
                let text = format!("A {word} film,<br /><br />number {id}.");
                let mut header = tar::Header::new_gnu();
                header.set_size(text.len() as u64);
                header.set_mode(0o644);
                let path = format!("aclImdb/{half}/{label}/{id}_7.txt");
                tar.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
        }
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn unpack(bytes: &[u8], dir: &Path) {
    tar::Archive::new(GzDecoder::new(bytes)).unpack(dir).unwrap();
}

#[test]
fn archives_and_folders_of_reviews_yield_the_same_splits() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, half, folder, zipped, inner] =
        ["whole", "half", "folder", "zipped", "inner"].map(|name| dir.path().join(name));
    write(&whole, "imdb/aclImdb_v1.tar.gz", archive(10, &["test", "train"]));
    write(&half, "imdb/aclImdb_train.tar.gz", archive(10, &["train"]));
    unpack(&archive(10, &["test", "train"]), &folder.join("imdb"));
    unpack(&archive(10, &["test", "train"]), &inner.join("unpacked"));
    fs::rename(inner.join("unpacked/aclImdb"), inner.join("imdb")).unwrap();
    // A zip archive under the published name: containers are known by their bytes.
    let reviews: Vec<(String, String)> = ["neg", "pos"]
        .iter()
        .flat_map(|label| (0..10).map(move |id| format!("aclImdb/train/{label}/{id}_7.txt")))
        .map(|path| (path.clone(), fs::read_to_string(folder.join("imdb").join(&path)).unwrap()))
        .collect();
    let reviews: Vec<(&str, &[u8])> = reviews.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect();
    write(&zipped, "aclImdb_v1.tar.gz", variants::zip(&reviews));
    let single = whole.join("imdb/aclImdb_v1.tar.gz");
    let [whole, half, folder, zipped, inner, single] =
        [whole, half, folder, zipped, inner, single].map(|path| labeled("imdb", &path));
    for other in [&half, &folder, &zipped, &inner, &single] {
        assert_eq!(whole.digest(), other.digest());
    }
    assert_eq!([whole.train.len(), whole.validation.len(), whole.test.len(), half.test.len()], [16, 4, 20, 0]);
    assert_eq!((&whole.test, &whole.test), (&folder.test, &single.test));
    assert_eq!(whole.labels, ["negative", "positive"]);
    assert_eq!(whole.validation[0].text, "A dull film,  number 0.");
    assert_eq!(whole.validation.iter().filter(|example| example.label == 1).count(), 2);
}

#[test]
fn truncated_or_corrupted_archives_are_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = archive(10, &["train"]);
    for length in [bytes.len() / 2, bytes.len() - 4, bytes.len() - 9] {
        write(dir.path(), "aclImdb_v1.tar.gz", &bytes[..length]);
        let error = failure("imdb", dir.path());
        assert!(error.contains("aclImdb_v1.tar.gz is damaged"), "truncated to {length} bytes: {error}");
    }
    let mut flipped = bytes.clone();
    let middle = bytes.len() / 2;
    flipped[middle] ^= 0x10;
    write(dir.path(), "aclImdb_v1.tar.gz", flipped);
    assert!(failure("imdb", dir.path()).contains("aclImdb_v1.tar.gz is damaged"));
}

fn conllu(words: &[(&str, &str)]) -> String {
    let lines = (1..).zip(words).map(|(id, (form, tag))| format!("{id}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n"));
    format!("# text\n{}\n", lines.collect::<String>())
}

#[test]
fn splits_of_tagged_sentences_are_files_and_errors_name_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ud_english_ewt");
    let put = |split: &str, text: &str| write(&folder, &format!("en_ewt-ud-{split}.conllu"), text);
    let tagged = |dir: &Path| -> Tagging { load("pos", dir, Tagging::from_records).unwrap() };
    put("train", &conllu(&[("Dogs", "NOUN"), ("bark", "VERB"), (".", "PUNCT")]));
    assert!(failure("pos", dir.path()).contains("en_ewt-ud-dev.conllu"));
    for tag in ["NN", "_"] {
        put("dev", &(conllu(&[("Go", "VERB")]) + &conllu(&[("Yes", "INTJ"), ("indeed", tag)])));
        let (message, error) =
            (format!("dev.conllu, line 6: invalid tag {tag:?} in column upos"), failure("pos", dir.path()));
        assert!(error.contains(&message) && error.ends_with("SYM, VERB, X"), "{error}");
    }
    put("dev", &conllu(&[("Yes", "INTJ")]));
    let data = tagged(dir.path());
    assert_eq!(data, tagged(&folder));
    assert!(data.labels.len() == 17 && data.labels.is_sorted());
    let tokens = ["Dogs", "bark", "."].map(str::to_owned).to_vec();
    assert_eq!(data.train, [Sentence { tokens, labels: vec![7, 15, 12], label: None }]);
    assert_eq!((data.validation.len(), data.validation[0].labels[0], data.test.len()), (1, 6, 0));
    put("test", &conllu(&[("Yes", "INTJ")]));
    assert_eq!(tagged(dir.path()).test, data.validation);
}

#[test]
fn requests_have_slots_and_an_intent() {
    let dir = tempfile::tempdir().unwrap();
    for split in ["train", "valid"] {
        write(dir.path(), &format!("snips/{split}/seq.in"), "play some jazz \nrate it 5\n");
        write(dir.path(), &format!("snips/{split}/seq.out"), "O O B-genre \nO O B-rating\n");
        write(dir.path(), &format!("snips/{split}/label"), "PlayMusic\nRateBook\n");
    }
    let data = load("snips", dir.path(), Tagging::from_records).unwrap();
    assert_eq!((data.labels.len(), data.sentence_labels.len()), (3, 2));
    let tokens = ["play", "some", "jazz"].map(str::to_owned).to_vec();
    assert_eq!(data.train[0], Sentence { tokens, labels: vec![2, 2, 0], label: Some(0) });
    write(dir.path(), "snips/valid/label", "PlayMusic\n");
    assert!(failure("snips", dir.path()).contains("valid/label, line 1: the file ends here, but seq.in has 2 lines"));
}

#[test]
fn speakers_and_digits_are_series() {
    let dir = tempfile::tempdir().unwrap();
    let header = "@problemName x\n@classLabel true 1 2\n@data\n";
    let rows = |label: u8| (0..10).map(|row| format!("{row},1:2,3:{label}\n")).collect::<String>();
    let path = "japanese_vowels/JapaneseVowels_TRAIN.ts";
    write(dir.path(), path, format!("{header}{}{}", rows(1), rows(2)));
    let vowels = load("japanese-vowels", dir.path(), Signals::from_records).unwrap();
    assert_eq!((vowels.channels, vowels.train.len(), vowels.validation.len()), (2, 16, 4));

    let images = [&[0, 0, 8, 3, 0, 0, 0, 60, 0, 0, 0, 28, 0, 0, 0, 28][..], &[255; 60 * 28 * 28]].concat();
    let labels: Vec<u8> = [0, 0, 8, 1, 0, 0, 0, 60].into_iter().chain((0..60).map(|index| index % 2)).collect();
    for (what, bytes) in [("images-idx3", images), ("labels-idx1", labels)] {
        write(dir.path(), &format!("mnist/train-{what}-ubyte.gz"), variants::gzip(&bytes));
    }
    let digits = load("mnist", dir.path(), Signals::from_records).unwrap();
    assert_eq!((digits.channels, digits.train[0].signal.len(), digits.labels.len()), (28, 28, 2));
    assert_eq!((digits.train.len() + digits.validation.len(), digits.validation.len()), (60, 6));
}

#[test]
#[allow(clippy::single_range_in_vec_init, reason = "windows are lists of ranges")]
fn monitored_series_have_windows_of_anomalies() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..40).map(|row| format!("2014-04-01 {:02}:00:00,{row}\n", row % 24)).collect();
    for path in ["nab/data/web/a.csv", "nab/data/art/b.csv"] {
        write(dir.path(), path, format!("timestamp,value\n{rows}"));
    }
    let windows =
        "{\"web/a.csv\": [[\"2014-04-01 20:00:00.000000\", \"2014-04-01 22:00:00.000000\"]], \"art/b.csv\": []}";
    write(dir.path(), "nab/labels/combined_windows.json", windows);
    let data = load("nab", dir.path(), Anomalies::from_records).unwrap();
    let series: Vec<_> = data.series.iter().map(|series| (series.name.as_str(), series.windows.clone())).collect();
    assert_eq!(series, [("art/b.csv", vec![]), ("web/a.csv", vec![20..23])]);
    assert_eq!((data.series[1].train_end, data.series[1].validation_end, data.series[1].values.len()), (4, 6, 40));
    assert_eq!(data.series[0].groups[0].1, "art");
}

#[test]
fn relations_have_two_marked_entities() {
    let dir = tempfile::tempdir().unwrap();
    let record = |row: usize| {
        format!("{row}\t\"The <e1>key</e1> {row} of the <e2>door</e2>.\"\r\nPart({})\r\nComment:\r\n\r\n", row % 2)
    };
    let path = "semeval2010_task8/TRAIN_FILE.TXT";
    write(dir.path(), path, (1..=20).map(record).collect::<String>());
    let loaded = |dir: &Path| Dataset::named("semeval-2010-8").unwrap().load(dir, &relations::DATA);
    let Relations(data) = Relations::from_records(&loaded(dir.path()).unwrap()).unwrap();
    assert_eq!((data.labels.len(), data.train.len(), data.validation.len()), (2, 16, 4));
    write(
        dir.path(),
        path,
        format!("{}1\t\"No <e1>mark</e1>\"\r\nOther\r\n", (1..=20).map(record).collect::<String>()),
    );
    let error = Relations::from_records(&loaded(dir.path()).unwrap()).unwrap_err().to_string();
    assert!(error.contains("TRAIN_FILE.TXT, line 81: no <e2>; mark both entities once"), "{error}");
}

fn corpus(name: &str, dir: &Path) -> Corpus {
    load(name, dir, Corpus::from_records).unwrap()
}

#[test]
fn splits_of_the_treebank_are_files_and_errors_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "ptb.train.txt", " no it was n't <unk> N \n so it goes \n");
    assert!(failure("ptb", dir.path()).contains("ptb.valid.txt"));
    for (bytes, part) in [(&b" \n"[..], ": empty; expected text"), (b"so it \xff\n", ", line 1: not UTF-8")] {
        write(dir.path(), "ptb.valid.txt", bytes);
        assert!(failure("ptb", dir.path()).contains(&format!("ptb.valid.txt{part}")));
    }
    write(dir.path(), "ptb.valid.txt", "so it goes\n");
    let corpus = corpus("ptb", dir.path());
    assert!(corpus.train.contains("<unk> N") && corpus.validation == "so it goes\n" && corpus.test.is_empty());
}

#[test]
fn the_last_tenth_of_shakespeare_is_the_validation_split() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "tiny_shakespeare/input.txt", "To be, or not. ".repeat(20));
    for folder in ["", "tiny_shakespeare"] {
        let corpus = corpus("shakespeare", &dir.path().join(folder));
        assert_eq!([corpus.train.len(), corpus.validation.len(), corpus.test.len()], [270, 30, 0]);
    }
}

/// The day of a row of the temperatures, with 365 rows per year.
fn day(row: usize) -> String {
    let day = chrono::NaiveDate::from_yo_opt(1981 + (row / 365) as i32, (row % 365) as u32 + 1);
    day.unwrap().to_string()
}

/// Temperatures in the published format.
fn temperatures() -> String {
    let rows = (0..3650).map(|row| format!("\"{}\",{}.5\r\n", day(row), row % 365));
    std::iter::once("\"Date\",\"Temp\"\r\n".to_owned()).chain(rows).collect()
}

fn series(text: &str) -> Result<Series, String> {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "daily-min-temperatures.csv", text);
    load("temperatures", dir.path(), Series::from_records)
}

#[test]
fn splits_of_temperatures_are_whole_years_without_the_last_day_of_leap_years() {
    let series = series(&temperatures()).unwrap();
    let ends = Split::ALL.map(|split| {
        let rows = series.split(split);
        (&*series.timestamps[rows.start], &*series.timestamps[rows.end - 1])
    });
    let years = [("1981-01-01", "1987-12-31"), ("1988-01-01", "1988-12-30"), ("1989-01-01", "1990-12-31")];
    assert_eq!(ends, years);
    assert!(!series.timestamps.contains(&"1984-12-31".to_owned()));
    assert_eq!([1, 32].map(|k| series.next_time(k)), ["1991-01-01", "1991-02-01"]);
    assert_eq!((series.season, series.first_step), (Some(365), 0));
    assert_eq!(series.seasonal_naive(series.validation_end, 2), Some(vec![0.5, 1.5]));
}

#[test]
fn later_temperatures_do_not_affect_the_training_split() {
    let (plain, later) = (series(&temperatures()).unwrap(), temperatures());
    let (before, after) = later.split_at(later.find("\"1988-01-01\"").unwrap());
    let later = series(&(before.to_owned() + &after.replace("\",", "\",7"))).unwrap();
    assert_ne!(later.target(), plain.target());
    assert_eq!(later.target()[..later.train_end], plain.target()[..plain.train_end]);
    assert_eq!((later.train_end, Standardization::fit(&later)), (plain.train_end, Standardization::fit(&plain)));
}

#[test]
fn other_gaps_and_damage_of_temperatures_are_errors_that_name_the_line() {
    let published = temperatures();
    for (from, to, part) in [
        ("1984-12-30", "1984-12-29", "line 1461: `1984-12-29` repeats line 1460"),
        ("\"1990-12-31\",", "\"1991-01-01\",", "line 3651: 1 step is missing between `1990-12-30` and `1991-01-01`"),
        ("\"1981-01-03\",2.5\r\n", "", "is damaged or incomplete: 3649 of 3650 rows; fetch it again"),
        ("\"Temp\"", "\"Rain\"", "line 1: no column `Temp` to use as target"),
        (",7.5", ",?7.5", "line 9: `?7.5` in column `Temp` is not a number"),
        (",7.5", ",", "line 9: missing value in column `Temp`"),
        ("\"1988-01-01\"", "\"1988-01-02\"", "data.split.validation = 1988-01-01: a timestamp of column `Date`"),
    ] {
        let text = published.replacen(from, to, 1);
        assert_ne!(text, published);
        let error = series(&text).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
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
