//! Labeled texts: names, reviews, windows of DNA, relations.

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use tempfile::TempDir;

use super::*;

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
